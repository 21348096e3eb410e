"""The gate's rule: what it may say, and what it never says."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.gate.asked import Metric, SideName
from bench.gate.evidence import evidence
from bench.gate.figures import Figure
from bench.gate.judge import judge
from bench.gate.rounds import Process, Round, play
from bench.gate.weigh import Rule, shown, sign_flip, weigh

RULE = Rule()
TIME = [Metric(name="time")]
differences = st.lists(
    st.floats(-1, 1).filter(lambda x: x == 0 or abs(x) > 1e-6), min_size=1, max_size=25
).map(np.array)


def process(value: float | None = 1.0, **about: object) -> Process:
    figure = Figure.seen(value, "s")
    return Process.model_validate({"figures": {"time": figure}, "seconds": 1.0, **about})


def rounds_of(heads: list[float], bases: list[float] | None = None) -> list[Round]:
    bases = bases or [1.0] * len(heads)
    return [
        Round(first="base", base=process(b), head=process(h))
        for b, h in zip(bases, heads, strict=True)
    ]


def noisy(effect: float, rounds: int = 40, seed: int = 0) -> list[Round]:
    return rounds_of(list(np.exp(np.random.default_rng(seed).normal(effect, 0.02, rounds))))


def test_evidence_is_one_on_average_over_all_that_a_coin_can_say() -> None:
    sizes = np.random.default_rng(1).exponential(size=12)
    signs = np.array(list(itertools.product((-1, 1), repeat=len(sizes))))
    wealth = evidence(signs * sizes, 0.3)
    assert wealth.mean(axis=0) == pytest.approx(np.ones(len(sizes)), rel=1e-12)
    for least in (5, 20, 100):  # Ville, at the worst look
        assert (wealth.max(axis=1) >= least).mean() <= 1 / least


def test_evidence_is_the_mean_of_what_bettors_have_who_never_stake_all() -> None:
    seen = [0.3, -0.1, 0.025, 2.0]
    wealth = []
    for size in (0.05, 0.15, 0.45):
        has = 1.0
        for one in seen:
            has += has * 0.8 * math.sin(2 * math.atan(one / size))  # 2x / (1 + x²)
        wealth.append(has)
    assert evidence(np.array(seen), 0.05)[-1] == pytest.approx(np.mean(wealth))


def test_a_wild_round_costs_less_than_one_that_speaks_against() -> None:
    """A process in three that takes twice as long, on either side, does not hide a slowdown for long."""
    rng = np.random.default_rng(2)
    disturbed = rng.random(60) < 0.4
    seen = 0.1 + rng.normal(0, 0.02, 60) + disturbed * rng.choice([-0.6, 0.6], 60)
    assert weigh(seen, 0.05, 2, RULE).finding == "worse"
    assert weigh(seen - 0.1, 0.05, 2, RULE).finding == "same"


@pytest.mark.parametrize("wild", [0.0, 0.2, 0.6])
def test_what_is_worse_by_the_least_effect_is_seldom_called_the_same(wild: float) -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.03, (2000, 40)) + wild * (rng.random((2000, 40)) < 0.4) * rng.choice(
        [-1, 1], (2000, 40)
    )
    same = shown(math.log1p(0.05) + noise, 0.05, 1, RULE)[2][:, -1]
    assert same.mean() < RULE.missed


@given(differences)
def test_who_swaps_the_sides_gets_the_other_finding(seen: np.ndarray) -> None:
    one, other = weigh(seen, 0.05, 1, RULE), weigh(-seen, 0.05, 1, RULE)
    assert (one.worse, one.better) == (other.better, other.worse)
    assert (one.finding == "worse") == (other.finding == "better")


@given(differences)
def test_what_is_seen_last_is_what_was_seen_at_every_look(seen: np.ndarray) -> None:
    worse = [weigh(seen[: n + 1], 0.05, 1, RULE).finding == "worse" for n in range(len(seen))]
    assert worse == sorted(worse)  # once it is shown, it stays


def test_a_sign_flip_is_exact() -> None:
    assert sign_flip(np.ones(5)) == 2 / 32
    assert sign_flip(np.array([1.0, -1.0])) == 1


def test_equal_sides_pass_and_a_slower_one_does_not() -> None:
    assert judge(TIME, noisy(0.0), RULE).verdict == "PASS"
    slower = judge(TIME, noisy(0.1), RULE)
    assert slower.verdict == "REGRESSED"
    assert slower.rows[0].weighed is not None
    assert slower.rows[0].weighed.effect.value == pytest.approx(math.expm1(0.1), abs=0.03)
    assert judge(TIME, noisy(-0.2), RULE).verdict == "IMPROVED"


def test_a_metric_of_which_more_is_better_is_turned() -> None:
    more = [Metric(name="time", better="higher")]
    assert judge(more, noisy(-0.1), RULE).verdict == "REGRESSED"
    assert judge(more, noisy(0.1), RULE).verdict == "IMPROVED"


def test_few_rounds_show_nothing() -> None:
    for rounds in range(7):
        assert judge(TIME, rounds_of([1.0] * rounds), RULE).verdict == "INCONCLUSIVE"


ODD: Mapping[str, Process] = {
    "NaN": process(math.nan),
    "infinite": process(math.inf),
    "no value": process(None),
    "zero": process(0.0),
    "below zero": process(-1.0),
    "renamed": Process(figures={"tim": Figure(value=1.0, unit="s")}, seconds=1.0),
    "no samples": Process(figures={}, seconds=1.0),
    "crashed": Process(figures={}, seconds=1.0, failure="it ended with -9"),
    "crashed, with figures": process(1.0, failure="it ended with 1"),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize("at", [0, 20, 39])
def test_what_was_not_seen_never_passes(odd: str, side: str, at: int) -> None:
    rounds = noisy(0.0)
    assert judge(TIME, rounds, RULE).verdict == "PASS"
    rounds[at] = rounds[at].model_copy(update={side: ODD[odd]})
    found = judge(TIME, rounds, RULE)
    assert found.verdict == "MISSING"
    assert "time" in found.why


def test_no_gated_metric_never_passes() -> None:
    assert judge([], noisy(0.0), RULE).verdict == "MISSING"
    assert judge([Metric(name="time", gated=False)], noisy(0.0), RULE).verdict == "MISSING"


def test_a_machine_that_changed_between_the_sides_never_passes() -> None:
    def slowed(effect: float, by: float) -> list[Round]:
        return [
            one.model_copy(
                update={
                    "base": one.base.model_copy(update={"controls": {"compute": 1.0}}),
                    "head": one.head.model_copy(update={"controls": {"compute": by}}),
                }
            )
            for one in noisy(effect)
        ]

    assert judge(TIME, slowed(0.0, 1.0), RULE).verdict == "PASS"
    for effect, by in ((0.0, 1.1), (0.1, 1.1), (0.0, 0.9)):
        found = judge(TIME, slowed(effect, by), RULE)
        assert found.verdict == "INCONCLUSIVE"
        assert "compute" in found.why


def exactly(base: float, head: float, better: str, tolerance: float = 0.0) -> str:
    metric = Metric.model_validate(
        {"name": "time", "exact": True, "better": better, "tolerance": tolerance}
    )
    return judge([metric], rounds_of([head], [base]), RULE).verdict


def test_what_has_no_noise_is_compared_to_the_last_digit_in_one_round() -> None:
    assert exactly(1.0, 1.0, "lower") == "PASS"
    assert exactly(1.0, 1.0 + 1e-12, "lower") == "REGRESSED"
    assert exactly(1.0, 1.0 + 1e-12, "higher") == "IMPROVED"
    assert exactly(1.0, 1.0 - 1e-12, "equal") == "REGRESSED"
    assert exactly(1.0, 1.01, "lower", tolerance=0.02) == "PASS"
    assert exactly(0.0, 0.0, "equal") == "PASS"


def test_what_varies_is_not_exact() -> None:
    metric = [Metric(name="time", exact=True)]
    found = judge(metric, rounds_of([1.0, 1.1]), RULE)
    assert found.verdict == "INCONCLUSIVE"
    assert "varies" in (found.rows[0].note or "")


def test_an_exact_regression_needs_no_quiet_machine() -> None:
    metrics = [*TIME, Metric(name="answers", exact=True, better="equal")]

    def with_answers(value: float) -> Process:
        figures = {
            "time": Figure(value=1.0, unit="s"),
            "answers": Figure(value=value, unit="count"),
        }
        return Process(figures=figures, seconds=1.0)

    rounds = [Round(first="head", base=with_answers(3), head=with_answers(4))]
    assert judge(metrics, rounds, RULE).verdict == "REGRESSED"


def test_the_part_that_grew_is_named_first() -> None:
    def stepped(preprocess: float, execute: float) -> Process:
        figures = {
            "time": Figure(value=preprocess + execute, unit="s"),
            "preprocess step": Figure(value=preprocess, unit="s", part_of="time"),
            "execute step": Figure(value=execute, unit="s", part_of="time"),
        }
        return Process(figures=figures, seconds=1.0)

    rounds = [Round(first="base", base=stepped(1, 9), head=stepped(2, 9.1))] * 20
    row = judge(TIME, rounds, RULE).rows[0]
    assert row.finding == "worse"
    assert [part.name for part in row.parts] == ["preprocess step", "execute step"]


def test_rounds_are_ordered_by_a_coin_and_end_with_their_time() -> None:
    asked: list[str] = []

    def run(order: Sequence[SideName]) -> dict[SideName, Process]:
        asked.extend(order)
        return {side: process() for side in order}

    rounds = list(itertools.islice(play(run, np.random.default_rng(3), 60), 200))
    heads = sum(one.first == "head" for one in rounds)
    assert 70 < heads < 130  # four standard deviations
    assert all(
        asked[2 * n] == one.first and asked[2 * n + 1] != one.first for n, one in enumerate(rounds)
    )
    assert list(play(run, np.random.default_rng(3), 0))[1:] == []

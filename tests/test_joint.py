"""How sure a choice is when everything is uncertain at once, held against what can be worked out."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate

from bench import at_once
from bench.compare import how_sure
from bench.compare.inputs import Input
from bench.compare.joint import DRAWS, Drawn, Joint, Worth, judged, triangular
from bench.gather import load_profiles
from bench.prepare import Settings

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "reports" / "example"
SMALL, LARGE = "civo/standard-2c-4g/any/on-demand", "civo/standard-4c-8g/any/on-demand"


def deployment(name: str, offer: str, replicas: int) -> str:
    return f"""
  - name: {name}
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: {offer}
    scaling: {{name: fixed, replicas: {replicas}}}
    start_up: {{node: 60 s}}
    network: {{uplink: 40 Mbit/s, downlink: 40 Mbit/s, rtt: 40 ms}}"""


SCENARIO = f"""
schema_version: 1
name: joint
task: {{name: text-recognition, labels: 48}}
workload:
  sources: 4
  arrivals: {{name: poisson, rate: 20/min}}
  active: {{start: "06:00", end: "06:10"}}
objective: {{response: {{percentile: 99, limit: 5 s}}}}
simulate: {{replications: 2}}
deployments:{deployment("small", SMALL, 2)}{deployment("large", LARGE, 1)}
"""
SOURCED = "provenance: assumed, source: {source}, as_of: 2026-11-25"
FREE = SOURCED.format(source="nobody")
OVERRIDES = f"""
schema_version: 1
services:
  civo:
    load_balancer: {{{{price: $0/h, {FREE}}}}}
    egress: {{{{tiers: [{{{{price: $0/GB}}}}], {FREE}}}}}
rates:
"""


def rate(offer: str, low: float, value: float, high: float, source: str) -> str:
    """A line of overrides: what an offer costs, in dollars per hour."""
    about = SOURCED.format(source=source)
    return f"  {offer}: {{price: ${value}/h, low: ${low}/h, high: ${high}/h, {about}}}\n"


def joint_of(folder: Path, *rates: str) -> Joint:
    """Of the two deployments, whose machines cost what is given, and nothing else."""
    scenario, overrides = folder / "joint.yaml", folder / "overrides.yaml"
    scenario.write_text(SCENARIO)
    overrides.write_text(OVERRIDES.format() + "".join(rates))
    settings = Settings(engine="inline", overrides=overrides)
    found = at_once.simulate_only(scenario, load_profiles(PROFILES), settings)[3].joint
    assert found is not None
    return found


def expected(low: float, mode: float, high: float, other: float) -> tuple[float, float]:
    """Of a triangular price against a certain one: the chance to be below, and the mean of the lower."""

    def density(x: float) -> float:
        if x < mode:
            return 2 * (x - low) / ((high - low) * (mode - low))
        return 2 * (high - x) / ((high - low) * (high - mode))

    below = integrate.quad(density, low, other, points=[mode])[0]
    lower = integrate.quad(lambda x: min(x, other) * density(x), low, high, points=[mode, other])[0]
    return below, lower


@pytest.mark.slow
def test_one_uncertain_price_is_as_it_can_be_worked_out(tmp_path: Path) -> None:
    """Two small machines for a price that lies somewhere, or a large one for a certain one."""
    found = joint_of(
        tmp_path, rate(SMALL, 0.01, 0.02, 0.06, "a quote"), rate(LARGE, 0.06, 0.06, 0.06, "a list")
    )
    chance, lower = expected(0.01, 0.02, 0.06, 0.03)
    mean = (0.01 + 0.02 + 0.06) / 3
    scale = found.means["large"] / 0.03  # both hold so many machine hours for a million answers
    assert found.chances == pytest.approx({"small": chance, "large": 1 - chance}, rel=0.01)
    assert found.means["small"] == pytest.approx(mean * scale, rel=0.01)
    assert found.regrets["small"] == pytest.approx((mean - lower) * scale, rel=0.01)
    assert found.regrets["large"] == pytest.approx((0.03 - lower) * scale, rel=0.01)
    first, *others = found.worth
    assert first.inputs == [f"price of {SMALL}"]
    assert first.usd_per_million == pytest.approx((min(mean, 0.03) - lower) * scale, rel=0.01)
    assert first.decides == pytest.approx(1, rel=0.01)
    assert all(other.usd_per_million < 1e-6 for other in others)


@pytest.mark.slow
def test_prices_of_one_source_move_together(tmp_path: Path) -> None:
    """A tenth dearer is always dearer on one list, and less often on two lists that know nothing of each other."""
    small = rate(SMALL, 0.010, 0.020, 0.030, "one list")
    same = joint_of(tmp_path, small, rate(LARGE, 0.022, 0.044, 0.066, "one list"))
    other = joint_of(tmp_path, small, rate(LARGE, 0.022, 0.044, 0.066, "another list"))
    drawn = np.random.default_rng(1).triangular(0.01, 0.02, 0.03, (2, 1_000_000))
    assert same.chances == {"small": 1.0, "large": 0.0}
    assert other.chances["small"] == pytest.approx((drawn[0] < 1.1 * drawn[1]).mean(), abs=0.03)
    assert [len(one.inputs) for one in same.worth if one.decides > 0.1] == [2]
    assert [len(one.inputs) for one in other.worth if one.decides > 0.1] == [1, 1]


@pytest.mark.parametrize("level", [0.0, 0.1, 1 / 3, 0.9, 1.0])
def test_levels_are_the_probability_to_be_below(level: float) -> None:
    value = float(triangular(1.0, 2.0, 4.0, level))
    below = (value - 1) ** 2 / 3 if value < 2 else 1 - (4 - value) ** 2 / 6
    assert below == pytest.approx(level, abs=1e-12)


@pytest.mark.parametrize(("low", "mode", "high"), [(1.0, 1.0, 3.0), (1.0, 3.0, 3.0)])
def test_the_mode_may_be_an_end(low: float, mode: float, high: float) -> None:
    levels = np.linspace(0, 1, 11)
    values = triangular(low, mode, high, levels)
    assert (np.diff(values) > 0).all()
    assert (values[0], values[-1]) == pytest.approx((low, high))


def uncertain(name: str, low: float, value: float, high: float) -> Input:
    return Input(name, "$", low, value, high, "assumed", name, lambda scenario, _: scenario)


def synthetic(rng: np.random.Generator) -> tuple[Joint, str]:
    """A made-up choice among three, each with two uncertain inputs of which one is shared; and the truth."""
    inputs = [
        uncertain(name, *np.cumsum(rng.uniform(0.2, 1.0, 3))) for name in ("shared", "a", "b", "c")
    ]
    weights = rng.uniform(0.5, 1.5, 3)

    def costs(levels: np.ndarray) -> np.ndarray:
        shared, *own = (
            triangular(one.low, one.value, one.high, level)
            for one, level in zip(inputs, levels, strict=True)
        )
        return np.stack([w * shared * x for w, x in zip(weights, own, strict=True)], axis=-1)

    levels = np.stack([(rng.permutation(DRAWS) + 0.5) / DRAWS for _ in inputs])
    groups = [Drawn([one], level) for one, level in zip(inputs, levels, strict=True)]
    names, usd = ["a", "b", "c"], costs(levels)
    found = judged(names, usd, np.ones(usd.shape, bool), set(names), groups)
    return found, names[int(costs(rng.random((4, 1)))[0].argmin())]


def test_probabilities_come_true_as_often_as_they_say() -> None:
    """Of 600 made-up choices, whose truth is drawn once each: by tenth of the probability."""
    rng = np.random.default_rng(3)
    said, came = [], []
    for _ in range(600):
        found, cheapest = synthetic(rng)
        said += list(found.chances.values())
        came += [name == cheapest for name in found.chances]
    tenths = np.minimum((np.array(said) * 5).astype(int), 4)
    for tenth in range(5):
        own = tenths == tenth
        forecast, seen = np.array(said)[own], np.array(came)[own]
        spread = math.sqrt((forecast * (1 - forecast)).sum()) / own.sum()
        assert abs(forecast.mean() - seen.mean()) < 3.3 * spread


def test_knowing_all_is_worth_the_regret_and_knowing_one_no_more() -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        found, _ = synthetic(rng)
        assert found.best is not None
        most = found.regrets[found.best]
        assert min(found.regrets.values()) == most
        assert all(0 <= one.usd_per_million <= most for one in found.worth)
        assert sum(found.chances.values()) == pytest.approx(1)


def test_nobody_is_the_cheapest_where_nobody_keeps_the_objective() -> None:
    usd = np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 2.0], [1.0, 2.0]])
    kept = np.array([[True, True], [True, False], [False, True], [False, False]])
    found = judged(["a", "b"], usd, kept, {"a"}, [])
    assert found.chances == {"a": 0.5, "b": 0.25}
    assert (found.best, found.regrets, found.worth) == ("a", {"a": 0.0}, [])


def test_nothing_was_simulated() -> None:
    found = judged([], np.empty((0, 0)), np.empty((0, 0), bool), set(), [])
    assert (found.draws, found.best, found.chances) == (0, None, {})


@pytest.mark.parametrize(
    ("usd", "decides", "said"),
    [
        (5.0, 0.9, "find out first: rent, worth $5.00 per million"),
        (0.0, 0.9, "depends most on rent"),
        (0.0, 0.01, "hardly any of them moves what lies between it and the next"),
    ],
)
def test_an_input_that_moves_nothing_is_not_called_the_deciding_one(
    usd: float, decides: float, said: str
) -> None:
    sure = Joint(
        draws=512, inputs=3, chances={"a": 0.9, "b": 0.1}, best="a", means={"a": 10.0, "b": 11.0},
        regrets={"a": 0.0, "b": 1.0},
        worth=[Worth(inputs=["rent"], usd_per_million=usd, decides=decides)],
    )  # fmt: skip
    assert said in how_sure(sure, "a")

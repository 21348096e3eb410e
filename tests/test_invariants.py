"""What must hold on every run, whatever is simulated."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.admission import Admission
from bench.batching import Rule, constant
from bench.requests import Outcome
from bench.simulate import fast, reference
from bench.simulate.moments import control_at
from bench.simulate.plane import PoolSpec, Routing
from bench.simulate.service import ServiceTimes
from bench.ticks import FOREVER
from tests.queues import plain

pytestmark = pytest.mark.slow

END = 100_000

gaps = st.lists(st.integers(0, 40), min_size=1, max_size=80)
rules = st.one_of(
    st.just(constant(1, 0)), st.builds(constant, st.integers(2, 4), st.integers(0, 60))
)


@st.composite
def specs(draw: st.DrawFn) -> PoolSpec:
    rule: Rule = draw(rules)
    times = st.lists(st.integers(1, 60), min_size=1, max_size=5)
    service = {size: [t * 1e-9 for t in draw(times)] for size in range(1, rule.full + 1)}
    return PoolSpec(
        rule=rule,
        service=ServiceTimes.of(service),
        servers=draw(st.integers(1, 4)),
        routing=draw(st.sampled_from(Routing)),
        admission=Admission(
            queue_limit=draw(st.one_of(st.just(FOREVER), st.integers(0, 8))),
            timeout=draw(st.one_of(st.just(FOREVER), st.integers(0, 200))),
        ),
    )


def play(spec: PoolSpec, times: Any, looks: list[int], seed: int, method: Any = fast) -> Any:
    """The answers, what was seen at some moments, and what was seen at the end."""
    env, rows, seen = simpy.Environment(0), [], []
    requests = plain(np.asarray(times) * 1e-9, np.random.default_rng(seed))
    pool = method.Pool(env, spec, iter([requests]), lambda answers: rows.append(answers.copy()))
    for server in range(spec.servers):
        pool.add(server)
    for look in looks:
        control_at(env, look, lambda: seen.append((int(env.now), pool.seen())))
    pool.run(END)
    return np.concatenate(rows), seen, pool.seen()


@pytest.mark.parametrize("method", [fast, reference], ids=["fast", "reference"])
@given(specs(), gaps, st.lists(st.integers(0, 3000), max_size=20), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_the_books_balance(
    method: Any, spec: PoolSpec, gaps: list[int], looks: list[int], seed: int
) -> None:
    times = np.cumsum(gaps)
    answers, seen, end = play(spec, times, looks, seed, method)
    # Requests in = done + shed + timed out; all have ended, each once.
    assert sorted(answers["number"].tolist()) == list(range(len(times)))
    assert end.waiting == end.in_service == 0
    # L = λW, moment by moment: who is inside is who has come and not gone.
    inside = answers[answers["outcome"] != Outcome.SHED]
    for now, at in seen:
        come, gone = (inside["reach"] <= now).sum(), (inside["served"] <= now).sum()
        left_now = (inside["served"] == now) & (inside["outcome"] == Outcome.TIMED_OUT)
        # Who gives up at this very moment does so after it was looked at.
        assert at.waiting + at.in_service == come - gone + left_now.sum()
        serving = (inside["start"] <= now) & (inside["served"] > now) & (inside["batch"] > 0)
        assert at.in_service == serving.sum()
    # U = λE[S]/c: the work done is the work that came.
    done = answers[answers["outcome"] == Outcome.DONE]
    batches = {(row["server"], row["start"]): row for row in done}
    assert end.busy == sum(int(row["served"] - row["start"]) for row in batches.values())
    assert end.batches == len(batches)
    assert end.served == len(done)
    assert all(row["batch"] <= spec.rule.full for row in done)
    # Nobody is served before coming, nor two batches by one server at once.
    assert (done["start"] >= done["reach"]).all()
    for server in range(spec.servers):
        own = sorted(
            (row["start"], row["served"]) for (s, _), row in batches.items() if s == server
        )
        assert all(b[0] >= a[1] for a, b in pairwise(own))


@given(specs(), gaps, st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_a_queue_keeps_its_order(spec: PoolSpec, gaps: list[int], seed: int) -> None:
    """Central: the order of coming; else that of each server's own queue."""
    answers, _, _ = play(spec, np.cumsum(gaps), [], seed)
    done = np.sort(answers[answers["outcome"] == Outcome.DONE], order="number")
    own = [done] if spec.routing is Routing.CENTRAL else [
        done[done["server"] == server] for server in range(spec.servers)
    ]  # fmt: skip
    for queue in own:
        assert (np.diff(queue["start"]) >= 0).all()


@given(specs(), gaps, st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_the_same_seed_gives_the_same_bytes(spec: PoolSpec, gaps: list[int], seed: int) -> None:
    first, second = (play(spec, np.cumsum(gaps), [], seed)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_every_invariant_has_its_test() -> None:
    here = Path(__file__).parent
    page = (here.parent / "docs" / "simulation.md").read_text()
    section = page.partition("## Invariants")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| .+? \| (.+?) \|", section, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    for _, tests in rows:
        named = re.findall(r"`(\w+\.py)::(\w+)`", tests)
        assert named
        for file, name in named:
            tree = ast.parse((here / file).read_text())
            assert name in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}, name

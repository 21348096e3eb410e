"""Open-loop runs against a generator and a server whose times are scripted: exact batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from bench import batching
from bench.batching import FOREVER, Rule, constant
from bench.errors import InputError
from bench.measure import open_loop
from bench.measure.backends import fake
from bench.measure.clock import WallClock
from bench.measure.loads import capacity, server
from bench.measure.open_loop import TakeUp, ask
from bench.measure.recorder import Recorder
from bench.measure.service import PROFILE, Service
from bench.measure.tasks import ONE_STAGE, synthetic
from bench.measure.worker import ServedBatch

MS = 1_000_000


class Scripted:
    """A service that takes ``service_ns`` for any batch, and the generator that asks it."""

    def __init__(self, sends_ns: list[int], service_ns: int) -> None:
        self._sends, self._service_ns, self._now = sends_ns, service_ns, 0
        self._acquired = 0
        self.batches: list[tuple[int, list[int]]] = []
        self.given_up: list[tuple[str, list[int]]] = []

    # The generator.
    def start(self) -> int:
        return 0

    def wait(self, until_ns: int | None = None) -> bool:
        if self._acquired == len(self._sends):
            assert until_ns is not None, "nothing would ever wake the server"
            self._now = max(self._now, until_ns)
            return False
        send = self._sends[self._acquired]
        if until_ns is not None and until_ns < send:
            self._now = until_ns
            return False
        self._acquired += 1
        self._now = max(self._now, send)
        return True

    def another(self) -> bool:
        if self._acquired < len(self._sends) and self._sends[self._acquired] <= self._now:
            self._acquired += 1
            return True
        return False

    def sent_ns(self, index: int) -> int:
        return self._sends[index]

    # The service.
    def clock(self) -> int:
        return self._now

    def take(self, size: int) -> list[int]:
        return [0] * size

    def serve(self, phase: str, samples: list[int], asked: list[tuple[int, int]]) -> None:
        self.batches.append((self._now, [sent for _, sent in asked]))
        self._now += self._service_ns

    def give_up(self, phase: str, samples: list[int], asked: Any, error: str) -> None:
        self.given_up.append((error, [sent for _, sent in asked]))

    def note(self, phase: str, share: float) -> None:
        pass


def played(rule: Rule, sends_ms: list[float], service_ms: float) -> Scripted:
    sends = [round(at * MS) for at in sends_ms]
    script = Scripted(sends, round(service_ms * MS))
    service: Any = script
    open_loop._Run(service, "p", sends, script, rule).work()
    return script


def by_hand(
    rule: Rule, sends_ms: list[float], service_ms: float
) -> list[tuple[float, list[float]]]:
    """The batches of one server, found by trying every moment at which something may happen."""
    batches: list[tuple[float, list[float]]] = []
    left, free_at = list(sends_ms), 0.0
    while left:
        waits = [p / MS if p < FOREVER else float("inf") for p in rule.patience]
        moments = {free_at, *left, *(left[0] + wait for wait in waits)}
        for now in sorted(m for m in moments if max(free_at, left[0]) <= m < float("inf")):
            waiting = [at for at in left if at <= now][: rule.full]
            if len(waiting) == rule.full or now >= left[0] + waits[len(waiting) - 1]:
                break
        else:
            return batches
        batches.append((now, waiting))
        left, free_at = left[len(waiting) :], now + service_ms
    return batches


RULES = {
    "none": constant(1, 0),
    "greedy": constant(4, 0),
    "dynamic": constant(4, 20 * MS),
    "fixed": constant(4, FOREVER),
    "deadline": Rule(4, (9 * MS, 6 * MS, 3 * MS)),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
@pytest.mark.parametrize("gap_ms", [1, 5, 15])
def test_batches_are_taken_up_as_the_rule_says(rule: Rule, gap_ms: float) -> None:
    rng = np.random.default_rng(3)
    sends = np.cumsum(rng.exponential(gap_ms, 101)).round(3).tolist()
    live = played(rule, sends, service_ms=7)
    expected = by_hand(rule, sends, service_ms=7)
    assert [[at / MS for at in batch] for _, batch in live.batches] == [b for _, b in expected]
    assert [at / MS for at, _ in live.batches] == pytest.approx([at for at, _ in expected])
    served = sum(len(batch) for _, batch in live.batches)
    if rule is RULES["fixed"]:  # as in a simulation, a batch that is never full is never served
        assert live.given_up == [(open_loop.NEVER_FULL, [round(sends[-1] * MS)])]
        assert served == 100
    else:
        assert (served, live.given_up) == (101, [])


def test_a_batch_waits_for_company_as_long_as_it_may_and_no_longer() -> None:
    live = played(constant(4, 20 * MS), [0, 15, 30, 45], service_ms=1)
    assert live.batches == [(20 * MS, [0, 15 * MS]), (50 * MS, [30 * MS, 45 * MS])]


def service(per_item_s: float, *, concurrent: bool, base_s: float = 0.0) -> Service:
    clock = WallClock()
    script = fake.Options(
        load=0, first_call_extra=0, base=base_s, per_item=per_item_s, real_time=True
    )
    return Service(
        synthetic.build(synthetic.Options()), {ONE_STAGE: fake.load(Path(), script, 1, clock)}, clock,
        Recorder("a", 0), np.random.default_rng(1), lambda *_: None, concurrent=concurrent,
    )  # fmt: skip


def test_several_in_flight_are_batches_too() -> None:
    """32 requests at once, two servers that take up to 8: four batches of 8, whoever takes them."""
    asked = service(0.0, concurrent=True, base_s=0.05)
    ask(asked, "p", np.zeros(32), constant(8, FOREVER), concurrency=2)
    sizes = Counter(asked.recorder.batches()["batch_size"])
    assert sizes == {8: 4}


@pytest.mark.parametrize("concurrency", [1, 3])
def test_nothing_is_lost_or_asked_twice(concurrency: int) -> None:
    asked = service(0.0002, concurrent=True)
    schedule = np.sort(np.random.default_rng(2).uniform(0, 0.2, 300))
    ask(asked, "p", schedule, constant(4, 1 * MS), concurrency)
    table = asked.recorder.requests()
    assert len(set(table["sent_ns"])) == 300
    assert not any(table["error"])


def test_a_deadline_is_kept_by_what_was_measured() -> None:
    asked = service(0.0, concurrent=False)
    for size, took in ((1, 10), (1, 12), (2, 15), (4, 30)):
        batch = ServedBatch(
            (0,) * 7, 0, took * MS, ["s"] * size, [0] * size, [0] * size, [b""] * size
        )  # type: ignore[list-item]
        asked.recorder.keep(PROFILE, batch)
    part: Any = {"name": "deadline", "max_batch": 4, "deadline": 0.1}
    rule = TakeUp(batching=part).rule(asked, "server")
    # With k waiting: the deadline less what k + 1 take; of 3 the next larger is known.
    assert rule.patience == (85 * MS, 70 * MS, 70 * MS)
    part["max_batch"] = 6
    with pytest.raises(
        InputError, match="how long a batch of 5 takes, and the largest measured is 4"
    ):
        TakeUp(batching=part).rule(asked, "server")


def test_max_batch_is_greedy_and_goes_with_no_other_policy() -> None:
    asked = service(0.0, concurrent=True)
    assert TakeUp(max_batch=3, concurrency=2).rule(asked, "server") == constant(3, 0)
    with pytest.raises(ValidationError, match="give max_batch or batching"):
        TakeUp.model_validate({"max_batch": 3, "batching": "none"})


def test_there_is_one_decision() -> None:
    assert vars(open_loop)["decide"] is batching.decide
    assert all(issubclass(load.Options, TakeUp) for load in (server, capacity))


def test_a_generator_that_is_lost_ends_the_run() -> None:
    lost = SimpleNamespace(start=lambda: 0, wait=lambda _: False, another=lambda: False)
    unused: Any = SimpleNamespace(clock=lambda: 0)
    open_loop._Run(unused, "p", [0, 1], lost, constant(1, 0)).work()

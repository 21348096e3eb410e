"""The clock and the one it is held against, on a machine that holds the process up."""

from __future__ import annotations

import pytest

from bench.measure import validity
from bench.measure.clock import PAIRS, WallClock, at_once


class HeldUp:
    """A right clock; the process is held up between its readings, but for one pair in all."""

    def __init__(self, free: int) -> None:
        self.now_ns, self._left, self._free = 0, 0, free

    def __call__(self) -> int:
        self.now_ns += 100
        return self.now_ns

    def reference_ns(self) -> int:
        self.now_ns += 100 if self._left == self._free else 4_000_000 + self._left
        self._left += 1
        return self.now_ns


@pytest.mark.parametrize("free", [0, 7, PAIRS - 1])
def test_a_process_that_is_held_up_is_no_drift(free: int) -> None:
    clock = HeldUp(free)
    began, reference = at_once(clock)
    clock.now_ns += 1_000_000_000
    clock._left = 0
    ended, later = at_once(clock)
    drift = (ended - began) / (later - reference) - 1
    assert abs(drift) < 1e-6
    assert validity.clock([drift]).status == "valid"


def test_a_pair_is_between_its_neighbours() -> None:
    clock = WallClock()
    before, (moment, reference), after = clock(), at_once(clock), clock()
    assert before <= moment <= after
    assert 0 < reference <= clock.reference_ns()

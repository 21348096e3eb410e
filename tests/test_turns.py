"""Two that measure by turns: one at a time, and none waits for one that is gone."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from bench import cores, turns
from bench.turns import VARIABLE, Turns, invitation, meeting

LIMIT_S = 30.0


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "BURST_S", 0.0)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    both = meeting()
    yield both
    for end in both:
        end.close()


def together(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
        assert not thread.is_alive()


Ends = tuple[socket.socket, socket.socket]


def test_they_alternate_from_the_one_that_begins(ends: Ends) -> None:
    first, second = ends
    done: list[str] = []

    def work(name: str, own: Turns) -> Callable[[], None]:
        def steps() -> None:
            with own:
                for _ in range(20):
                    done.append(name)
                    own.pass_on()

        return steps

    together(work("b", Turns(second, begins=False)), work("a", Turns(first, begins=True)))
    assert done == ["a", "b"] * 20


def test_one_that_is_done_leaves_the_other_alone_and_they_meet_again(ends: Ends) -> None:
    done: list[str] = []

    def work(name: str, own: Turns, numbers: tuple[int, ...]) -> Callable[[], None]:
        def meetings() -> None:
            for number in numbers:
                with own:
                    for _ in range(number):
                        done.append(name)
                        own.pass_on()

        return meetings

    together(work("a", Turns(ends[0]), (2, 3)), work("b", Turns(ends[1], begins=False), (5, 3)))
    assert done == [*"abab", *"bbb", *"ababab"]


def test_one_that_never_comes_holds_nobody_up(ends: Ends) -> None:
    ends[1].close()
    with Turns(ends[0], begins=False) as own:
        assert own.pass_on() == 0


def test_one_that_is_gone_holds_nobody_up(ends: Ends) -> None:
    def goes() -> None:
        with Turns(ends[0]):
            ends[0].close()  # as when the process ends

    def stays() -> None:
        with Turns(ends[1], begins=False) as own:
            own.pass_on()

    together(goes, stays)


def test_without_an_invitation_there_are_no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    for said in ("", "nonsense", "99999 1 0", "1 2"):
        monkeypatch.setenv(VARIABLE, said)
        with Turns.of_environment(1) as own:
            assert own.pass_on() == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system does not pin")
@pytest.mark.parametrize(("threads", "stays"), [(1, True), (2, False), (None, False)])
def test_one_thread_keeps_to_the_core_of_both(
    ends: Ends, threads: int | None, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cores.usable()
    assert before is not None
    (value,) = invitation(ends[0], begins=True, core=before[-1]).values()
    ends[1].close()
    monkeypatch.setenv(VARIABLE, value)
    own = Turns.of_environment(threads)
    with own:
        assert cores.usable() == ([before[-1]] if stays else before)
    assert cores.usable() == before
    own.close()
    assert ends[0].fileno() > 0  # the next arm of the process is invited too


def test_how_long_the_other_took_is_told(ends: Ends) -> None:
    waited: list[int] = []

    def one(own: Turns) -> Callable[[], None]:
        def steps() -> None:
            with own:
                waited.append(sum(own.pass_on() for _ in range(5)))

        return steps

    together(one(Turns(ends[0])), one(Turns(ends[1], begins=False)))
    assert all(nanoseconds > 0 for nanoseconds in waited)

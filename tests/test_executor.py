"""Every engine gives the same results in the same order, and passes errors on."""

from __future__ import annotations

import copy
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.errors import InputError, UnknownName
from bench.executor import (
    Executor,
    Inline,
    LocalProcesses,
    Report,
    engine,
    here,
    in_order,
    opened,
    signs_of_life,
)
from tests.busy import until

pytestmark = pytest.mark.slow


def square(number: int) -> int:
    if number < 0:
        raise InputError("a negative number", where="item")
    return number * number


def process_id(_: int) -> int:
    return os.getpid()


@pytest.fixture(params=["inline", "local", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    dask = request.param == "dask"
    with opened(request.getfixturevalue("dask_address") if dask else request.param) as found:
        yield found


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """A scheduler and a worker on loopback, in a process of their own."""
    pytest.importorskip("distributed", reason='needs pip install "inference-testbed[dask]"')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = (
        "import sys; from distributed import LocalCluster\n"
        "if __name__ == '__main__':\n"
        f"    cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False,\n"
        f"        host='127.0.0.1', scheduler_port={port}, dashboard_address=None)\n"
        "    sys.stdin.read()\n"
    )
    # From the root of the repository: other packages bring a folder called "tests" too.
    command = [sys.executable, "-c", program]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE)

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(answers, "the scheduler answers", process)
        yield f"tcp://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def test_results_come_in_order_with_progress(executor: Executor) -> None:
    seen: list[int] = []
    assert in_order(executor, square, [3, 1, 2], seen.append) == [9, 1, 4]
    assert seen == [1, 2, 3]


def test_an_engine_is_asked_again_and_again(executor: Executor) -> None:
    """A run has several pieces of work: the simulation, the sweep, the what-ifs."""
    for _ in range(3):
        assert in_order(executor, square, [3, 1, 2]) == [9, 1, 4]
    with pytest.raises(InputError):
        in_order(executor, square, [1, -1, 2])
    assert in_order(executor, square, [4]) == [16]


def test_an_error_keeps_its_kind_and_its_words(executor: Executor) -> None:
    with pytest.raises(InputError) as caught:
        in_order(executor, square, [1, -1])
    assert str(caught.value) == "item: a negative number."


@pytest.mark.parametrize(
    "error",
    [InputError("w", where="f:1:2", allowed="a", todo="t"), UnknownName("task", "x", ["xy"])],
)
def test_errors_survive_the_way_between_processes(error: InputError) -> None:
    again = copy.copy(error)  # by the same protocol as between processes
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_fresh_means_a_process_for_each_item() -> None:
    found = in_order(LocalProcesses(1, fresh=True), process_id, [0, 0, 0])
    assert len({*found, os.getpid()}) == 4


def test_inline_stays_here() -> None:
    assert in_order(Inline(), process_id, [0]) == [os.getpid()]


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(InputError, match="Allowed: local, inline"):
        engine("clowd")


@pytest.mark.parametrize(
    "address", ["tcp://", "tcp://host", "tcp://:8786", "tcp://h:x", "tcp://h: 1"]
)
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(InputError, match=r"is no address.*tcp://HOST:PORT"):
        engine(address)


def test_no_scheduler_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason='needs pip install "inference-testbed[dask]"')
    monkeypatch.setattr("bench.executor.CONNECT_TIMEOUT_S", 0.5)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="no Dask scheduler answers"):
            engine(f"tcp://127.0.0.1:{free.getsockname()[1]}")


def _slow(over: Callable[[], bool], report: Report) -> str:
    with signs_of_life(report, "a long call"):
        until(over, "the call is over")
    return "done"


def test_a_long_call_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.executor.SIGN_OF_LIFE_S", 0.01)
    seen: list[str] = []
    done = here(_slow, lambda: len(seen) > 2, 0.1, lambda what, share: seen.append(what))
    assert done == "done"
    assert set(seen) == {"a long call"}


def test_signs_of_life_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.executor.SIGN_OF_LIFE_S", 0.01)
    monkeypatch.setattr("bench.executor.LONGEST_SILENCE_S", 0.05)
    seen: list[str] = []
    _slow(lambda: not beating(), lambda what, share: seen.append(what))
    assert len(seen) == 6  # at the start, and five times in 0.05 s


def beating() -> bool:
    return any(thread.name == "signs-of-life" for thread in threading.enumerate())

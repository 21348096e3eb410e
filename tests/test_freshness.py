"""The rule against caches of results: it finds them, and the processor's own cache is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.measure import validity
from bench.measure.backends import Feeds, Placement, TensorSpec, onnxruntime_cpu
from bench.measure.clock import Clock, WallClock
from bench.measure.freshness import MOST_PAIRS, compare_fresh_and_repeated, unseen
from bench.measure.measurement import Freshness
from bench.measure.recorder import Recorder
from bench.measure.service import Service
from bench.measure.tasks import ONE_STAGE, tensors
from tests import models

CPU_CACHE = 0.7
"""An input that lies in the processor's cache took so much of the time in the reports."""


class Machine:
    """A model of a computer: what a call takes depends on what it is fed with, and on nothing else."""

    inputs: Sequence[TensorSpec] = (TensorSpec("x", "float32", (None, 64)),)
    outputs: Sequence[TensorSpec] = (TensorSpec("y", "float32", (None, 64)),)

    def __init__(self, seconds: Callable[[npt_array, int], float]) -> None:
        self.now_ns, self._seconds, self._calls = 0, seconds, 0

    def __call__(self) -> int:
        return self.now_ns

    def reference_ns(self) -> int:
        return self.now_ns

    def run(self, feeds: Feeds) -> Sequence[np.ndarray[Any, Any]]:
        (array,) = feeds.values()
        self._calls += 1
        self.now_ns += round(1e9 * self._seconds(array, self._calls))
        return [np.array(array)]

    def placement(self) -> Placement:
        return Placement(wanted="CPU", nodes={}, proof=None)

    def metadata(self) -> dict[str, str]:
        return {}


npt_array = np.ndarray[Any, Any]


def compared(
    session: Any, clock: Clock, tmp_path: Path, pairs: int = 12, seed: int = 0
) -> Freshness:
    return compare_fresh_and_repeated(service(session, clock, tmp_path, seed), pairs)


def service(session: Any, clock: Clock, tmp_path: Path, seed: int = 0) -> Service:
    (tmp_path / "m.onnx").write_bytes(b"")
    task = tensors.build(tensors.Options(file=tmp_path / "m.onnx"))
    task.prepare({ONE_STAGE: session})
    rng, recorder = np.random.default_rng(seed), Recorder("a", 0)
    return Service(task, {ONE_STAGE: session}, clock, recorder, rng, lambda *_: None)


def test_what_remembers_its_answers_is_found(tmp_path: Path) -> None:
    seen: set[bytes] = set()

    def seconds(array: npt_array, call: int) -> float:
        known = array.tobytes() in seen
        seen.add(array.tobytes())
        return 0.007 if known else 0.010

    machine = Machine(seconds)
    found = compared(machine, machine, tmp_path)
    assert found.ratio.value == pytest.approx(0.7)
    assert found.fresh_s == pytest.approx(0.010)
    assert validity.fresh_inputs([found]).status == "invalid"


def test_memory_that_was_just_read_is_no_cache_of_results(tmp_path: Path) -> None:
    last: list[int] = []

    def seconds(array: npt_array, call: int) -> float:
        warm = last[-1:] == [array.__array_interface__["data"][0]]
        last.append(array.__array_interface__["data"][0])
        return 0.010 * (CPU_CACHE if warm else 1)

    machine = Machine(seconds)
    found = compared(machine, machine, tmp_path)
    assert found.ratio.value == 1
    assert validity.fresh_inputs([found]).status == "valid"


def test_calls_that_are_quicker_every_second_time_are_no_cache(tmp_path: Path) -> None:
    """As a branch predictor, an allocator or a neighbour on the same core may make them."""
    machine = Machine(lambda array, call: 0.010 * (CPU_CACHE if call % 2 else 1))
    statuses = {
        validity.fresh_inputs([compared(machine, machine, tmp_path, seed=seed)]).status
        for seed in range(30)
    }
    assert statuses == {"valid"}


def test_noise_alone_is_no_cache(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    machine = Machine(lambda array, call: float(0.010 * rng.lognormal(0, 0.5)))
    verdicts = [
        validity.fresh_inputs([compared(machine, machine, tmp_path, seed=seed)]).status
        for seed in range(200)
    ]
    assert verdicts.count("invalid") == 0


def test_a_suspicion_must_show_twice(tmp_path: Path) -> None:
    """The first 20 calls look like a cache, and nothing after them does."""
    seen: set[bytes] = set()

    def seconds(array: npt_array, call: int) -> float:
        known = array.tobytes() in seen
        seen.add(array.tobytes())
        return 0.005 if known and call <= 27 else 0.010

    machine = Machine(seconds)
    found = compared(machine, machine, tmp_path)
    assert found.ratio.value == 1
    assert validity.fresh_inputs([found]).status == "valid"


def test_quick_models_are_asked_more_often(tmp_path: Path) -> None:
    for seconds, pairs in ((0.010, 12), (1e-5, MOST_PAIRS), (1.0, 12)):
        machine = Machine(lambda array, call, each=seconds: each)
        found = compared(machine, machine, tmp_path)
        assert found.ratio.n == pairs


class Remembering:
    """A session in front of which somebody put a dictionary."""

    def __init__(self, session: Any) -> None:
        self._session, self._known = session, dict[bytes, Any]()
        self.inputs, self.outputs = session.inputs, session.outputs
        self.placement, self.metadata = session.placement, session.metadata

    def run(self, feeds: Mapping[str, npt_array]) -> Any:
        key = b"".join(array.tobytes() for array in feeds.values())
        if key not in self._known:
            self._known[key] = self._session.run(feeds)
        return self._known[key]


def test_a_real_network_is_never_taken_for_a_cache_and_a_dictionary_always(tmp_path: Path) -> None:
    """A small convolution on an image of 600 kB: with inputs that lay in several places, nine of ten
    first runs of such a network were called a cache."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    kernel = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
    path = models.graph_model(
        tmp_path / "m.onnx",
        [
            ("Conv", ["x", "k"], ["c"], {"strides": [2, 2]}),
            ("Relu", ["c"], ["r"], {}),
            ("GlobalAveragePool", ["r"], ["y"], {}),
        ],
        [("x", onnx.TensorProto.FLOAT, ["b", 3, 224, 224])],
        [("y", onnx.TensorProto.FLOAT, ["b", 8, 1, 1])],
        k=kernel,
    )
    session = onnxruntime_cpu.load(path, onnxruntime_cpu.Options(), 1, WallClock())
    task = tensors.build(tensors.Options(file=path))
    task.prepare({ONE_STAGE: session})

    def verdicts(asked: Any, times: int) -> list[str]:
        parts = (WallClock(), Recorder("a", 0), np.random.default_rng(0), lambda *_: None)
        whole = Service(task, {ONE_STAGE: asked}, *parts)
        found = [compare_fresh_and_repeated(whole, 12) for _ in range(times)]
        return [validity.fresh_inputs([one]).status for one in found]

    assert verdicts(session, 40).count("invalid") == 0

    class Slow:
        """So slow that the dictionary's own work does not matter."""

        inputs, outputs = session.inputs, session.outputs
        placement, metadata = session.placement, session.metadata

        def run(self, feeds: Feeds) -> Any:
            for _ in range(19):
                session.run(feeds)
            return session.run(feeds)

    # Load can hide a cache, where a repeated call is held up, and never makes one: five tries each.
    for remembering in (Remembering(Slow()) for _ in range(3)):
        assert any(verdicts(remembering, 1) == ["invalid"] for _ in range(5))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 3), dtype=np.float32),
        np.array([[np.nan, 2.5, np.inf]], dtype=np.float64),
        np.linspace(-1, 1, 7).astype(np.float16)[None],
        np.arange(40, dtype=np.int64)[None],
        np.arange(6, dtype=np.int32)[None],
        np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3)).astype(np.uint8),
        np.array([["a", "b", "c", "d", "e"]], dtype=object),
        np.tile([True, False], 30)[None],
    ],
    ids=["zeros", "holes", "halves", "tokens", "few", "pixels", "words", "bits"],
)
def test_every_change_makes_an_input_that_was_not_there(array: npt_array) -> None:
    feeds = {"x": np.array(array, order="C"), "mask": np.ones((1, 3), dtype=np.int64)}
    states = {repr(feeds["x"].tolist())}
    changes = unseen(feeds, 24)
    for place, value in changes:
        place[...] = value
        states.add(repr(feeds["x"].tolist()))
    assert len(changes) == 24
    assert len(states) == 25
    assert feeds["x"].dtype == array.dtype


def test_what_cannot_be_changed_is_not_checked(tmp_path: Path) -> None:
    class Constant(Machine):
        inputs = (TensorSpec("x", "int64", (None, 1)),)

    machine = Constant(lambda array, call: 0.01)
    verdict = validity.fresh_inputs([compared(machine, machine, tmp_path)])
    assert verdict.status == "not checked"
    assert "no value of its inputs can be changed" in verdict.reason

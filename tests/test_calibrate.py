"""Reference networks: what they are, how they are timed, and what is kept of it."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import calibrating
from bench.calibrating import calibrate, chosen
from bench.compare import Comparison
from bench.errors import InputError, Interrupted, MissingRequirement, UnknownName, WorkerLost
from bench.finished import offer_calibration
from bench.folders import data_folder
from bench.hardware import Catalogue
from bench.measure import (
    NETWORKS,
    Calibration,
    Cell,
    Reference,
    calibrations,
    describe_environment,
    own_folder,
    usable_cores,
)
from bench.measure.backends import fake
from bench.measure.reference_networks import built_network, feeds_of, with_even_signals
from bench.measure.reference_times import cells_of
from bench.profile import calibrated_settings
from bench.record import Origin
from bench.store import Run
from bench.work import quiet
from tests.conftest import Bench

TINY = Reference(
    "tiny", 32, "ResNetForImageClassification",
    {"layer_type": "basic", "depths": [1, 1], "hidden_sizes": [8, 16], "embedding_size": 8}, 0, 0,
)  # fmt: skip
OTHER = TINY._replace(name="other")
RUNTIME = "onnxruntime-cpu"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue and a cache of the test's own; its ``hardware_profiles``."""
    folder = tmp_path / "data"
    shutil.copytree(data_folder("hardware_profiles"), folder / "hardware_profiles")
    monkeypatch.setenv("BENCH_DATA", str(folder))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return folder / "hardware_profiles"


# What the networks are


@pytest.mark.real
@pytest.mark.parametrize("reference", NETWORKS, ids=lambda one: one.name)
def test_a_network_is_the_one_of_its_name(reference: Reference) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network = built_network(reference)
        shape = (1, reference.input) if reference.kind == "text" else (1, 3, *[reference.input] * 2)
        fed = torch.zeros(shape, dtype=torch.int64 if reference.kind == "text" else torch.float32)
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(fed)
    parameters = sum(weight.numel() for weight in network.parameters())
    assert parameters == pytest.approx(reference.parameters, rel=0.01)
    assert counted.get_total_flops() / 2 == pytest.approx(reference.operations, rel=0.01)


def test_networks_are_those_of_the_published_table() -> None:
    keys = [(one.name, one.input) for one in NETWORKS]
    assert len(set(keys)) == len(keys) >= 12
    table = data_folder("hardware_profiles") / "published" / "networks.csv"
    if not table.is_file():
        pytest.skip("the table of published times is not there")
    with table.open(newline="", encoding="utf-8") as file:
        published = {
            (r["network"], int(r["input"])): float(r["parameters"]) for r in csv.DictReader(file)
        }
    assert [key for key in keys if key not in published] == []
    for one in NETWORKS:
        assert published[one.name, one.input] == pytest.approx(one.parameters, rel=0.01)


@pytest.mark.real
@pytest.mark.slow
def test_signals_do_not_fade_on_their_way_through_an_untrained_network() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    deep = next(one for one in NETWORKS if one.name == "efficientnet_b0")
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        faded = built_network(deep)(images).abs().max()
        even = with_even_signals(built_network(deep), images)(images).abs().max()
    assert faded < 1e-30 < 1e-3 < even < 1e3


def test_no_two_calls_are_fed_the_same() -> None:
    rng, spec = np.random.default_rng(0), fake.FakeSession.inputs[0]
    first, second = (feeds_of(TINY, spec, 2, rng)[spec.name] for _ in range(2))
    assert first.shape == (2, 3, 32, 32)
    assert first.dtype == np.float32
    assert not np.array_equal(first, second)
    words = feeds_of(TINY._replace(architecture="BertModel"), spec, 2, rng)[spec.name]
    assert words.shape == (2, 32)
    assert words.dtype == np.int64


# How they are timed


def scripted(batch: int = 8, **options: Any) -> list[Cell]:
    clock = fake.ScriptedClock()
    session = fake.FakeSession(fake.Options(**options), clock)
    return cells_of(session, TINY, batch, clock, lambda what, share: None)


def test_a_sample_alone_and_a_sample_of_a_full_batch() -> None:
    one, many = scripted(base=0.004, per_item=0.001, first_call_extra=5.0)
    assert (one.regime, one.batch) == ("one", 1)
    assert one.seconds == pytest.approx(0.005)
    assert one.calls * 0.005 >= 0.7
    assert (many.regime, many.batch) == ("many", 8)
    assert many.seconds == pytest.approx(0.012 / 8)
    assert (one.spread, many.spread) == (0, 0)


def test_what_calls_differ_by_is_told() -> None:
    one, _ = scripted(base=0.01, per_item=0.0, spread=0.2)
    assert one.spread == pytest.approx(0.4, rel=0.05)


def test_a_slow_machine_gets_few_calls_and_no_full_batches() -> None:
    (one,) = scripted(base=0.0, per_item=1.5)
    assert one.calls == 14
    (slower,) = scripted(base=0.0, per_item=60.0)
    assert slower.calls == 1


# What is done, in which order, and what is kept


def cell(reference: Reference, regime: Any = "one", seconds: float = 0.01) -> Cell:
    return Cell(
        network=reference.name, input=reference.input, regime=regime,
        batch=1 if regime == "one" else 8, seconds=seconds, spread=0.0, calls=15,
    )  # fmt: skip


def both(reference: Reference) -> list[Cell]:
    return [cell(reference), cell(reference, "many", 0.004)]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., calibrating.Done]:
    """Calibrate with answers in the place of processes; an exception is raised, as one would."""
    monkeypatch.setattr(calibrating, "unmade", lambda networks, format_: [])

    def run(
        *answers: Any, networks: Sequence[Reference] = (TINY, OTHER), name: str | None = None,
        budget: float = 100.0, took: float = 0.0, out: Path | None = None,
    ) -> calibrating.Done:  # fmt: skip
        left, now = list(answers), [0.0]
        monkeypatch.setattr(calibrating, "time", SimpleNamespace(monotonic=lambda: now[0]))

        def isolate(function: Any, item: Any, stall: float, look: Any) -> Any:
            now[0] += took
            look("busy", 0.5)
            answer = left.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return calibrate([RUNTIME], name, out, budget, quiet, isolate, networks)

    return run


def test_what_is_seen_of_this_machine_is_for_it_alone(play: Any, data: Path) -> None:
    done = play(both(TINY), both(OTHER))
    ((calibration, path),) = done.kept
    assert path == own_folder() / f"{RUNTIME}.json"
    assert calibration.device == "this-host"
    assert calibration.threads == usable_cores()
    assert calibration.version == describe_environment()["packages"]["onnxruntime"]
    (read,) = calibrations(Catalogue())
    assert (read.here, read.device, read.runtime) == (True, "this-host", RUNTIME)
    assert read.seconds("one") == {("tiny", 32): 0.01, ("other", 32): 0.01}
    assert read.seconds("many") == {("tiny", 32): 0.004, ("other", 32): 0.004}
    assert not (data / "measured" / "this-host").exists()


def test_a_machine_with_a_name_is_kept_for_all_and_described(play: Any, data: Path) -> None:
    ((calibration, path),) = play(both(TINY), both(OTHER), name="small-box").kept
    assert path == data / "measured" / "small-box" / "calibration" / f"{RUNTIME}.json"
    assert not Catalogue().device("small-box").here
    assert [one.device for one in calibrations(Catalogue())] == ["small-box"]
    settings = calibrated_settings(Catalogue())
    assert {one.device for one in settings} == {"small-box", "this-host"}
    assert {one.software for one in settings} == {"onnx"}
    assert Calibration.model_validate_json(path.read_text()) == calibration


def test_a_cache_that_another_machine_has_written_says_nothing_of_this_one(play: Any) -> None:
    ((calibration, path),) = play(both(TINY), both(OTHER)).kept
    seen = {**calibration.environment, "cpu": "of somebody else"}
    path.write_text(calibration.model_copy(update={"environment": seen}).model_dump_json())
    assert calibrations(Catalogue()) == []


def test_one_with_fewer_networks_does_not_take_the_place_of_one_with_more(play: Any) -> None:
    ((_, path),) = play(both(TINY), both(OTHER)).kept
    before = path.read_bytes()
    ((_, nowhere),) = play(both(TINY), WorkerLost("it was ended")).kept
    assert nowhere is None
    assert path.read_bytes() == before
    ((again, _),) = play([cell(TINY, seconds=0.02), *both(OTHER)[:1]], both(OTHER)).kept
    assert len(again.cells) == 4
    assert path.read_bytes() != before


def test_a_process_that_is_lost_costs_its_own_network(play: Any) -> None:
    ((calibration, _),) = play(WorkerLost("it was ended"), [cell(OTHER)]).kept
    assert [one.network for one in calibration.cells] == ["other"]
    assert "it was ended" in calibration.skipped["tiny"]
    assert "full batch" in calibration.skipped["other"]


def test_nothing_is_kept_where_nothing_was_measured(play: Any) -> None:
    with pytest.raises(WorkerLost, match="the first"):
        play(WorkerLost("the first"), WorkerLost("the second"))
    assert not list(own_folder().iterdir())


def test_ctrl_c_keeps_what_was_done(play: Any) -> None:
    done = play(both(TINY), KeyboardInterrupt())
    assert done.interrupted
    (kept,) = calibrations(Catalogue())
    assert kept.seconds("one") == {("tiny", 32): 0.01}
    assert kept.seconds("many") == {("tiny", 32): 0.004}
    with pytest.raises(Interrupted):
        play(KeyboardInterrupt())


def test_what_does_not_fit_the_budget_is_left_out(play: Any) -> None:
    ((calibration, _),) = play(both(TINY), both(OTHER), budget=100.0, took=60.0).kept
    assert [one.network for one in calibration.cells] == ["tiny", "tiny"]
    assert "--budget" in calibration.skipped["other"]
    with pytest.raises(Exception, match="--budget"):
        play(both(TINY), both(OTHER), budget=50.0, took=60.0)


def test_networks_are_exported_first_and_those_that_cannot_be_are_left_out(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        calibrating, "unmade", lambda networks, format_: [n for n in networks if n.name == "tiny"]
    )
    ((calibration, _),) = play({"tiny": "no such operation"}, both(OTHER)).kept
    assert calibration.skipped == {"tiny": "no such operation"}
    monkeypatch.setattr(calibrating, "unmade", lambda networks, format_: list(networks))
    with pytest.raises(MissingRequirement, match="torch"):
        play(MissingRequirement("it needs torch"))


# What is refused, and what is offered


def test_a_runtime_must_take_networks_and_be_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="onnxruntime-cpu"):
        chosen(["onnxruntime-cpuu"])
    with pytest.raises(UnknownName, match="unknown runtime 'fake'"):
        chosen(["fake"])
    monkeypatch.setattr(calibrating, "missing_for", lambda name: f"the package of {name}")
    with pytest.raises(MissingRequirement, match="needs the package of tensorrt"):
        chosen(["tensorrt"])
    with pytest.raises(MissingRequirement):
        chosen([])
    monkeypatch.setattr(
        calibrating, "missing_for", lambda name: None if "eager" in name else "more"
    )
    assert chosen([]) == ["torch-eager", "torch-eager-cuda"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--runtime", "onnx"), "unknown runtime 'onnx'"),
        (("--as", "My Box"), "'My Box' cannot be the name of a device"),
        (("--as", "../up"), "cannot be the name of a device"),
        (("--as", "this-host-one-thread"), "whichever machine the program runs on"),
        (("--budget", "0"), "--budget"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    bench: Bench, arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = bench("calibrate", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_folder_that_cannot_be_written_to_is_found_before_anything_is_measured(
    play: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out"):
        play(out=tmp_path / "file" / "inside")


def test_a_run_with_projections_offers_a_calibration_until_there_is_one(
    finished_run: Run, play: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    offer_calibration(finished_run)
    assert capsys.readouterr().out == ""
    comparison = finished_run.load("comparison.json", Comparison)
    far = Origin(subject="service times of x@y", provenance="projected", source="a table")
    first = comparison.ranking[0].model_copy(update={"origins": [far]})
    ranking = [first, *comparison.ranking[1:]]
    finished_run.save("comparison.json", comparison.model_copy(update={"ranking": ranking}))
    offer_calibration(finished_run)
    said = capsys.readouterr().out
    assert "bench calibrate" in said
    assert first.deployment in said
    assert said.count("\n") == 1
    play(both(TINY), both(OTHER))
    offer_calibration(finished_run)
    assert capsys.readouterr().out == ""


@pytest.mark.real
@pytest.mark.slow
def test_a_network_is_exported_and_timed_in_processes_of_their_own(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "transformers", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.setattr(calibrate, "__defaults__", (*calibrate.__defaults__[:-1], (TINY,)))  # type: ignore[index]
    code, out, err = bench("calibrate", "--runtime", RUNTIME, "--json")
    assert code == 0, err
    (found,) = json.loads(out)["calibrations"]
    assert [(one["network"], one["regime"]) for one in found["cells"]] == [
        ("tiny", "one"),
        ("tiny", "many"),
    ]
    assert all(one["seconds"] > 0 for one in found["cells"])
    assert Path(found["file"]).is_file()
    code, out, _ = bench("calibrate", "--runtime", RUNTIME)
    assert code == 0
    assert "tiny" in out
    assert "in batches of 8" in out

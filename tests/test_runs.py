"""A run is asked for once, owned by one process, and ends where it was meant to, whenever it is killed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

from bench import pages, pipeline, store, sweep
from bench.errors import InputError
from bench.executor import Executor, Inline
from bench.gather import load_profiles
from bench.lock import owned
from bench.pipeline import plan, resume, run, simulate_into
from bench.prepare import Order, Settings, order, prepare, resolver
from bench.simulate import simulate
from bench.store import Journal, Run, read_record
from tests import conftest

pytestmark = pytest.mark.slow

INLINE = Settings(engine="inline")
FAKE_SCENARIO = conftest.FAKE_SCENARIO.replace('"10:00"', '"08:05"').replace(": 3}", ": 2}")
"""Five minutes of it."""
SWEEP = """
sweep:
  deployments.cloud.scaling.replicas: [1, 2]
  workload.arrivals.rate: [5/min, 6/min]
"""
SPACE = """
plan:
  offers: [civo/standard-*, edge/*]
  batching: [none]
  scaling: [{name: fixed, replicas: 1}]
  nodes: [1]
"""


class Killed(BaseException):
    """As SIGKILL, but for what is still in memory."""


@pytest.fixture(autouse=True)
def _few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without those that take seconds and change nothing about the order."""
    for goal, stages in pipeline.ARROWS.items():
        slow = {"what_if.json", "day.parquet", "report.html"}
        few = tuple(stage for stage in stages if stage.leaves not in slow)
        monkeypatch.setitem(pipeline.ARROWS, goal, few)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    (folder / "s.yaml").write_text(FAKE_SCENARIO)
    return run(folder / "s.yaml", folder / "run", INLINE).path


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, write: int) -> Iterator[None]:
    """The process dies at its ``write``-th file, before that appears."""
    written = 0
    whole = store._replacing

    @contextmanager
    def replacing(path: Path) -> Iterator[IO[bytes]]:
        nonlocal written
        written += 1
        if written > write:
            raise Killed
        with whole(path) as file:
            yield file

    with monkeypatch.context() as patched:
        patched.setattr(store, "_replacing", replacing)
        yield


def files(folder: Path) -> dict[str, bytes]:
    """All that a run says, but for when and how it was begun."""
    left_out = {
        "written.sha256",
        "run.json",
        "report.json",
        "report.html",
        "plan.html",
        "measurement.json",
    }
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in left_out
    }


@pytest.mark.parametrize("goal", ["simulate", "plan"])
def test_killed_at_any_file_it_ends_as_it_was_asked(
    goal: str, measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO + (SWEEP if goal == "simulate" else SPACE))
    profiles = load_profiles(measured)
    settings = Settings(engine="inline", seed=7, method="reference")

    def begin(out: Path) -> None:
        if goal == "plan":
            plan(scenario, profiles, out, settings)
        else:
            simulate_into(scenario, profiles, out, settings)

    begin(tmp_path / "whole")
    whole = files(tmp_path / "whole")
    assert ("sweep.parquet" in whole) == (goal == "simulate")
    assert ("plan.json" in whole) == (goal == "plan")
    for write in (0, 3, 4, 6, 8):
        out = tmp_path / f"at-{write}"
        with killed_at(monkeypatch, write), suppress(Killed):
            begin(out)
        if not out.exists():
            assert write < 4  # the header, what was asked, and two profiles
            continue
        if Run.open(out).header.status == "incomplete":
            assert resume(out, INLINE).header.seed == 7
        assert files(out) == whole


def test_a_run_that_replaces_another_ends_in_its_place(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, out = tmp_path / "s.yaml", tmp_path / "out"
    scenario.write_text(FAKE_SCENARIO)
    profiles = load_profiles(measured)
    simulate_into(scenario, profiles, out, INLINE)
    first = files(out)
    other = Settings(engine="inline", seed=2)
    for name in ("out", "out.incomplete"):
        with killed_at(monkeypatch, 6), pytest.raises(Killed):
            simulate_into(scenario, profiles, out, other)
        assert files(out) == first
        with pytest.raises(
            InputError, match=r"unfinished run.*bench run --resume \S+/out`.*remove"
        ):
            simulate_into(scenario, profiles, out, INLINE)
        done = resume(tmp_path / name, INLINE)
        assert (done.path, done.header.status, done.header.seed) == (out, "complete", 2)
        assert sorted(os.listdir(tmp_path)) == ["out", "s.yaml"]
        first = files(out)
    with pytest.raises(InputError, match="this run is complete"):
        resume(out, INLINE)


def test_killed_between_the_two_renames(tmp_path: Path, measured: Path) -> None:
    """The old run is aside, the new one is whole and not yet in its place."""
    out = tmp_path / "out"
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO)
    simulate_into(scenario, load_profiles(measured), out, INLINE)
    out.rename(tmp_path / "out.old")
    simulate_into(
        scenario, load_profiles(measured), tmp_path / "new", Settings(engine="inline", seed=2)
    )
    (tmp_path / "new").rename(tmp_path / "out.incomplete")
    assert resume(out, INLINE).header.seed == 2
    assert Run.open(out).header.seed == 2
    assert not (tmp_path / "out.old").exists()


def test_a_run_has_one_owner(measured: Path, tmp_path: Path) -> None:
    scenario, out = tmp_path / "s.yaml", tmp_path / "out"
    scenario.write_text(FAKE_SCENARIO)
    with owned(out), pytest.raises(InputError, match="another process is working on this run"):
        simulate_into(scenario, load_profiles(measured), out, INLINE)
    assert sorted(os.listdir(tmp_path)) == ["s.yaml"]
    simulate_into(scenario, load_profiles(measured), out, INLINE)
    with owned(out), pytest.raises(InputError, match="another process"):
        pages.report_again(out)
    assert pages.report_again(out)[1] == out / "report.html"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with owned(tmp_path / "run"):
            os.write(write, b"x")
            os.kill(os.getpid(), 9)
    os.read(read, 1)
    os.waitpid(child, 0)
    assert os.listdir(tmp_path) == [".run.lock"]
    with owned(tmp_path / "run"):
        pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "out",
    ["x" * 300, "thesis.txt/run", "run.incomplete/../" + "y" * 300],
)
def test_a_folder_that_cannot_be_made(measured: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "thesis.txt").write_text("…")
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO)
    with pytest.raises(InputError, match=r"nothing can be written there|cannot be made"):
        simulate_into(scenario, load_profiles(measured), tmp_path / out, INLINE)


def test_here_is_a_folder_too(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, out = tmp_path / "s.yaml", tmp_path / "mine"
    scenario.write_text(FAKE_SCENARIO)
    out.mkdir()
    monkeypatch.chdir(out)
    done = simulate_into(scenario, load_profiles(measured), Path(), INLINE)
    assert done.path == out
    assert Run.open(out).header.status == "complete"


def test_a_bad_sweep_leaves_nothing(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO + "sweep: {deployments.clod.fleet: [2]}\n")
    with pytest.raises(InputError, match="no 'clod'"):
        run(scenario, tmp_path / "out", INLINE)
    assert os.listdir(tmp_path) == ["s.yaml"]


@pytest.mark.parametrize("path", ["task.samples", "measure.max_batch"])
def test_a_sweep_over_what_is_measured_is_refused(tmp_path: Path, path: str) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO + f"sweep: {{{path}: [4, 16]}}\nmeasure: {{budget: smoke}}\n")
    with pytest.raises(InputError, match="changes what is measured"):
        order("run", scenario, INLINE)


def test_what_a_sweep_asks_is_as_long_as_its_values(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    sizes = []
    for number in (4, 40):
        values = list(range(1, number + 1))
        scenario.write_text(FAKE_SCENARIO + f"sweep: {{workload.sources: {values}}}\n")
        asked = order("run", scenario, INLINE)
        assert asked.sweep is not None
        assert len(asked.sweep) == number
        sizes.append(len(asked.model_dump_json()))
    assert sizes[1] - sizes[0] < 36 * 40


def test_some_points_at_a_time_are_the_same_points(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO + SWEEP)
    profiles = load_profiles(measured)
    at_once = simulate_into(scenario, profiles, tmp_path / "a", INLINE)
    monkeypatch.setattr(sweep, "POINTS_AT_ONCE", 3)
    some = simulate_into(scenario, profiles, tmp_path / "b", INLINE)
    assert some.table("sweep.parquet").equals(at_once.table("sweep.parquet"))
    assert not list(some.path.glob("*.jsonl"))


def test_a_point_keeps_the_prices_it_was_asked_with(tmp_path: Path) -> None:
    """What a sweep's names led to is in the run: a catalogue that changed changes nothing."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "schema_version: 1\npurchases:\n  edge/mini-pc: {price: $123, provenance: assumed, "
        "source: a friend}\n"
    )
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO + SWEEP)
    asked = order("run", scenario, Settings(engine="inline", overrides=mine))
    mine.unlink()
    again = Order.model_validate_json(asked.model_dump_json())
    assert again.sweep is not None
    points = list(again.sweep.points(resolver(Settings())))
    assert len(points) == 4
    assert {float(p.scenario.offers["edge"].machine.purchase.price) for p in points} == {123.0}  # type: ignore[union-attr]
    rates = [point.scenario.scenario.workload.arrivals.options["rate"] for point in points]
    assert rates == pytest.approx([5 / 60, 6 / 60] * 2)


JOURNAL = b'{"key": "a", "value": 1}\n'


@pytest.mark.parametrize(
    "damage",
    [
        b"{",
        b"[]\n",
        b'{"key": "b"}\n',
        b"null\n",
        b'{"key": "b", "value": 2}',
        b"\xff\xfe\n",
        b"\0" * 9,
    ],
)
def test_a_damaged_line_of_a_journal_is_dropped(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(JOURNAL + damage)
    journal = Journal(path)
    assert (journal.get("a"), journal.get("b")) == (1, None)
    journal.add("c", 3)
    assert Journal(path).get("c") == 3


def test_a_damaged_result_is_simulated_again(measured: Path, tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO)
    asked, profiles = prepare(scenario, INLINE), load_profiles(measured)
    kept = Journal(tmp_path / "j.jsonl")
    first = simulate(asked, profiles, 1, Inline(), journal=kept)
    lines = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines()]
    lines[0]["value"][0]["requests"] = "many"
    lines[1]["value"] = None
    (tmp_path / "j.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    again = simulate(asked, profiles, 1, Inline(), journal=Journal(tmp_path / "j.jsonl"))
    assert again == first


READ: dict[str, Callable[[Path], object]] = {
    "asked.json": lambda folder: read_record(folder / "asked.json", Order),
    "day.parquet": lambda folder: Run.open(folder).table("day.parquet"),
    "run.json": lambda folder: Run.open(folder).header,
}


def _in_place_of(path: Path, what: str) -> None:
    data = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "zero":
        path.symlink_to("/dev/zero")
    elif what == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif what == "flipped":
        middle = len(data) // 2
        path.write_bytes(data[: middle - 40] + bytes(80) + data[middle + 40 :])


@pytest.mark.parametrize("what", ["folder", "pipe", "zero", "cut", "missing"])
@pytest.mark.parametrize("name", READ)
def test_what_stands_in_a_files_place_is_said(
    measured: Path, tmp_path: Path, what: str, name: str
) -> None:
    folder = tmp_path / "R"
    shutil.copytree(measured, folder)
    _in_place_of(folder / name, what)
    with pytest.raises(InputError) as caught:
        READ[name](folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_executor_stays_open_to_the_end(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of a cluster that closed after its first work made the what-ifs fail."""

    class Once(Inline):
        closed = False

        def each(self, function, items):  # type: ignore[no-untyped-def]
            assert not self.closed
            return super().each(function, items)

        def close(self) -> None:
            self.closed = True

    made: list[Once] = []

    def engine(name: str) -> Executor:
        made.append(Once())
        return made[-1]

    monkeypatch.setattr("bench.executor.engine", engine)
    scenario = tmp_path / "s.yaml"
    scenario.write_text(FAKE_SCENARIO)
    simulate_into(scenario, load_profiles(measured), tmp_path / "out", INLINE)
    assert [one.closed for one in made] == [True]


def unbilled(asked: Any) -> None:
    asked["scenario"]["offers"]["cloud"]["billing"] = None


def renamed(record: Any) -> None:
    record["deployments"][0]["deployment"] = "nobody"


@pytest.mark.parametrize(
    ("name", "change"),
    [("asked.json", unbilled), ("simulation.json", renamed)],
)
def test_records_that_do_not_fit_together_are_to_blame(
    measured: Path, tmp_path: Path, name: str, change: Callable[[Any], None]
) -> None:
    folder = tmp_path / "R"
    shutil.copytree(measured, folder)
    opened = Run.open(folder)
    assert opened.changed() == []
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))
    assert opened.changed() == [name]
    opened.save("run.json", opened.header.model_copy(update={"status": "incomplete"}))
    for later in {"costs.json", "comparison.json"} - {name}:
        (folder / later).unlink()
    with pytest.raises(InputError, match=rf"{name} was changed after the run wrote it"):
        resume(folder, INLINE)

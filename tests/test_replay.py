"""A recorded service through the deployments of a scenario: what `bench replay` simulates and says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.observe import OBSERVED
from bench.prepare import Settings, prepare
from bench.recorded import MOST_DAYS, recorded
from bench.simulate import Simulation
from bench.store import Run
from tests.conftest import FAKE_SCENARIO, Bench

ARRIVALS = "arrivals: {name: poisson, rate: 6/min}"
ACTIVE = '  active: {start: "08:00", end: "10:00"}\n'
SECONDS = [60 + k * 7.3 for k in range(300)]
"""Within the active hours."""


def access_log(path: Path, seconds: list[float], took: float = 0.25, hour: int = 8) -> Path:
    """As nginx writes it, with response times."""
    lines = []
    for at in sorted(at + took for at in seconds):
        whole = int(at) + hour * 3600
        day, clock = (
            whole // 86_400,
            f"{whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}",
        )
        lines.append(
            f'::1 - - [{24 + day}/Nov/2026:{clock} +0100] "POST /v2/models/m/infer HTTP/1.1" '
            f'200 17 "-" "-" {took:.3f}\n'
        )
    path.write_text("".join(lines))
    return path


def scenario_with(path: Path, arrivals: str, days: int = 1) -> Path:
    text = FAKE_SCENARIO.replace(ARRIVALS, f"arrivals: {arrivals}")
    path.write_text(text.replace("{replications: 3}", f"{{replications: 3, days: {days}}}"))
    return path


def replaying(path: Path, **recording: Any) -> Any:
    return prepare(path, Settings(recording=recording))


# What is made of a scenario ------------------------------------------------------------------


def test_a_recording_takes_the_place_of_the_arrivals(fake_scenario: Path, tmp_path: Path) -> None:
    log = access_log(tmp_path / "access.log", SECONDS)
    asked = replaying(fake_scenario, file=str(log))
    assert asked.scenario.workload.arrivals.name == "trace"
    assert asked.scenario.simulate.replications == 3
    found = recorded(asked)
    assert (found.days, found.needed) == (1, 1)
    assert found.response_s["p50"].value == 0.25
    assert found.response_s["p99"].value is None  # 300 are too few for it
    assert found.missing == ["sizes of requests", "batches, and how long requests waited for them"]
    assert "300 requests over" in found.description


@pytest.mark.parametrize(
    ("length", "asked", "days"),
    [(1, 1, 1), (1, 3, 1), (3, 1, 3), (3, 7, 3), (40, 1, MOST_DAYS), (40, 60, 40), (90, 60, 60)],
)
def test_as_many_days_as_it_needs(tmp_path: Path, length: int, asked: int, days: int) -> None:
    scenario = scenario_with(tmp_path / "s.yaml", "{name: poisson, rate: 6/min}", asked)
    log = tmp_path / "days.csv"
    dates = pd.date_range("2026-01-01 08:30", periods=length, freq="D")
    log.write_text("\n".join(["time_s", *map(str, dates)]))
    found = recorded(replaying(scenario, file=str(log)))
    assert (found.days, found.needed) == (days, length)
    cut = f"{days} days of {length} (simulate: {{days: {length}}} is for all)"
    assert (cut in found.in_words) == (days < length)
    found = recorded(replaying(scenario, file=str(log), rate="2/s"))
    assert (found.days, found.needed) == (asked, None)
    assert "resampled" in found.in_words


def test_recorded_sizes_go_before_those_of_the_scenario(tmp_path: Path) -> None:
    scenario = scenario_with(
        tmp_path / "s.yaml", "{name: poisson, rate: 6/min}\n  sizes: {name: fixed, size: 5}"
    )
    table = tmp_path / "t.csv"
    table.write_text("time_s,pages\n0,3\n1,4\n")
    assert replaying(scenario, file=str(table)).scenario.workload.sizes is not None
    other = replaying(scenario, file=str(table), sizes="pages")
    assert other.scenario.workload.sizes is None


def test_observed_rows_are_replayed_with_their_sizes(fake_scenario: Path, tmp_path: Path) -> None:
    rows = np.zeros(50, OBSERVED)
    rows["arrival"] = np.arange(50) * 2_000_000_000
    rows["finished"], rows["status"] = rows["arrival"] + 30_000_000, 200
    rows["size"] = np.arange(50) % 5 + 1
    path = tmp_path / "observed.parquet"
    pd.DataFrame(rows).to_parquet(path)
    asked = replaying(fake_scenario, file=str(path))
    found = recorded(asked)
    assert found.missing == []
    assert found.response_s["p50"].value == pytest.approx(0.03)
    from bench.simulate.demand import Demand
    from bench.streams import Streams

    demand = Demand(asked.scenario.workload, Streams(1, 0), 1, "fast")
    (requests,) = list(demand.requests())
    assert requests.size.tolist() == rows["size"].tolist()
    since_eight = requests.arrival - 8 * 3600 * 1_000_000_000
    assert since_eight.tolist() == rows["arrival"].tolist()


# The command ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("finished_run")
def test_it_is_what_simulate_says_of_the_same_trace(bench: Bench, tmp_path: Path) -> None:
    log = access_log(tmp_path / "access.log", SECONDS)
    plain = tmp_path / "plain.yaml"
    plain.write_text(FAKE_SCENARIO)
    same = scenario_with(tmp_path / "same.yaml", "{name: trace, file: access.log}")
    more = ("--profiles", tmp_path / "out", "--engine", "inline", "--json")
    code, said, errors = bench("replay", plain, "--trace", log, *more)
    assert (code, errors) == (0, "")
    replayed = json.loads(said)
    said_of = replayed.pop("recorded")
    assert said_of["response_s"]["p50"]["value"] == 0.25
    assert replayed == json.loads(bench("simulate", same, *more)[1])
    # Into a run, and of one deployment.
    code, said, errors = bench(
        "replay", plain, "--trace", log, *more, "--out", tmp_path / "run", "--deployment", "cloud"
    )
    assert (code, errors) == (0, "")
    one = json.loads(said)
    assert [entry["deployment"] for entry in one["ranking"]] == ["cloud"]
    assert one["recorded"] == said_of
    simulation = Run.open(tmp_path / "run").load("simulation.json", Simulation)
    other = next(x for x in replayed["simulation"]["deployments"] if x["deployment"] == "cloud")
    assert simulation.deployments[0].model_dump(mode="json") == other


@pytest.mark.slow
@pytest.mark.usefixtures("finished_run")
def test_people_see_what_was_recorded_beside_what_is_simulated(
    bench: Bench, fake_scenario: Path, tmp_path: Path
) -> None:
    log = access_log(tmp_path / "access.log", SECONDS)
    arguments = ("replay", fake_scenario, "--trace", log, "--profiles", tmp_path / "out")
    code, said, errors = bench(*arguments, "--engine", "inline")
    assert (code, errors) == (0, "")
    lines = said.splitlines()
    assert lines[0].startswith("recorded: access.log, 300 requests over")
    assert lines[1].startswith("not in it: sizes of requests; batches")
    assert lines[2] == "simulated: 1 day"
    assert "as recorded 250 ms 250 ms –" in [" ".join(line.split()) for line in lines]
    assert {"night", "cloud", "edge"} <= {line.split(" ")[0] for line in lines}
    assert "whole seconds: where requests come within them is drawn at random" in " ".join(lines)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--form", "json"], "--form: must be one of auto, combined, common, csv, jsonl, rows"),
        (["--unit", "min"], "--unit: Input should be 's', 'ms', 'us' or 'ns'"),
        (["--rate", "5"], "--rate: '5' is not a rate with its unit"),
        (["--only", "path"], "--only: 'path' has no value. Allowed: FIELD=VALUE"),
        (["--deployment", "clod"], "Did you mean 'cloud'?"),
        (["--path", "/v3/*"], "the trace holds no arrival (of 300 lines, 300 are not"),
        (["--column", "x"], "no line of the trace has the field 'x'"),
        (["--trace", "none.log"], "cannot be read"),
    ],
)
def test_a_wrong_option_gets_one_paragraph_and_2(
    bench: Bench, fake_scenario: Path, tmp_path: Path, options: list[str], said: str
) -> None:
    log = access_log(tmp_path / "access.log", SECONDS)
    code, out, errors = bench("replay", fake_scenario, "--trace", log, *options)
    assert (code, out) == (2, "")
    assert said in errors
    assert errors.count("\n") == 1

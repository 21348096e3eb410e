"""The command line as a user meets it: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import __version__, inventory
from bench.store import Run
from tests.conftest import Bench

pytestmark = pytest.mark.slow


def run(bench: Bench, scenario: Path, out: Path, *more: str) -> dict[str, Any]:
    code, said, errors = bench("run", scenario, "--out", out, "--engine", "inline", "--json", *more)
    assert (code, errors) == (0, "")
    document: dict[str, Any] = json.loads(said)
    return document


def test_run_prints_one_json_document(bench: Bench, fake_scenario: Path, tmp_path: Path) -> None:
    document = run(bench, fake_scenario, tmp_path / "out")
    assert document["schema_version"] == 1
    assert {entry["kind"] for entry in document["ranking"]} == {"batch", "real_time", "edge"}
    for entry in document["ranking"]:
        for name in ("usd_per_million", "p50_s", "p99_s"):
            estimate = entry[name]
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
            assert estimate["n"] == 3
        assert 0 <= entry["slo_attainment"]["value"] <= 1
        assert isinstance(entry["feasible"], bool)
        assert entry["provenance"] == "assumed"
        assert {origin["provenance"] for origin in entry["origins"]} >= {"measured", "assumed"}
    assert document["character_error_rate"] is None  # this task reads no characters
    assert document["accuracy"][0]["metric"] == "error_rate"
    assert Path(document["report"]).read_text().startswith("<!doctype html>")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["comparison"]["ranking"] == document["ranking"]


def test_simulate_twice_gives_the_same_bytes(
    bench: Bench, fake_scenario: Path, tmp_path: Path
) -> None:
    document = run(bench, fake_scenario, tmp_path / "out", "--seed", "7")
    again = ("simulate", fake_scenario, "--profiles", tmp_path / "out", "--json", "--seed", "7")
    first, second = bench(*again, "--engine", "inline"), bench(*again, "--engine", "local")
    assert first == second
    assert json.loads(first[1])["ranking"] == document["ranking"]


def test_people_get_a_table_and_the_verdict(
    bench: Bench, fake_scenario: Path, tmp_path: Path
) -> None:
    code, said, errors = bench(
        "run", fake_scenario, "--out", tmp_path / "out", "--engine", "inline"
    )
    assert (code, errors) == (0, "")  # no progress where stderr is no terminal
    assert said.splitlines()[0].split()[:3] == ["#", "deployment", "kind"]
    assert "night: p99" in said
    assert " meets p99 ≤ 200 ms at $" in said
    assert f"report: {tmp_path / 'out' / 'report.html'}" in said
    assert bench("report", tmp_path / "out", "--quiet") == (0, "", "")


def test_strict_exits_1_if_nothing_is_feasible(
    bench: Bench, fake_scenario: Path, tmp_path: Path
) -> None:
    fake_scenario.write_text(fake_scenario.read_text().replace("limit: 200 ms", "limit: 1 ms"))
    arguments = ("run", fake_scenario, "--out", tmp_path / "out", "--engine", "inline", "--quiet")
    assert bench(*arguments) == (0, "", "")
    assert bench(*arguments, "--strict") == (1, "", "")


def test_measure_then_simulate(bench: Bench, fake_scenario: Path, tmp_path: Path) -> None:
    out = tmp_path / "measured"
    code, said, _ = bench("measure", fake_scenario, "--out", out, "--device", "this-host", "--json")
    assert code == 0
    assert {arm["device"] for arm in json.loads(said)["arms"]} == {"this-host"}
    assert Run.open(out).header.status == "complete"
    code, said, errors = bench("simulate", fake_scenario, "--profiles", out)
    assert code == 2
    assert "there is no profile of" in errors
    assert bench("measure", fake_scenario, "--device", "moon")[0] == 2
    assert bench("report", out)[0] == 2


def test_two_scenarios_give_a_list(bench: Bench, fake_scenario: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(fake_scenario.read_text().replace("name: fake\n", "name: other\n", 1))
    code, said, _ = bench("run", fake_scenario, other, "--engine", "inline", "--json")
    assert code == 0
    assert [d["scenario"] for d in json.loads(said)] == ["fake", "other"]
    assert len(list(Path("reports").iterdir())) == 2


@pytest.mark.usefixtures("finished_run")
def test_a_finished_run_is_not_resumed_and_an_unfinished_one_not_reported(
    bench: Bench, tmp_path: Path
) -> None:
    code, _, errors = bench("run", "--resume", tmp_path / "out")
    assert (code, "complete" in errors) == (2, True)
    opened = Run.open(tmp_path / "out")
    opened.save("run.json", opened.header.model_copy(update={"status": "incomplete"}))
    code, _, errors = bench("report", tmp_path / "out")
    assert code == 2
    assert f"bench run --resume {tmp_path / 'out'}" in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run"], "give scenario files"),
        (["run", "a.yaml", "b.yaml", "--out", "x"], "one folder cannot hold several runs"),
        (["run", "a.yaml", "--budget", "smok"], "Did you mean 'smoke'?"),
        (["run", "a.yaml", "--engine", "cloud"], "a.yaml"),
        (["run", "a.yaml", "--seed", "-1"], "--seed"),
        (["run", "a.yaml", "--sed", "1"], "No such option"),
        (["simulate", "a.yaml"], "a.yaml"),
        (["keep", "nowhere", "--as", "box"], "no profile found"),
        (["keep", "nowhere"], "--as"),
        (["simulate", "a.yaml", "--profiles", "none"], "no profile found"),
        (["simulate", "a.yaml", "--profiles", ".", "--method", "fats"], "unknown method"),
        (["list", "offer"], "Did you mean 'offers'?"),
        (["report", "nowhere"], "no run found"),
        (["rnu"], "No such command"),
    ],
)
def test_a_wrong_line_gets_one_paragraph_and_2(
    bench: Bench, arguments: list[str], said: str
) -> None:
    code, out, errors = bench(*arguments)
    assert (code, out) == (2, "")
    assert said in errors
    assert errors.startswith("bench: ")
    assert errors.count("\n") == 1
    assert not list(Path().iterdir())


def test_what_there_is_to_choose_from(bench: Bench) -> None:
    offers = json.loads(bench("list", "offers", "--json")[1])
    assert "civo/standard-2c-4g/any/on-demand" in offers
    assert json.loads(bench("list", "backends", "--json")[1])["fake"] == "ready"
    assert "quickstart.yaml" in bench("list", "scenarios")[1]
    devices = bench("list", "devices", "--quiet")[1].split()
    assert {"this-host", "nvidia-t4", "raspberry-pi-5", "google-tpu-v5e"} <= set(devices)
    facts = json.loads(bench("doctor", "--json")[1])
    assert set(facts) == {"environment", "backends", "sensors", "conflicts"}
    assert "rapl" in facts["sensors"]
    assert "backends" in bench("doctor")[1]
    assert bench("--version")[1] == f"bench {__version__}\n"


def test_a_fault_of_the_program_is_said_to_be_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(inventory, "listing", fault)
    code, _, errors = bench("list", "tasks")
    assert code == 70
    assert "a fault of the program" in errors
    with pytest.raises(ZeroDivisionError):
        bench("list", "tasks", "--debug")


def test_a_plan_from_a_run(bench: Bench, fake_scenario: Path, tmp_path: Path) -> None:
    text = fake_scenario.read_text() + (
        "plan:\n  offers: [civo/standard-*, edge/*]\n  batching: [none]\n"
        "  scaling: [{name: fixed, replicas: 1}]\n  nodes: [1]\n"
    )
    fake_scenario.write_text(text)
    out = tmp_path / "plan"
    code, printed, errors = bench(
        "plan", str(fake_scenario), "--engine", "inline", "--out", str(out)
    )
    assert (code, errors) == (0, "")
    assert "The Pareto front" in printed
    plan = json.loads((out / "plan.json").read_text())
    assert plan["verdict"] in printed.replace("\n", " ") or plan["verdict"][:60] in printed
    code, printed, _ = bench("plan", str(fake_scenario), "--profiles", str(out), "--json")
    again = json.loads(printed)
    assert again["verdict"] == plan["verdict"]
    code, printed, errors = bench("report", str(out))
    assert (code, errors) == (0, "")
    assert printed == f"{out / 'plan.html'}\n"
    hopeless = text.replace("limit: 200 ms", "limit: 1 ms")
    fake_scenario.write_text(hopeless)
    code, _, _ = bench("plan", str(fake_scenario), "--profiles", str(out), "--strict", "--quiet")
    assert code == 1


def test_an_override_file_is_named_with_its_line(
    bench: Bench, fake_scenario: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "schema_version: 1\nassumptions:\n  electricty: {value: $0.3/kWh, source: bill}\n"
    )
    code, _, errors = bench("run", str(fake_scenario), "--overrides", str(mine))
    assert code == 2
    assert "mine.yaml:3:3" in errors
    assert "Did you mean 'electricity'" in errors


def test_live_prices_need_their_extra(bench: Bench) -> None:
    code, out, errors = bench("prices")
    assert (code, out) == (2, "")
    assert "prices" in errors

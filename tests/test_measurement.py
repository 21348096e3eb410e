"""The measuring core on the fake backend: exact figures, and every planted fault found."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.errors import InputError, MeasurementInvalid, WorkerLost
from bench.executor import Report, here, isolated
from bench.hardware import Catalogue
from bench.measure import STEPS, ArmMeasurement, Measurement, measure_all
from bench.measure.budget import BUDGETS
from bench.measure.measurement import Trial
from bench.prepare import find_extensions
from bench.scenario import ArmSpec, Campaign, Suite, resolve_suite
from bench.store import Header, Run
from tests.busy import HANG_S

pytestmark = pytest.mark.slow

SUITE = """\
schema_version: 1
name: planted
task: {{name: synthetic, samples: 8}}
measure: {{max_batch: 3, loads: {loads}}}
arms:
{arms}
"""
PLAIN = "{name: fake, base: 1 ms, per_item: 1 ms}"


def ask(tmp_path: Path, *backends: str, loads: str = "[single-stream]") -> Campaign:
    from bench.scenario import read_suite

    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "suite.yaml"
    arms = "\n".join(f"  - {{backend: {b}, device: this-host-one-thread}}" for b in backends)
    path.write_text(SUITE.format(loads=loads, arms=arms))
    read = read_suite(path)
    assert read is not None
    return resolve_suite(*read, Catalogue(), find_extensions())


def measure(
    tmp_path: Path,
    *backends: str,
    loads: str = "[single-stream]",
    isolate: Any = here,
    **options: Any,
) -> Measurement:
    asked = ask(tmp_path, *backends, loads=loads)
    asked = asked.model_copy(update={"options": asked.options.model_copy(update=options)})
    header = Header(scenario="planted", seed=1, bench_version="0", created="", command="")
    run = Run.create(tmp_path / "out", header)
    return measure_all(asked, run, 1, isolate, lambda done, total, what: None)


def one(tmp_path: Path, backend: str, **more: Any) -> ArmMeasurement:
    return measure(tmp_path, backend, **more).arms[0]


def broken(arm: ArmMeasurement) -> dict[str, str]:
    return {v.rule: v.reason for v in arm.verdicts if v.status == "invalid"}


def test_a_sound_arm_is_valid_by_every_rule(tmp_path: Path) -> None:
    arm = one(tmp_path, PLAIN)
    assert arm.status == "valid"
    assert {v.rule for v in arm.verdicts if v.status == "valid"} == {
        "placement", "output", "fresh inputs", "clock", "errors"
    }  # fmt: skip
    single = arm.load_result("single-stream")
    assert single is not None
    assert single.response["p99"].value == pytest.approx(0.002)
    assert arm.loop_overhead.value == 0
    assert [row.batch_size for row in arm.steps] == [1, 2, 3]
    assert set(arm.steps[0].steps) == set(STEPS)


@pytest.mark.parametrize(
    ("fault", "rule", "said"),
    [
        ("fallback_nodes: 3", "placement", "nodes ran elsewhere"),
        ("wrong_share: 10 %", "output", "answers are the reference's"),
        ("cached_speed_up: 1.5", "fresh inputs", "a cache was measured"),
        ("clock_drift: 0.01", "clock", "drift"),
        ("fail_from_call: 60", "errors", "a planted failure"),
    ],
)
def test_each_planted_fault_has_its_own_verdict(
    tmp_path: Path, fault: str, rule: str, said: str
) -> None:
    arm = one(tmp_path, f"{{name: fake, faults: {{{fault}}}}}")
    assert list(broken(arm)) == [rule]
    assert said in broken(arm)[rule]
    assert arm.status == "invalid"


def test_faults_below_the_rules_are_no_faults(tmp_path: Path) -> None:
    faults = "wrong_share: 1 %, cached_speed_up: 1.05, clock_drift: 0.0005"
    assert one(tmp_path, f"{{name: fake, faults: {{{faults}}}}}").status == "valid"


def test_a_scenario_may_ask_for_more_agreement(tmp_path: Path) -> None:
    backend = "{name: fake, faults: {wrong_share: 1 %}}"
    assert list(broken(one(tmp_path, backend, min_agreement=0.999))) == ["output"]


def test_why_there_is_no_reference_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: Any) -> None:
        raise WorkerLost("no progress for 120 s during: reference")

    monkeypatch.setattr("bench.measure.campaign.make_reference", lost)
    verdict = next(v for v in one(tmp_path, PLAIN).verdicts if v.rule == "output")
    assert verdict.status == "not checked"
    assert "no progress for 120 s during: reference" in verdict.reason


def test_values_that_are_no_numbers_are_an_error_of_the_arm(tmp_path: Path) -> None:
    measured = measure(tmp_path, "{name: fake, faults: {not_a_number: true}}", PLAIN)
    assert len(measured.arms) == 1
    assert "not finite" in measured.failed[0].error


def test_a_run_that_is_too_short_is_invalid(tmp_path: Path) -> None:
    loads = "[{name: server, arrivals: {name: poisson, rate: 50/s}, duration: 0.5 s}]"
    arm = one(tmp_path, "{name: fake, base: 0 s, per_item: 0 s, real_time: true}", loads=loads)
    server = arm.load_result("server")
    assert server is not None
    verdict = next(v for v in server.verdicts if v.rule == "duration")
    assert verdict.status == "invalid"
    assert verdict.reason.startswith("too short")
    assert server.response["p99"].value is None
    assert "p99 needs 662 samples" in (server.response["p99"].reason or "")


@pytest.mark.alone
def test_a_stall_in_the_server_is_seen_in_the_p99(tmp_path: Path) -> None:
    # 200 ms of standstill at 500 requests/s delay 100 requests of 1,000 by 100 ms on average. Of
    # all calls the last 1,000 are theirs, and fewer than 300 come before.
    loads = "[{name: server, arrivals: {name: periodic, period: 2 ms}, duration: 2 s}]"
    script = "base: 0 s, per_item: 0 s, load: 0 s, first_call_extra: 0 s, real_time: true"
    stalled, sound = (
        one(tmp_path / name, f"{{name: fake, {script}, faults: {faults}}}", loads=loads)
        for name, faults in (
            ("a", "{stall: {at_call: 400, lasts: 200 ms}}"),
            ("b", "{}"),
        )
    )
    seen, quiet = stalled.load_result("server"), sound.load_result("server")
    assert seen is not None
    assert quiet is not None
    p99 = seen.response["p99"].value or 0.0
    assert p99 > 0.150
    # By the same machine, without a stall:
    assert (quiet.response["p99"].value or 1.0) < p99 * 2 / 3
    # Service time alone hides it: one request in a thousand was slow.
    assert (seen.service["p99"].value or 1.0) < p99 / 3


def test_errors_stay_in_the_denominator(tmp_path: Path) -> None:
    loads = "[single-stream]"
    arm = one(tmp_path, "{name: fake, faults: {fail_from_call: 600}}", loads=loads)
    single = arm.load_result("single-stream")
    assert single is not None
    assert single.errors > 0
    assert single.queries == 670
    assert single.response["p99"].value is None
    assert "never answered" in (single.response["p99"].reason or "")


def nothing(item: None, report: Report) -> None:
    """An arm that only starts."""


def test_a_crash_and_a_hang_cost_only_their_own_arm(tmp_path: Path) -> None:
    # A sound arm is silent while its process starts, and at no time for longer.
    began = time.monotonic()
    isolated(nothing, None, HANG_S, lambda what, share: None)
    limit_s = round(max(3.0, 3 * (time.monotonic() - began)), 1)
    measured = measure(
        tmp_path,
        PLAIN,
        "{name: fake, faults: {crash_at_call: 40}}",
        "{name: fake, faults: {hang_at_call: 40}}",
        isolate=isolated,
        stall_limit=limit_s,
    )
    assert [arm.status for arm in measured.arms] == ["valid"]
    errors = {f.arm: f.error for f in measured.failed}
    assert any("exit code 1" in e for e in errors.values())
    assert any(f"no progress for {limit_s:g} s" in e for e in errors.values())


def test_no_arm_at_all_is_the_error_of_the_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finite"):
        measure(tmp_path, "{name: fake, faults: {not_a_number: true}}")


def test_an_unforeseen_error_names_its_kind(tmp_path: Path) -> None:
    with pytest.raises(WorkerLost, match="RuntimeError: a planted failure"):
        measure(tmp_path, "{name: fake, faults: {fail_from_call: 1}}")


def test_replicates_come_in_shuffled_order_and_are_pooled(tmp_path: Path) -> None:
    from bench.measure.arm_requests import arm_requests

    asked = ask(tmp_path, PLAIN, "{name: fake, base: 2 ms}")
    options = asked.options.model_copy(update={"budget": "standard"})
    order = [(r.arm.name, r.replicate) for r in arm_requests(asked.task, asked.arms, options, 1)]
    assert len(order) == 6
    assert order != sorted(order)
    measured = measure(tmp_path, PLAIN, budget="standard")
    assert len(measured.arms[0].replicates) == 3
    assert measured.arms[0].load.n == 3


def test_scripted_times_cannot_be_asked_in_real_time(tmp_path: Path) -> None:
    loads = "[{name: server, arrivals: {name: poisson, rate: 50/s}}]"
    with pytest.raises(InputError, match="real_time: true"):
        measure(tmp_path, PLAIN, loads=loads)


@pytest.mark.alone
def test_capacity_is_found_where_queueing_theory_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 2 ms of work each: no rate above 500/s can be kept, and 0.4 of it always can. A machine so busy that
    # the generator is held up at any rate gives up after 4 s a trial; others need no more than 2.
    brief = BUDGETS["smoke"].model_copy(update={"limit_s": 4})
    monkeypatch.setitem(BUDGETS, "smoke", brief)
    loads = "[{name: capacity, limit: 100 ms, percentile: 90, halvings: 2}]"
    arm = one(tmp_path, "{name: fake, base: 2 ms, per_item: 0 s, real_time: true}", loads=loads)
    requests = Run.open(tmp_path / "out").table("requests.parquet")
    capacity = arm.load_result("capacity")
    assert capacity is not None
    assert capacity.capacity is not None
    kept = [trial.rate for trial in capacity.trials if trial.kept]
    assert capacity.capacity.value == (max(kept) if kept else None)
    assert all(rate < 500 for rate in kept)
    assert any(trial.kept is False for trial in capacity.trials)
    held_up = []
    for trial in capacity.trials:
        load, late = seen_in(
            requests[requests["phase"] == f"capacity at {trial.rate:.4g}/s"], trial
        )
        held_up.append(late or load > 1.2 * trial.rate * 0.002)
        if load < 0.45:
            assert trial.kept or late, trial
    assert any(held_up) or max(kept) > 190


def seen_in(requests: pd.DataFrame, trial: Trial) -> tuple[float, bool]:
    """Of one trial, by its own time stamps: the load, and whether the generator was held up.

    Only a busy machine does either: makes 2 ms of work last longer, or a send be late.
    """
    assert len(requests) == trial.queries
    work_s = (requests["finished_ns"] - requests["started_ns"]).mean() / 1e9
    late = (requests["sent_ns"] - requests["scheduled_ns"] > 1_000_000).mean()
    return trial.rate * work_s, late > 0.01


def test_a_measurement_survives_its_json(tmp_path: Path) -> None:
    measured = measure(tmp_path, PLAIN)
    again = Measurement.model_validate_json((tmp_path / "out" / "measurement.json").read_text())
    assert again == measured
    assert json.loads(again.model_dump_json())["arms"][0]["verdicts"]


def test_a_suite_knows_its_arms() -> None:
    fields = Suite.model_fields
    assert fields["arms"].annotation == list[ArmSpec]


def test_a_quota_that_stops_the_arm_is_in_its_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.limits.cpu_limit_cores", lambda **_: 0.6)
    arm = one(tmp_path, PLAIN)
    assert arm.replicates[0].environment["cpu_limit_cores"] == 0.6
    assert any("1 thread under a quota of 0.6 cores" in warning for warning in arm.warnings)


def test_failures_that_pass_are_counted_and_cost_no_arm(tmp_path: Path) -> None:
    """One call in twenty fails: before the timed run it is asked again, in it it is counted."""
    arm = one(tmp_path, "{name: fake, faults: {fail_share: 5 %}}")
    reason = broken(arm)["errors"]
    failed, asked = map(int, re.findall(r"\d+", reason)[:2])
    assert failed / asked == pytest.approx(0.05, abs=0.02)
    assert f"{failed} × HTTP 500" in reason
    single = arm.load_result("single-stream")
    assert single is not None
    assert single.errors == pytest.approx(0.05 * single.queries, abs=1)


def test_an_arm_that_stops_answering_is_no_measurement(tmp_path: Path) -> None:
    """Whenever it stops: before the timed run its error is said, in it the failures are counted."""
    said = Counter(outcome(tmp_path, from_call) for from_call in range(44, 60))
    assert said["WorkerLost: RuntimeError: a planted failure"] >= 1
    assert said["invalid by errors"] >= 1
    (lost,) = said.keys() - {"WorkerLost: RuntimeError: a planted failure", "invalid by errors"}
    assert lost.startswith("MeasurementInvalid: The arm stopped answering")
    assert "RuntimeError: a planted failure" in lost
    assert said[lost] == 1  # exactly where the profile begins


def outcome(folder: Path, from_call: int) -> str:
    """What becomes of an arm that fails from some call on."""
    try:
        arm = one(
            folder / str(from_call), f"{{name: fake, faults: {{fail_from_call: {from_call}}}}}"
        )
    except (WorkerLost, MeasurementInvalid) as error:
        return f"{type(error).__name__}: {error}"
    return f"{arm.status} by {', '.join(broken(arm))}"

"""How long a simulation goes on, what its days are worth, and overload: against arithmetic."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.arrivals import diurnal
from bench.at_once import simulate_only
from bench.compare import Comparison
from bench.errors import InputError
from bench.gather import load_profiles
from bench.pipeline import simulate_into
from bench.prepare import Settings
from bench.profile import Profile
from bench.scenario import DueTime, Objective, ResponseLimit, SimulateOptions, Workload
from bench.simulate import Simulation, expected_requests, line, why_impossible
from bench.simulate.places.real_time import _paid
from bench.simulate.results import Replication
from bench.simulate.run import Job, play_replication
from bench.units import DAY_S, HOUR_S, format_usd
from tests.queues import exponential
from tests.test_simulation import job, part, profile

pytestmark = pytest.mark.slow

SERVICE_S = 10.0
EVENING = {"start": 20 * HOUR_S, "end": 21 * HOUR_S}
BY_SIX = Objective(due=DueTime(by=6 * HOUR_S, share=0.99))
AT_ONCE = {"node": 0.0, "image_pull": 0.0, "model_load": 0.0}
NO_WAY = {"uplink": 1e12, "downlink": 1e12, "rtt": 0.0}


def real_time(**changes: Any) -> dict[str, Any]:
    scaling = {"name": "fixed", "replicas": 1}
    return part(kind="real_time", start_up=AT_ONCE, network=NO_WAY, scaling=scaling) | changes


def batch(**changes: Any) -> dict[str, Any]:
    window = {"opens": 21 * HOUR_S}
    return part(kind="batch", start_up=AT_ONCE, network=NO_WAY, window=window) | changes


EDGE = part(kind="edge", fleet=1)
HYBRID = {
    "kind": "hybrid", "edge": part(fleet=1), "spill": {"queue": 10**9},
    "cloud": {name: value for name, value in real_time().items() if name != "kind"},
}  # fmt: skip
KINDS = {"real_time": real_time(), "edge": EDGE, "batch": batch(), "hybrid": HYBRID}


def asked(deployment: Any, arrivals: Any, service_s: float = SERVICE_S, **changes: Any) -> Job:
    """One replication of servers that take ``service_s`` each time."""
    active = changes.pop("active", EVENING)
    sources = changes.pop("sources", 1)
    made = job(deployment, **changes)
    workload = {"sources": sources, "arrivals": arrivals, "active": active}
    measured = profile({1: [service_s]}, input_bytes=1.0, output_bytes=1.0)
    return made.model_copy(
        update={
            "workload": Workload.model_validate(workload),
            "profiles": dict.fromkeys(made.deployment.parts, measured),
        }
    )


def played(*args: Any, **changes: Any) -> Replication:
    return play_replication(asked(*args, **changes))[0]


# --- the horizon ---------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fast", "reference"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [3000, 4000])
def test_a_backlog_is_worked_off_until_it_is_due(kind: str, count: int, method: str) -> None:
    """The k-th of a backlog leaves one server k service times after it began."""
    begins = (21 if kind == "batch" else 20) * HOUR_S
    day = played(KINDS[kind], {"name": "backlog", "count": count}, objective=BY_SIX, method=method)
    by_six = math.floor((30 * HOUR_S - begins) / SERVICE_S)
    assert (day.done, day.within_slo) == (count, min(count, by_six))
    assert day.makespan_s == count * SERVICE_S + begins - 20 * HOUR_S


def test_a_long_limit_gives_the_last_request_its_time() -> None:
    objective = Objective(response=ResponseLimit(percentile=50, limit=60 * HOUR_S))
    backlog = {"name": "backlog", "count": 20_000}
    assert played(real_time(), backlog, objective=objective).within_slo == 20_000


@pytest.mark.parametrize("due", [6, 24])
def test_due_at_a_moment_is_in_time_at_that_moment(due: int) -> None:
    objective = Objective(due=DueTime(by=due * HOUR_S))
    count = int((due + 4) * HOUR_S / SERVICE_S)
    day = played(real_time(), {"name": "backlog", "count": count + 1}, objective=objective)
    assert (day.within_slo, day.done) == (count, count + 1)


def test_servers_that_are_there_all_day_end_with_the_day() -> None:
    two = real_time(scaling={"name": "fixed", "replicas": 2})
    day = played(two, {"name": "backlog", "count": 3000}, objective=BY_SIX)
    assert [(h.start_s, h.end_s) for h in day.usage["d"].holdings] == [(0.0, DAY_S)] * 2
    assert day.usage["d"].busy_s == 3000 * SERVICE_S


def test_a_server_that_came_for_the_backlog_is_paid_until_it_is_done() -> None:
    asleep = real_time(scaling={"name": "scale-to-zero", "max_replicas": 1, "keep_warm": 60.0})
    day = played(asleep, {"name": "backlog", "count": 3000}, objective=BY_SIX)
    held = sum(h.end_s - h.start_s for h in day.usage["d"].holdings)
    assert held == pytest.approx(3000 * SERVICE_S, abs=61)


@pytest.mark.parametrize(
    ("lasting", "held", "paid"),
    [
        (1, [(0, 30)], [(0, 24)]),
        (0, [(20, 30)], [(20, 30)]),
        (1, [(0, 30), (20, 28)], [(0, 24), (20, 28)]),
        (1, [(0, 30), (25, 26)], [(0, 24), (25, 26)]),
        (1, [(0, 26), (25, 30)], [(0, 24), (25, 26)]),  # one takes the other's place
        (2, [(0, 10), (0, 30), (9, 30)], [(0, 10), (0, 24), (9, 24)]),
    ],
)
def test_what_is_paid_for_after_the_last_midnight(lasting: int, held: Any, paid: Any) -> None:
    assert _paid(held, lasting, 24) == paid


@pytest.mark.parametrize("kind", ["real_time", "edge", "hybrid"])
def test_servers_are_busy_at_most_all_the_time(kind: str) -> None:
    """From 20:00 to midnight, of a day; what goes on after it is another day's."""
    day = played(KINDS[kind], {"name": "backlog", "count": 8000}, objective=BY_SIX)
    servers = 2 if kind == "hybrid" else 1
    assert day.utilisation == pytest.approx(4 / 24 / servers)


@pytest.mark.parametrize("kind", ["real_time", "edge"])
@pytest.mark.parametrize("method", ["fast", "reference"])
def test_users_stop_at_midnight_and_are_answered(kind: str, method: str) -> None:
    """Four seconds to think and one to be answered, and the last answer comes at midnight."""
    alone = {"name": "closed-loop", "think": 4.0, "spread": "constant"}
    all_day = {"start": 0.0, "end": DAY_S}
    day = played(KINDS[kind], alone, 1.0, active=all_day, method=method)
    assert (day.requests, day.done) == (17_280, 17_280)
    assert day.utilisation == pytest.approx(0.2, rel=1e-3)


def test_every_day_has_the_time_of_its_own() -> None:
    options = SimulateOptions(days=3)
    day = played(real_time(), {"name": "backlog", "count": 3000}, objective=BY_SIX, options=options)
    assert (day.done, day.within_slo) == (9000, 9000)
    assert day.utilisation == pytest.approx((4 + 2 * 24 * 3000 * SERVICE_S / DAY_S) / 72, rel=1e-6)


# --- overload ------------------------------------------------------------------------------------


def reason(deployment: Any, arrivals: Any, **changes: Any) -> str | None:
    one = asked(deployment, arrivals, 1.0, **changes)
    return why_impossible(one.deployment, one.profiles, one.workload, BY_SIX)


OFFICE = {"start": 9 * HOUR_S, "end": 17 * HOUR_S}
ALL_DAY = {"start": 0.0, "end": DAY_S}


def poisson(rate: float) -> dict[str, Any]:
    return {"name": "poisson", "rate": rate}


def test_a_busy_day_is_worked_off_in_the_evening() -> None:
    """One server a second, 1.2 a second from 09:00 to 17:00: done at 18:36."""
    assert reason(real_time(), poisson(1.2), active=OFFICE) is None
    even = {"name": "periodic", "period": 1 / 1.2}
    day = played(real_time(), even, 1.0, active=OFFICE, objective=BY_SIX)
    assert day.within_slo == day.requests == 34_560
    assert day.makespan_s == pytest.approx(34_560, abs=2)


@pytest.mark.parametrize(
    ("deployment", "arrivals", "active", "limiting"),
    [
        (real_time(), poisson(1.0), ALL_DAY, "1 requests/s arrive and 1 replica serves at most 1"),
        (real_time(), poisson(3.1), OFFICE, "on the mean of 24 hours, and 1 replica serves"),
        (real_time(), poisson(2.9), OFFICE, None),
        (real_time(), {"name": "backlog", "count": 86_400}, EVENING, None),
        (real_time(), {"name": "backlog", "count": 86_401}, EVENING, "1 replica serves"),
        (real_time(admission={"queue_limit": 3}), poisson(2.5), ALL_DAY, None),
        (real_time(admission={"timeout": 60.0}), poisson(2.5), ALL_DAY, None),
        (real_time(admission={"shed": {"begin": 2, "end": 9}}), poisson(2.5), ALL_DAY, None),
        (
            real_time(failures={"mtbf": 1e3, "mttr": 1.0}, in_flight="lost"),
            poisson(1.1), ALL_DAY, None,
        ),
        (
            real_time(network=NO_WAY | {"uplink": 20.0}, admission={"queue_limit": 3}),
            poisson(4.0), ALL_DAY, "4 requests/s arrive and the uplink .* carries at most 2.5",
        ),
        (
            real_time(network=NO_WAY | {"downlink": 4.0}),
            poisson(0.6), ALL_DAY, "the downlink .* carries at most 0.5",
        ),
        (batch(), poisson(1.1), {"start": 0.0, "end": 21 * HOUR_S}, None),
        (
            batch(window={"opens": 21 * HOUR_S, "closes": 6 * HOUR_S}, nodes=2),
            {"name": "backlog", "count": 64_803}, EVENING, "2 nodes serve at most 0.75",
        ),
        (
            batch(window={"opens": 21 * HOUR_S, "closes": 6 * HOUR_S}, nodes=2),
            {"name": "backlog", "count": 64_802}, EVENING, None,
        ),
        (EDGE, poisson(1.1), ALL_DAY, "1 device serves at most 1"),
        (EDGE | {"awake": [OFFICE]}, poisson(0.34), ALL_DAY, "1 device serves"),
        (EDGE | {"awake": [OFFICE]}, poisson(0.33), ALL_DAY, None),
        (HYBRID, poisson(2.1), ALL_DAY, "1 device serves and 1 replica serves at most 2"),
        (HYBRID, poisson(1.9), ALL_DAY, None),
        (
            HYBRID | {"spill": {"unsure": 0.5, "on_line": [OFFICE]}}, poisson(0.9), ALL_DAY, None,
        ),
    ],
)  # fmt: skip
def test_what_can_be_told_of_a_day_without_playing_it(
    deployment: Any, arrivals: Any, active: Any, limiting: str | None
) -> None:
    said = reason(deployment, arrivals, active=active)
    if limiting is None:
        assert said is None
    else:
        assert said is not None
        assert said.startswith("overload")
        assert re.search(limiting, said), said


def test_devices_with_a_source_more_count_where_the_objective_asks_for_them() -> None:
    """Five sources of 0.6/s on four devices: two fifths wait ever longer, the median does not."""
    one = asked(EDGE | {"fleet": 4}, poisson(0.6), 1.0, sources=5, active=ALL_DAY)
    said = {
        q: why_impossible(
            one.deployment, one.profiles, one.workload,
            Objective(response=ResponseLimit(percentile=q, limit=60.0)),
        )
        for q in (50, 59, 61, 99)
    }  # fmt: skip
    assert said[50] is said[59] is None
    assert said[61] == said[99]
    assert "2 of 5 sources on one, at most 2.5" in str(said[99])
    assert (
        played(EDGE | {"fleet": 4}, poisson(0.6), 1.0, sources=5, active=ALL_DAY).percentiles_s[
            "p50"
        ]
        < 60
    )  # type: ignore[operator]


def test_devices_that_sleep_are_in_time_once_they_are_awake() -> None:
    """From 22:00 to 06:00: 2,880 of a backlog at 20:00."""
    night = [{"start": 22 * HOUR_S, "end": DAY_S}, {"start": 0.0, "end": 6 * HOUR_S}]
    backlog = {"name": "backlog", "count": 3000}
    day = played(EDGE | {"awake": night}, backlog, objective=BY_SIX)
    assert day.within_slo == 2880


@pytest.mark.parametrize(("percentile", "said"), [(99, True), (90, True), (80, False)])
def test_a_rush_that_a_limit_leaves_no_time_for(percentile: float, said: bool) -> None:
    """1.2 a second for eight hours, one served a second: five sixths within a short limit at best."""
    one = asked(real_time(), poisson(1.2), 1.0, active=OFFICE)
    short = Objective(response=ResponseLimit(percentile=percentile, limit=10.0))
    found = why_impossible(one.deployment, one.profiles, one.workload, short)
    assert (found is not None) == said
    if found:
        assert found == (
            "overload: 1.2 requests/s arrive in the active hours and 1 replica serves at most 1"
        )
    # The last come after 17:00 and are answered by 18:36.
    long = Objective(response=ResponseLimit(percentile=percentile, limit=1.6 * HOUR_S))
    assert why_impossible(one.deployment, one.profiles, one.workload, long) is None


@pytest.mark.parametrize(
    ("changes", "arrivals"),
    [
        ({"duty_cycle": {"period": 10.0, "on": 1.0}}, {"name": "backlog", "count": 25_000}),
        ({"awake": [OFFICE, {"start": 20 * HOUR_S, "end": 20 * HOUR_S + 1.0}]},
         {"name": "backlog", "count": 40_000}),
    ],
)  # fmt: skip
def test_no_device_does_more_than_its_limit(changes: Any, arrivals: Any) -> None:
    """A batch that has begun before a device goes to sleep is ended: up to one more each time."""
    one = asked(EDGE | changes, arrivals, 0.9, active=ALL_DAY)
    limit = line.limits(one.deployment, one.profiles, one.workload)[0]
    day = play_replication(one)[0]
    # The horizon is a little more than two days.
    assert day.done <= limit.per_day * 2.01
    busy = 0.1 * DAY_S if "duty_cycle" in changes else 8 * HOUR_S + 1
    assert day.done > 1.01 * busy / 0.9


def test_the_active_hours_of_a_daily_course_are_the_busy_ones() -> None:
    hours = [0.0] * 12 + [2.0] * 12
    workload = Workload.model_validate(
        {
            "sources": 3, "arrivals": {"name": "diurnal", "rate": 5.0, "hours": hours},
            "active": {"start": 14 * HOUR_S, "end": 20 * HOUR_S},
        }
    )  # fmt: skip
    # Twice the mean, all afternoon.
    assert expected_requests(workload, 2) == pytest.approx(2 * 3 * 5.0 * 2 * 6 * HOUR_S)
    whole = workload.model_copy(update={"active": Workload(arrivals=workload.arrivals).active})
    assert expected_requests(whole, 1) == pytest.approx(3 * 5.0 * DAY_S)
    assert diurnal.mean_rate(diurnal.Options(rate=5.0), 3) == 15.0


def test_a_backlog_after_the_active_hours_never_comes() -> None:
    with pytest.raises(InputError, match="2 h after the start of active hours that last 60 min"):
        played(real_time(), {"name": "backlog", "count": 1, "after": 2 * HOUR_S})


# --- whole scenarios -----------------------------------------------------------------------------

ROOT = Path(__file__).parents[1]
SCENARIO = """
schema_version: 1
name: t
task: {{name: text-recognition, labels: 48}}
workload:
  sources: 1
  arrivals: {arrivals}
  active: {active}
objective: {objective}
simulate: {simulate}
deployments:
  - name: d
    backend: onnxruntime-cpu
    device: this-host
    {deployment}
"""
ON_CLOUD = """offer: civo/standard-2c-4g/any/on-demand
    start_up: {node: 0 s, image_pull: 0 s, model_load: 0 s}
    network: {uplink: 100 Gbit/s, downlink: 100 Gbit/s, rtt: 0 ms}
    """
FIXED = ON_CLOUD + "kind: real_time\n    scaling: {name: fixed, replicas: 1}"
NIGHT = ON_CLOUD + "kind: batch\n    window: {opens: '21:00', closes: '06:00'}"


def profiles(service_s: list[float]) -> dict[str, Profile]:
    found = load_profiles(ROOT / "reports" / "example")
    changes = {
        "service_s": {1: service_s},
        "loop_overhead_s": 0.0,
        "sizes": None,
        "input_bytes": 1.0,
    }
    return {name: one.model_copy(update=changes) for name, one in found.items()}


def whole(
    folder: Path,
    arrivals: str,
    deployment: str = FIXED,
    objective: str = "{due: {by: '06:00', share: 99 %}}",
    active: str = "{start: '00:00', end: '24:00'}",
    simulate: str = "{replications: 2}",
    service_s: list[float] | None = None,
) -> tuple[Simulation, Comparison]:
    """A scenario from its file to its verdict; a service takes one second if nothing else is said."""
    path = folder / "scenario.yaml"
    fields = {"arrivals": arrivals, "deployment": deployment, "objective": objective}
    path.write_text(SCENARIO.format(**fields, active=active, simulate=simulate))
    known = profiles(service_s or [1.0])
    _, simulation, _, comparison = simulate_only(path, known, Settings(engine="inline"))
    return simulation, comparison


FAILING = FIXED + "\n    failures: {mtbf: 1000 s, mttr: 500 s}"
P99 = "{response: {percentile: 99, limit: 10 s}}"


def test_machines_that_fail_too_often_are_overloaded(tmp_path: Path) -> None:
    """Two thirds of a server for four fifths of its work: nothing but the simulation shows it."""
    patient, comparison = whole(tmp_path, "{name: poisson, rate: 0.8/s}", FAILING)
    assert "waiting when those of the next day would come" in str(patient.deployments[0].impossible)
    assert comparison.ranking[0].reasons[0].startswith("overload")
    assert patient.deployments[0].response_s["p50"].value is None
    # A queue that is full turns the rest away, and stays as long as it is.
    full = FAILING + "\n    admission: {queue_limit: 2000}"
    found, _ = whole(tmp_path, "{name: poisson, rate: 0.8/s}", full)
    assert found.deployments[0].impossible is None


def test_servers_that_come_when_they_are_needed_are_not_overloaded(tmp_path: Path) -> None:
    """Ten minutes before midnight comes an hour's work: one server is asleep until then."""
    asleep = ON_CLOUD + "kind: real_time\n    scaling: {name: scale-to-zero, max_replicas: 1}"
    simulation, comparison = whole(tmp_path, "{name: backlog, count: 3600, after: 23.83 h}", asleep)
    assert simulation.deployments[0].impossible is None
    assert comparison.objective_met
    # All but 611 are done on a morning that has work of its own: the next ends with the day.
    assert [caveat.kind for caveat in comparison.ranking[0].caveats] == ["carried-over"]
    assert "83.03 % of the requests were still waiting" in comparison.verdict


def test_the_peak_of_a_day_may_be_more_than_the_servers_can(tmp_path: Path) -> None:
    """1.6 times the capacity from 08:00 to 17:00, and 0.8 times on average: late, no overload."""
    hours = [0.3] * 8 + [1.6] * 9 + [0.3] * 7
    course = f"{{name: diurnal, rate: 0.8/s, hours: {hours}}}"
    simulation, comparison = whole(tmp_path, course, objective=P99)
    assert simulation.deployments[0].impossible is None
    assert re.match(r"p99 .* h is over 10 s", comparison.ranking[0].reasons[0])


def test_a_full_queue_loses_what_erlang_and_the_rest_say(tmp_path: Path) -> None:
    """M/M/2/5: five in the system, and the sixth is turned away; the median limit is kept."""
    offered, servers, most = 2.5, 2, 5
    weights = [
        offered**n / math.factorial(min(n, servers)) / servers ** max(n - servers, 0)
        for n in range(most + 1)
    ]
    lost = weights[most] / sum(weights)
    assert lost == pytest.approx(0.284, abs=5e-4)
    two = ON_CLOUD + "kind: real_time\n    scaling: {name: fixed, replicas: 2}"
    simulation, comparison = whole(
        tmp_path, "{name: poisson, rate: 2.5/s}", two + "\n    admission: {queue_limit: 3}",
        "{response: {percentile: 50, limit: 50 s}}",
        simulate="{replications: 3, profile_uncertainty: false}",
        service_s=np.random.default_rng(0).permutation(exponential(1.0, 20_000)).tolist(),
    )  # fmt: skip
    assert comparison.objective_met
    days = simulation.deployments[0].replications
    shed = sum(day.shed for day in days) / sum(day.requests for day in days)
    assert shed == pytest.approx(lost, rel=0.01)


def test_what_a_trace_was_taken_for_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    times = [str(1_700_000_000_000 + second * 1000) for second in range(0, 2 * 86_400, 60)]
    (tmp_path / "trace.csv").write_text("\n".join(["t", *times]))
    simulation, comparison = whole(
        tmp_path, "{name: trace, file: trace.csv, column: t}", objective=P99
    )
    assert simulation.deployments[0].replications[0].requests == 1440
    assert "1,440 of 2,880 (50.0 %) requests of the trace come after" in comparison.verdict
    assert [caveat.kind for caveat in comparison.caveats] == ["trace-left-out"]
    sources = {origin.subject: origin.source for origin in comparison.ranking[0].origins}
    assert "2,880 requests over 48 h" in sources["workload"]
    assert "numbers taken as ms since 1970 (by their size)" in sources["workload"]


# --- capacity ------------------------------------------------------------------------------------

EIGHT_TO_NINE = "{start: '20:00', end: '21:00'}"


@pytest.mark.parametrize(
    ("deployment", "arrivals", "objective", "per_s", "servers"),
    [
        (NIGHT, "{name: backlog, count: 100000}", BY_SIX, 100_000 / (9 * HOUR_S), 4),
        # Whether the window closes then or never: it is due at six.
        (NIGHT.replace(", closes: '06:00'", ""), "{name: backlog, count: 100000}", BY_SIX,
         100_000 / (9 * HOUR_S), 4),
        (FIXED, "{name: backlog, count: 100000}", BY_SIX, 100_000 / (10 * HOUR_S), 3),
        (FIXED, "{name: backlog, count: 100000}", P99, 100_000 / HOUR_S, 28),
        (FIXED, "{name: poisson, rate: 2/s}", P99, 2.0, 2),
    ],
)  # fmt: skip
def test_the_servers_that_the_traffic_needs(
    tmp_path: Path, deployment: str, arrivals: str, objective: Any, per_s: float, servers: int
) -> None:
    text = objective if isinstance(objective, str) else "{due: {by: '06:00', share: 99 %}}"
    _, comparison = whole(tmp_path, arrivals, deployment, text, EIGHT_TO_NINE)
    planned = comparison.capacity[0]
    assert planned.arrivals_per_s == pytest.approx(per_s)
    assert planned.servers_at_full_load == servers


# --- too few, or none ----------------------------------------------------------------------------


def test_too_few_requests_are_no_miss(tmp_path: Path) -> None:
    _, comparison = whole(tmp_path, "{name: poisson, rate: 20/day}", objective=P99)
    assert not comparison.objective_met
    assert comparison.verdict.startswith("Not shown: whether d meets p99 ≤ 10 s: p99 needs 662")
    days = int(re.search(r"simulate: {days: (\d+)} would do", comparison.verdict)[1])  # type: ignore[index]
    assert comparison.ranking[0].reasons[0].startswith("not shown: ")
    enough = f"{{replications: 2, days: {days}}}"
    _, comparison = whole(tmp_path, "{name: poisson, rate: 20/day}", objective=P99, simulate=enough)
    assert comparison.verdict.startswith("d (real-time) meets")


def test_days_that_cannot_be_simulated_are_not_asked_for(tmp_path: Path) -> None:
    _, comparison = whole(tmp_path, "{name: poisson, rate: 1/day}", objective=P99)
    # 662 + 3 · √744 = 744.
    assert "about 744 days would, and 366 are the most" in comparison.verdict
    assert "of a lower percentile, p95, they show enough" in comparison.verdict


def test_too_few_requests_do_not_hide_a_miss(tmp_path: Path) -> None:
    strict = P99.replace("10 s", "10 ms")
    _, comparison = whole(tmp_path, "{name: poisson, rate: 1/day}", objective=strict)
    assert "cannot be kept" in comparison.verdict
    fussy = P99[:-1] + ", accuracy: {metric: none, at_least: 90 %}}"
    _, comparison = whole(tmp_path, "{name: poisson, rate: 1/day}", objective=fussy)
    assert comparison.ranking[0].unshown is None


@pytest.mark.parametrize("deployment", [FIXED, NIGHT], ids=["real-time", "batch"])
def test_days_without_requests_have_a_report(tmp_path: Path, deployment: str) -> None:
    """Half of the replications have a request, and half have none."""
    path, known = tmp_path / "scenario.yaml", profiles([1.0])
    sweep = "\nsweep:\n  workload.sources: [1, 2]\n"
    path.write_text(
        SCENARIO.format(
            arrivals="{name: poisson, rate: 0.7/day}", active="{start: '00:00', end: '21:00'}",
            objective="{due: {by: '06:00', share: 99 %}}", simulate="{replications: 8}",
            deployment=deployment,
        ) + sweep
    )  # fmt: skip
    run = simulate_into(path, known, tmp_path / "run", Settings(engine="inline"))
    days = run.load("simulation.json", Simulation).deployments[0].replications
    assert {day.requests > 0 for day in days} == {True, False}
    comparison = run.load("comparison.json", Comparison)
    entry = comparison.ranking[0]
    month = format_usd(entry.usd_per_month.value)
    assert f"at {month} a month" in comparison.verdict  # and not "at – per million"
    assert re.match(
        r"in \d of 8 replications no request was answered", str(entry.usd_per_million.reason)
    )
    assert entry.usd_per_month.value is not None


def test_no_request_at_all_is_said(tmp_path: Path) -> None:
    _, comparison = whole(tmp_path, "{name: poisson, rate: 0.0001/day}")
    assert "no request came" in comparison.verdict
    assert comparison.ranking[0].unshown == "no request came"

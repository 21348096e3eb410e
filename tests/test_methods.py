"""Both methods of simulating tell the same story, request by request, to the nanosecond."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.admission import Admission
from bench.batching import Rule, constant
from bench.profile import Growth
from bench.requests import ANSWER, Answers, Floats, Requests, Row
from bench.simulate import fast, reference
from bench.simulate.fast.state import Input
from bench.simulate.moments import control_at
from bench.simulate.plane import (
    Battery,
    Checkpoints,
    FleetSpec,
    Link,
    PoolSpec,
    Routing,
    Spill,
    Windows,
    WindowsOfEach,
)
from bench.simulate.service import ServiceTimes
from bench.ticks import FOREVER

pytestmark = pytest.mark.slow

SERVERS = 4
END = 4000

spans = st.integers(0, 60)
limits = st.one_of(st.just(FOREVER), st.integers(0, 80))


@st.composite
def rules(draw: st.DrawFn, at_door: bool = False) -> Rule:
    full = draw(st.integers(1, 4))
    rule = draw(
        st.one_of(
            st.builds(constant, st.just(full), st.one_of(spans, st.just(FOREVER))),
            st.lists(spans, min_size=full - 1, max_size=full - 1).map(
                lambda patience: Rule(full, tuple(patience))
            ),
        )
    )
    return replace(rule, at_door=at_door)


@st.composite
def services(draw: st.DrawFn, largest: int) -> ServiceTimes:
    lengths = st.lists(st.integers(1, 50), min_size=1, max_size=4)
    measured = {size: [t * 1e-9 for t in draw(lengths)] for size in range(1, largest + 1)}
    lines = st.builds(Growth, work=st.just(2.0), rate=st.sampled_from([0.0, 0.3, 0.5]))
    times = ServiceTimes.of(
        measured,
        block=draw(st.sampled_from([1, 3])),
        growth=draw(st.one_of(st.none(), st.fixed_dictionaries(dict.fromkeys(measured, lines)))),
        padded=draw(st.booleans()),
    )
    return times._replace(
        rest=draw(st.integers(1, 40)), rested=draw(st.sampled_from([1.0, 0.5, 1.3]))
    )


@st.composite
def windows(draw: st.DrawFn) -> Windows:
    """One of them may have begun at or before the first moment."""
    steps = [draw(st.integers(0, 200)), *draw(st.lists(st.integers(1, 200), max_size=7))]
    edges = np.cumsum(steps)[: len(steps) // 2 * 2]
    return Windows(edges[::2].copy(), edges[1::2].copy())


@st.composite
def windows_of_each(draw: st.DrawFn, things: int) -> WindowsOfEach:
    each = [draw(windows()) for _ in range(things)]
    starts, ends = ([getattr(own, side) for own in each] for side in ("start", "end"))
    return WindowsOfEach(
        np.cumsum([0, *map(len, starts)]), Windows(np.concatenate(starts), np.concatenate(ends))
    )


@st.composite
def links(draw: st.DrawFn) -> Link:
    sites = draw(st.integers(1, 3))
    per_unit = draw(st.sampled_from([0.0, 0.7, 5.0]))
    return Link(draw(st.integers(0, 20)), sites, draw(windows_of_each(sites)), per_unit)


@st.composite
def pool_specs(draw: st.DrawFn, closed: bool) -> PoolSpec:
    rule = draw(rules(at_door=draw(st.booleans())))
    shed_from = draw(limits)
    opens = None
    if not closed and draw(st.booleans()):
        opens = np.array(sorted(draw(st.lists(st.integers(0, 1500), max_size=3))), np.int64)
    checkpoints = st.builds(Checkpoints, st.integers(1, 200), st.integers(0, 20))
    return PoolSpec(
        rule=rule,
        service=draw(services(rule.full)),
        servers=SERVERS,
        routing=draw(st.sampled_from(Routing)),
        admission=Admission(
            queue_limit=draw(st.one_of(st.just(FOREVER), st.integers(0, 6))),
            shed_from=min(shed_from, 5) if shed_from < FOREVER else FOREVER,
            shed_to=8 if shed_from < FOREVER else FOREVER,
            timeout=draw(limits),
        ),
        retry=draw(st.booleans()),
        checkpoints=draw(st.one_of(st.just(Checkpoints()), checkpoints)),
        uplink=draw(links()),
        downlink=draw(links()),
        opens=opens,
        users=draw(st.integers(1, 6)) if closed else 0,
        away=draw(windows()) if closed else Windows(),
    )


@st.composite
def sizes(draw: st.DrawFn, n: int) -> Floats:
    """None at all, as often as not."""
    if draw(st.booleans()):
        return np.zeros(0)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.choice([0.001, 0.7, 2.0, 9.25], n)  # type: ignore[no-any-return]


@st.composite
def requests(draw: st.DrawFn) -> list[Requests]:
    """A few chunks of requests; ties are as likely as not."""
    gaps = draw(st.lists(st.integers(0, 30), min_size=1, max_size=60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    time, n = np.cumsum(gaps).astype(np.int64), len(gaps)
    up = rng.integers(0, draw(st.sampled_from([1, 40])), n)
    every = Requests(
        np.arange(n), time, time, rng.integers(0, 5, n, dtype=np.int32), rng.random(n),
        rng.random(n), up, rng.integers(0, 10, n), draw(sizes(n)),
    )  # fmt: skip
    cut = draw(st.integers(0, n))
    return [every.take(slice(0, cut)), every.take(slice(cut, None))]


Script = list[tuple[int, str, int]]
scripts = st.lists(
    st.tuples(
        st.integers(0, 1200), st.sampled_from(["turn", "fail", "work"]), st.integers(0, SERVERS - 1)
    ),
    max_size=12,
)


def play(method: Any, spec: PoolSpec, chunks: list[Requests], script: Script) -> dict[str, Any]:
    """One pool under a scripted control plane."""
    env = simpy.Environment(0)
    rows: list[Answers] = []
    pool = method.Pool(env, spec, iter(chunks), lambda answers: rows.append(answers.copy()))
    pool.watch_wake = pool.watch_empty = True
    up: set[int] = set()
    story: list[Any] = []

    def look(what: str) -> None:
        story.append((int(env.now), what, pool.seen()))

    def act(action: str, server: int) -> None:
        look(action)
        if action == "work":
            pool.give_work(5)
        elif server not in up:
            if pool.left(server) <= env.now or server not in used:
                pool.add(server)
                up.add(server)
                used.add(server)
        else:
            (pool.fail if action == "fail" else pool.retire)(server)
            up.discard(server)

    def trigger(what: str) -> None:
        look(what)
        pool.watch_empty = True

    used: set[int] = set()
    pool.on_trigger = trigger
    for time, action, server in sorted(script, key=lambda step: step[0]):
        control_at(env, time, lambda a=action, s=server: act(a, s))  # type: ignore[misc]
    pool.run(END)
    look("end")
    answers = np.concatenate([np.zeros(0, ANSWER), *rows])
    return {
        "answers": sorted(a for a in answers.tolist() if a[5] < END),
        "story": story,
        "left": [pool.left(s) for s in range(SERVERS)],
    }


@st.composite
def cases(draw: st.DrawFn) -> tuple[PoolSpec, list[Requests], Script]:
    closed = draw(st.booleans())
    at_first: Script = [(0, "turn", server) for server in range(draw(st.integers(0, SERVERS)))]
    return draw(pool_specs(closed)), draw(requests()), at_first + draw(scripts)


@given(cases())
@settings(max_examples=400, deadline=None, report_multiple_bugs=False)
def test_the_fast_method_is_the_reference(case: tuple[PoolSpec, list[Requests], Script]) -> None:
    spec, chunks, script = case
    expected = play(reference, spec, chunks, script)
    found = play(fast, spec, chunks, script)
    assert found["answers"] == expected["answers"]
    assert found["story"] == expected["story"]
    assert found["left"] == expected["left"]


def test_what_takes_no_time_is_through_at_the_moment_its_link_breaks() -> None:
    """Found by the test above: a user whose request times out at once asks again at that moment."""
    away = WindowsOfEach(np.array([0, 1]), Windows(np.array([0]), np.array([1])))
    spec = PoolSpec(
        constant(1, 0), ServiceTimes.of({1: [1e-9]}), SERVERS, admission=Admission(timeout=0),
        retry=False, uplink=Link(0, 1, away), users=1,
    )  # fmt: skip
    rows = [Row(n, 0, 0, 0, 0.5, 0.5, 0, 0, 0.0) for n in range(2)]
    fast_, slow = (play(m, spec, [Requests.of_rows(rows)], []) for m in (fast, reference))
    assert fast_ == slow
    assert [answer[2] for answer in slow["answers"]] == [0, 0]


def test_who_gives_up_in_the_last_moment_has_given_up() -> None:
    """Found by the test above: nobody serves, and the run ends one tick after the patience does."""
    spec = PoolSpec(
        constant(1, 0), ServiceTimes.of({1: [1e-9]}), SERVERS, admission=Admission(timeout=10),
        retry=False,
    )  # fmt: skip
    row = Row(0, END - 11, END - 11, 0, 0.5, 0.5, 0, 0, 0.0)
    for script in ([], [(END - 1, "work", 0)]):
        fast_, slow = (play(m, spec, [Requests.of_rows([row])], script) for m in (fast, reference))
        assert fast_ == slow
        assert [answer[5] for answer in slow["answers"]] == [END - 1]


@st.composite
def fleet_specs(draw: st.DrawFn) -> FleetSpec:
    rule, devices = draw(rules()), draw(st.integers(1, 3))
    period = draw(st.one_of(st.just(0), st.integers(2, 80)))
    battery = st.builds(
        Battery,
        capacity=st.floats(1e-7, 1e-5),
        idle=st.floats(0.0, 2.0),
        active=st.floats(2.0, 9.0),
        charger=st.floats(1.0, 9.0),
        charging=windows(),
        restart=st.floats(1e-8, 1e-7),
        saver_below=st.floats(-1.0, 1e-5),
        saver_slowdown=st.floats(1.0, 3.0),
        saver_active=st.floats(1.0, 5.0),
    )
    spill = st.builds(
        Spill,
        queue=st.one_of(st.just(FOREVER), st.integers(0, 4)),
        share=st.sampled_from([0.0, 0.3, 1.0]),
        off_line=windows(),
        outages=st.one_of(st.none(), st.integers(1, 3).flatmap(windows_of_each)),
    )
    return FleetSpec(
        devices=devices,
        rule=rule,
        service=draw(services(rule.full)),
        queue_limit=draw(st.one_of(st.just(FOREVER), st.integers(0, 6))),
        timeout=draw(limits),
        retry=draw(st.booleans()),
        failures=draw(windows_of_each(devices)),
        asleep=draw(windows()),
        duty_period=period,
        duty_on=draw(st.integers(1, period)) if period else 0,
        duty_phase=np.array(draw(st.lists(st.integers(0, 80), min_size=devices, max_size=devices))),
        battery=draw(st.one_of(st.none(), battery)),
        spill=draw(spill),
        sites=draw(st.integers(1, devices)),
    )


def play_fleet(method: Any, spec: FleetSpec, chunks: list[Requests]) -> dict[str, Any]:
    rows: list[Answers] = []
    fleet = method.Fleet(spec, iter(chunks), lambda answers: rows.append(answers.copy()), END)
    gone = [chunk for chunk in fleet.spilled() if len(chunk)]
    answers = np.concatenate([np.zeros(0, ANSWER), *rows])
    return {
        "answers": sorted(answers.tolist()),
        "spilled": [row for chunk in gone for row in chunk.rows()],
        "seen": fleet.seen(),
    }


@given(fleet_specs(), requests())
@settings(max_examples=400, deadline=None, report_multiple_bugs=False)
def test_the_fast_fleet_is_the_reference(spec: FleetSpec, chunks: list[Requests]) -> None:
    expected, found = play_fleet(reference, spec, chunks), play_fleet(fast, spec, chunks)
    assert found == expected


def test_a_request_has_the_same_columns_everywhere() -> None:
    columns = tuple(field.name for field in fields(Requests))
    assert columns == Row._fields == Input._fields
    row = Row(1, 2, 3, 4, 0.5, 0.6, 7, 8, 9.0)
    (again,) = Requests.of_rows([row]).rows()
    assert again == row

"""A line of stages: what bounds it, and how one replication of it is played.

Requests flow forward only: a stage takes all of what the one before answers, or that in which something
was found, or what devices pass on, since it finds a queue or the answer is not sure enough. A request
keeps its number, its source, and which of the measured inputs it is; its luck is another at each stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, takewhile
from typing import Any

import numpy as np

from bench import extensions
from bench.errors import InputError
from bench.profile import Profile
from bench.requests import Requests
from bench.scenario import PLACES, Deployment, Part, Stage, Workload, file_of
from bench.simulate import cloud
from bench.simulate.demand import delays_of
from bench.simulate.limits import Limit
from bench.simulate.places import Played, Playing, Setting, counts_of, joined
from bench.simulate.results import Usage
from bench.ticks import ticks
from bench.units import DAY_S, format_percent


def place_of(stage: Stage) -> Any:
    """The file of a stage's place."""
    return extensions.load(PLACES, file_of(stage.place))


def server_rate(stage: Stage, profile: Profile, workload: Workload) -> float:
    """Requests/s of one server, or one device, that always finds the batch it likes best."""
    return float(place_of(stage).rate(stage.part, profile, workload))


def limits(
    deployment: Deployment, profiles: Mapping[str, Profile], workload: Workload
) -> list[Limit]:
    """What bounds the requests of a day, at any of its stages.

    ``profiles``: by the name of the stage.
    """

    def own(stage: Stage, what: str = "limits") -> Any:
        return getattr(place_of(stage), what)(stage.part, profiles[stage.name], workload)

    first = deployment.line[0]
    earlier: list[Limit] = []
    found: list[Limit] = own(first)
    waits, share = cloud.all_wait(first.part), 1.0
    for before, stage in pairwise(deployment.line):
        spill = stage.spill
        if spill is not None and (spill.on_line or _outages(stage.part)) and spill.queue is None:
            break  # how many are passed on depends on when they come
        beyond = own(stage)
        if spill is not None and spill.queue is not None:
            # What finds no room at one, the other may answer; nobody knows how many go on.
            devices = own(before, "together")
            return earlier + [_of_some(_both(devices, one), share, waits) for one in beyond]
        share *= _share_taken(stage, profiles[before.name])
        if not share:
            break
        earlier, found = earlier + found, [_of_some(one, share, waits) for one in beyond]
        waits = waits and cloud.all_wait(stage.part)
    return earlier + found


def _share_taken(stage: Stage, before: Profile) -> float:
    """Of what the stage before answers, where no queue decides."""
    if stage.only_found:
        return float(np.mean(np.array(counts_of(before)) > 0))
    return 1.0 if stage.spill is None else stage.spill.unsure


def _both(devices: Limit, beyond: Limit) -> Limit:
    return Limit(
        per_day=devices.per_day + beyond.per_day,
        what=f"{devices.what} and {beyond.what}",
        waits=beyond.waits,
        steady=devices.steady,
    )


def _of_some(limit: Limit, share: float, waits: bool) -> Limit:
    """The same of a stage that this share of the requests comes to; ``waits``: all of them do."""
    some = "" if share == 1 else f"of these, {format_percent(share)} of which are passed on, "
    return replace(
        limit,
        per_day=limit.per_day / share,
        what=some + limit.what,
        waits=waits and limit.waits,
    )


def _outages(part: Part) -> bool:
    return part.network is not None and part.network.outages is not None


def quickest(deployment: Deployment, profiles: Mapping[str, Profile]) -> float:
    """No request is answered sooner, in seconds from when it sets out."""
    return sum(
        float(place_of(stage).quickest(stage.part, profiles[stage.name]))
        for stage in _passed_by_all(deployment)
    )


def least_usage(
    deployment: Deployment, profiles: Mapping[str, Profile], days: int, requests: int
) -> dict[str, Usage]:
    """What each stage uses at the least, if so many are answered in all.

    Where some are passed on, either stage may have to answer none.
    """
    all_pass = len(_passed_by_all(deployment)) == len(deployment.line)
    answered = requests if all_pass else 0
    return {
        stage.name: place_of(stage).least_usage(stage.part, profiles[stage.name], days, answered)
        for stage in deployment.line
    }


def opens(deployment: Deployment) -> float | None:
    """The time of day before which no answer is made; ``None``: any will do."""
    found = [place_of(stage).opens(stage.part) for stage in _passed_by_all(deployment)]
    return max((time for time in found if time is not None), default=None)


def _passed_by_all(deployment: Deployment) -> list[Stage]:
    """The stages that every request passes: up to the first that takes but some."""
    return list(takewhile(lambda stage: stage.takes_all, deployment.line))


def next_day_of(deployment: Deployment, workload: Workload, days: int) -> int:
    """When the work of the day after the last would begin."""
    begins = opens(deployment)
    return ticks(days * DAY_S + (workload.active.start if begins is None else begins))


def play(deployment: Deployment, setting: Setting) -> Played:
    """Simulate one replication: every stage draws its requests from the one before."""
    line = deployment.line
    if setting.demand.closed and len(line) > 1:
        raise InputError(
            f"{deployment.name!r} has {len(line)} stages, which would all have to hold the users of "
            "a closed loop",
            where="workload.arrivals",
            allowed="an open arrival process with deployments of several stages",
        )
    flow: Iterable[Requests] = setting.demand.requests(
        next((stage.part.network for stage in line if stage.part.network is not None), None),
        any(_draws_choice(stage, following) for stage, following in _with_next(line)),
    )
    flows: list[_Flow] = []
    for stage, following in _with_next(line):
        own = setting
        if flows and stage.own_luck:
            own = replace(setting, streams=setting.streams.of(stage.name))
            flow = _with_own_luck(own, stage, flow)
        flow = _as_measured(setting, stage, flow)
        if following is not None and following.spill is None:
            flow = _not_back(setting, stage, following, flow)
        flow = _Flow(place_of(stage).play(own, stage, iter(flow), following))
        flows.append(flow)
    for _ in flows[-1]:
        raise AssertionError("nothing goes on after the last stage")
    return joined([one.played for one in flows])


class _Flow:
    """The requests that go on from a stage, and when there are no more, what it used."""

    played: Played

    def __init__(self, playing: Playing) -> None:
        self._playing = playing

    def __iter__(self) -> Iterator[Requests]:
        self.played = yield from self._playing


def _with_next(line: Sequence[Stage]) -> Iterator[tuple[Stage, Stage | None]]:
    return zip(line, [*line[1:], None], strict=True)


def _draws_choice(stage: Stage, following: Stage | None) -> bool:
    """Whether something is decided there by a uniform number of each request."""
    part = stage.part
    spill = None if following is None else following.spill
    passes_on = spill is not None and spill.unsure > 0
    passes_on |= following is not None and spill is None
    routed = getattr(part, "routing", "") == "two_choices"
    return passes_on or routed or part.admission.shed is not None


def _as_measured(setting: Setting, stage: Stage, flow: Iterable[Requests]) -> Iterable[Requests]:
    """Requests as large as the inputs that were measured, where nothing else says how large."""
    sizes = setting.profiles[stage.name].sizes
    if sizes is None or setting.demand.says_sizes:
        return flow
    rows = np.array(sizes.rows)
    return (replace(chunk, size=rows[setting.input_of(chunk.number, len(rows))]) for chunk in flow)


def _not_back(
    setting: Setting, stage: Stage, following: Stage, flow: Iterable[Requests]
) -> Iterator[Requests]:
    """What goes on is on no way back to its source."""
    for chunk in flow:
        going = setting.goes_on(stage, following, chunk.number)
        yield replace(chunk, down=np.where(going, 0, chunk.down))


def _with_own_luck(setting: Setting, stage: Stage, flow: Iterable[Requests]) -> Iterator[Requests]:
    """Another model's work, over another network: none of the luck is that of the stage before."""
    for chunk in flow:
        up, down = delays_of(stage.part.network, chunk.number, setting.streams)
        service, choice = (
            setting.streams.luck(role, chunk.number) for role in ("service", "choice")
        )
        yield replace(chunk, service=service, choice=choice, up=up, down=down)

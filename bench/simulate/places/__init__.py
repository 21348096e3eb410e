"""Places that requests pass: one file each, and one for each stage of a deployment.

The file holds ``Options``, the record of a part there (:class:`bench.scenario.EdgePart`, or one that is
derived from it, from ``RealTimePart`` or ``BatchPart``). It can be asked, of the part and the profile of its
arm: ``limits(part, profile, workload)``, what bounds the requests of a day (a list of
:class:`bench.simulate.limits.Limit`); ``rate(part, profile, workload)``, requests/s of one server at its
best; ``quickest(part, profile)``, the shortest time there can be from
coming to being answered there; ``least_usage(part, profile, days, requests)``, what it uses at the least
to answer so many; ``opens(part)``, the time of day at which its work begins, or ``None``; and
``play(setting, stage, requests, following)``, which simulates one replication: it yields the requests
that go on to the following stage, by the time at which they do, and returns what was used
(:class:`Played`). Of the last stage, nothing goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.profile import Profile
from bench.requests import ANSWER, Answers, Outcome, Requests
from bench.scenario import Objective, Stage, Workload
from bench.simulate.control import Event, Span
from bench.simulate.demand import Demand
from bench.simulate.plane import Pool
from bench.simulate.results import OtherWork, Usage
from bench.simulate.service import ServiceTimes, service_times
from bench.simulate.tally import Tally
from bench.streams import Streams
from bench.ticks import Ticks, ticks
from bench.units import DAY_S

CONTRACT = ("Options", "limits", "rate", "quickest", "least_usage", "opens", "play")
LONGEST_WAIT_S = 30 * DAY_S
"""Who waits longer, waits for servers that can never keep up."""
ONWARD_S = 60.0
"""So often what is done goes on to the following stage: memory need not hold a day of it."""
STEP_S = 3600.0
"""So often it is asked whether all is answered."""
DRAIN_S = 600.0
"""However soon all is due, requests under way are given this long."""


@dataclass(frozen=True)
class Setting:
    """One replication of one deployment."""

    profiles: Mapping[str, Profile]
    """By the name of the stage."""
    workload: Workload
    demand: Demand
    streams: Streams
    method: Any
    """The package of one method: ``Pool`` and ``Fleet``."""
    days: int
    until: int
    """When the simulation ends: see :func:`until_of`."""
    tally: Tally
    resample: bool
    """Whether the replication draws the measured batches anew."""

    @property
    def midnight(self) -> int:
        """The last one: the accounting days end."""
        return ticks(self.days * DAY_S)

    def service(self, stage: str) -> ServiceTimes:
        """Deployments that share an arm share its luck in being measured."""
        profile, streams = self.profiles[stage], self.streams.shared
        return service_times(
            profile, streams.get(f"profile {profile.arm}") if self.resample else None
        )

    def input_of(self, numbers: Ticks, inputs: int) -> npt.NDArray[np.int64]:
        """Which of so many measured inputs each request is: of a chain the same at every stage, and the
        same in every deployment."""
        return (self.streams.shared.luck("input", numbers) * inputs).astype(np.int64)

    def goes_on(
        self, stage: Stage, following: Stage | None, numbers: Ticks
    ) -> npt.NDArray[np.bool_]:
        """Which of the requests that a stage has answered the following one takes, by what was found."""
        if following is None or not following.only_found:
            return np.full(len(numbers), following is not None)
        found = np.array(counts_of(self.profiles[stage.name]))
        passed: npt.NDArray[np.bool_] = found[self.input_of(numbers, len(found))] > 0
        return passed

    def rng(self, role: str) -> np.random.Generator:
        return self.streams.get(role)


def counts_of(profile: Profile) -> list[int]:
    """How much was found in each of the measured inputs.

    Raises:
        InputError: its task counts nothing.
    """
    if profile.found is None:
        raise InputError(
            f"a stage takes what {profile.arm} has found, and its task, {profile.task}, counts nothing",
            where="takes",
            allowed="found, after a task that counts what it finds (scene-text, voice, speech-detection, "
            "face-detection)",
            todo="Say takes: all; or, if the task counts, measure it again",
        )
    return profile.found


@dataclass(frozen=True)
class Played:
    """What was used, beside what the tally has counted."""

    ready: int
    """Server-ticks ready to work, …"""
    busy: int
    """… and those of them spent on requests."""
    available: int
    """Server-ticks that there would be with as many servers as there may be, for a day's work."""
    batches: int
    served: int
    max_replicas: int
    usage: dict[str, Usage]
    devices: bool = False
    """Whether its servers are devices, each with its own sources."""
    other_work: OtherWork | None = None
    events: list[Event] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    """When each server was ready."""


Playing = Generator[Requests, None, Played]
"""Yields the requests that go on, and returns what was used."""


def joined(stages: Sequence[Played]) -> Played:
    """What several stages used together; replicas are those of the pool with the most."""
    pools = [stage for stage in stages if not stage.devices] or stages
    work = [stage.other_work for stage in stages if stage.other_work is not None]
    return Played(
        ready=sum(stage.ready for stage in stages),
        busy=sum(stage.busy for stage in stages),
        available=sum(stage.available for stage in stages),
        batches=sum(stage.batches for stage in stages),
        served=sum(stage.served for stage in stages),
        max_replicas=max(stage.max_replicas for stage in pools),
        usage={name: used for stage in stages for name, used in stage.usage.items()},
        other_work=work[0] if work else None,
        events=[event for stage in stages for event in stage.events],
        spans=[span for stage in stages for span in stage.spans],
    )


class Counted:
    """Passes requests on, counts them, and adds up their sizes."""

    def __init__(self, requests: Iterator[Requests]) -> None:
        self._requests, self.count, self.size = requests, 0, 0.0

    def __iter__(self) -> Iterator[Requests]:
        return self

    def __next__(self) -> Requests:
        chunk = next(self._requests)
        self.count += len(chunk)
        self.size += float(chunk.size.sum())
        return chunk


class Gate:
    """Where answers leave a pool: back to their sources, or on to the following stage."""

    def __init__(self, setting: Setting, stage: Stage, following: Stage | None) -> None:
        self._setting, self._stage, self._following = setting, stage, following
        self._sized = setting.profiles[stage.name].sizes is not None
        self._going: list[Answers] = []
        self._now = 0
        self.done = 0
        """Answers, …"""
        self.done_size = 0.0
        """… the sizes of their requests added up, …"""
        self.last = 0
        """… and where some go on, when the last of them left."""

    def __call__(self, answers: Answers) -> None:
        tally = self._setting.tally
        # To look at every row takes about as long as to simulate it: the tally does anyway.
        if self._following is None and not self._sized:
            before = tally["returned"]
            tally(answers)
            self.done += tally["returned"] - before
            return
        done = answers["outcome"] == Outcome.DONE
        self.done += int(np.count_nonzero(done))
        self.done_size += float(answers["size"][done].sum())
        if self._following is None:
            tally(answers)
            return
        self.last = max(self.last, int(answers["finished"].max(initial=0)))
        done[done] = self._setting.goes_on(self._stage, self._following, answers["number"][done])
        self._going.append(answers[done])
        tally(answers[~done])

    def run(self, pool: Pool, until: int) -> Iterator[Requests]:
        """Let the pool run, and what goes on, go on."""
        step = until if self._following is None else ticks(ONWARD_S)
        while self._now < until:
            self._now = min(self._now + step, until)
            pool.run(self._now)
            if going := self._taken():
                yield going

    def _taken(self) -> Requests | None:
        rows = np.concatenate(self._going) if self._going else np.zeros(0, ANSWER)
        self._going.clear()
        if not len(rows):
            return None
        rows = rows[np.lexsort((rows["number"], rows["finished"]))]
        none = np.zeros(len(rows), np.int64)
        return Requests(
            number=rows["number"].copy(), arrival=rows["arrival"].copy(),
            time=rows["finished"].copy(), source=rows["source"].copy(), service=np.zeros(len(rows)),
            choice=np.zeros(len(rows)), up=none, down=none, size=rows["size"].copy(),
        )  # fmt: skip


def work_off(setting: Setting, pool: Pool) -> None:
    """Go on while requests are unanswered: to the end, or until there are none.

    Users of a closed loop stop at midnight, but who of them still waits, only the end tells.
    """
    until, now = setting.until, setting.midnight + ticks(DRAIN_S)
    while now < until and not _all_answered(setting, now):
        now = until if setting.demand.closed else min(now + ticks(STEP_S), until)
        pool.run(now)


def end_of_work(setting: Setting) -> int:
    """The last answer, not before the last midnight; the end where some are still missing."""
    demand, last = setting.demand, setting.tally["last_end"]
    missing = not demand.closed and not _all_answered(setting, setting.until)
    return setting.until if missing else min(max(last, setting.midnight), setting.until)


def _all_answered(setting: Setting, now: int) -> bool:
    demand, tally = setting.demand, setting.tally
    return demand.exhausted and tally["ended"] == demand.offered and tally["last_end"] < now


def until_of(workload: Workload, objective: Objective, days: int) -> int:
    """When a simulation ends, whatever the kind: late enough for every answer that is in time.

    No request comes after the last midnight. A day later, all that is due on the next day has been
    due, and a backlog of a day's work is worked off; a longer response limit gives the last request
    its time, up to :data:`LONGEST_WAIT_S`.
    """
    last_s = (days - 1) * DAY_S + workload.active.end
    limit_s = objective.response.limit if objective.response else 0.0
    return ticks(max(days * DAY_S + DAY_S, last_s + min(limit_s, LONGEST_WAIT_S)) + DRAIN_S)

"""Sizes of requests, where the task has some: who says them, and profiles as if measured on such.

A service time that was measured on some inputs is not that of larger ones. So before anything is
bounded or simulated, each profile is carried along its own line to the sizes of the workload; from
then on its means are those of this workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median

from bench.errors import InputError
from bench.profile import Profile
from bench.record import Caveat
from bench.scenario import ResolvedScenario, Workload
from bench.simulate.demand import distribution_of, recorded_sizes
from bench.sizes import Distribution, listed
from bench.units import DAY_S, format_percent, format_seconds

POOR = 0.1
"""Lines that miss held-out times by more, those of half of the batch sizes at least, are said to."""


def sized(scenario: ResolvedScenario, profiles: Mapping[str, Profile]) -> dict[str, Profile]:
    """The profiles, those of the scenario's arms as if measured on its requests.

    Profiles without sizes stay as they are. Done twice, it changes nothing.

    Raises:
        InputError: sizes come from two places, or are said where arms have several units, or the
            largest request would keep a server busy for more than a day.
    """
    workload = scenario.scenario.workload
    said = distribution_of(workload)
    used = {arm.name for arm in scenario.arms.values()}
    if said is not None:
        _require_one_source(workload)
        _require_one_unit([profiles[name] for name in used & profiles.keys()])
    return {
        name: _of(profile, said) if name in used and profile.sizes is not None else profile
        for name, profile in profiles.items()
    }


def _of(profile: Profile, said: Distribution | None) -> Profile:
    sizes = said or listed(profile.sizes.inputs if profile.sizes else [])
    _require_short(profile, sizes)
    return profile.for_requests(sizes.mean, sizes.least, sizes.largest_of)


def size_caveats(workload: Workload, profiles: Iterable[Profile]) -> Iterator[Caveat]:
    """What is not known of requests of these sizes."""
    sizes = distribution_of(workload)
    for profile in profiles:
        learnt = profile.sizes
        if learnt is None:
            if sizes is None:
                continue
            yield Caveat(
                kind="sizes-ignored",
                text=f"how long {profile.arm} takes does not depend on the sizes of the requests: it "
                "was measured without sizes",
            )
            continue
        low, high = min(learnt.inputs), max(learnt.inputs)
        if sizes is not None and (sizes.most > high or sizes.least < low):
            yield Caveat(
                kind="sizes-beyond",
                text=f"{profile.arm} was measured on inputs of {low:,.4g} to {high:,.4g} "
                f"{learnt.unit}; for others its line is carried on",
            )
        missed = median([line.held_out_error or 0.0 for line in learnt.growth.values()] or [0.0])
        if missed > POOR:
            yield Caveat(
                kind="sizes-poorly-known",
                text=f"the line by which {profile.arm} takes longer for larger requests misses "
                f"batches that were held out by {format_percent(missed, 2)} on average",
            )


def _require_one_source(workload: Workload) -> None:
    if len(recorded_sizes(workload)) and workload.sizes is not None:
        raise InputError(
            "sizes come from the trace and from workload.sizes",
            where="workload.sizes",
            todo="Leave one of the two out",
        )


def _require_one_unit(profiles: Iterable[Profile]) -> None:
    units = sorted({profile.sizes.unit for profile in profiles if profile.sizes is not None})
    if len(units) > 1:
        raise InputError(
            f"sizes are said, and arms were measured in several units: {', '.join(units)}",
            where="workload.sizes",
            allowed="sizes where all arms have one unit",
            todo="Leave them out: then each request is one of the inputs that were measured",
        )


def _require_short(profile: Profile, sizes: Distribution) -> None:
    """Refuse requests whose service would last more than a day."""
    if profile.sizes is None:
        return
    for size, line in profile.sizes.growth.items():
        work = sizes.most if profile.sizes.joined == "longest" else size * sizes.most
        longest = max(profile.at_average()[size]) * line.factor(work)
        if longest > DAY_S:
            raise InputError(
                f"a batch of {size} of the largest requests, of {sizes.most:,.4g} "
                f"{profile.sizes.unit}, would take {profile.arm} {format_seconds(longest)}",
                where="workload.sizes",
                allowed="sizes that take up to a day",
                todo="Say where they end: most",
            )

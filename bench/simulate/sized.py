"""Sizes of requests, where the task has some: who says them, and profiles as if measured on such.

A service time that was measured on some inputs is not that of larger ones. So before anything is
bounded or simulated, each profile is carried along its own line to the sizes of the workload; from
then on its means are those of this workload.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.errors import InputError
from bench.profile import MeasuredSizes, Profile
from bench.record import Caveat
from bench.scenario import Choice, ResolvedScenario, Workload
from bench.simulate.demand import distribution_of, recorded_sizes
from bench.sizes import Distribution
from bench.units import DAY_S, format_percent, format_seconds

MEASURED = "measured"
POOR = 0.1
"""A line that misses held-out times by more is said to."""


def sized(
    scenario: ResolvedScenario, profiles: Mapping[str, Profile]
) -> tuple[ResolvedScenario, dict[str, Profile]]:
    """The scenario with the sizes of its requests, and the profiles of such requests.

    Where no arm knows sizes, both stay as they are. Done twice, it changes nothing.

    Raises:
        InputError: sizes come from two places, or are asked for where none were measured, or the
            largest request would keep a server busy for more than a day.
    """
    own = {name: profiles[name] for name in _arms(scenario) if name in profiles}
    workload = _with_sizes(scenario.scenario.workload, _learnt(own))
    sizes = distribution_of(workload)
    if sizes is None:
        return scenario, dict(profiles)
    for profile in own.values():
        _require_short(profile, sizes)
    asked = scenario.scenario.model_copy(update={"workload": workload})
    return scenario.model_copy(update={"scenario": asked}), {
        name: profile.for_requests(sizes.mean, sizes.least, sizes.largest_of)
        for name, profile in profiles.items()
    }


def size_caveats(workload: Workload, profiles: Iterable[Profile]) -> Iterator[Caveat]:
    """What is not known of requests of these sizes."""
    sizes = distribution_of(workload)
    if sizes is None:
        return
    for profile in profiles:
        learnt = profile.sizes
        if learnt is None:
            yield Caveat(
                kind="sizes-ignored",
                text=f"how long {profile.arm} takes does not depend on the sizes of the requests: it "
                "was measured without sizes",
            )
            continue
        low, high = min(learnt.inputs), max(learnt.inputs)
        if sizes.most > high or sizes.least < low:
            yield Caveat(
                kind="sizes-beyond",
                text=f"{profile.arm} was measured on inputs of {low:,.4g} to {high:,.4g} "
                f"{learnt.unit}; for others its line is carried on",
            )
        worst = max((line.held_out_error or 0.0 for line in learnt.growth.values()), default=0.0)
        if worst > POOR:
            yield Caveat(
                kind="sizes-poorly-known",
                text=f"the line by which {profile.arm} takes longer for larger requests misses "
                f"batches that were held out by {format_percent(worst, 2)} on average",
            )


def _arms(scenario: ResolvedScenario) -> list[str]:
    return [arm.name for arm in scenario.arms.values()]


def _learnt(profiles: Mapping[str, Profile]) -> MeasuredSizes | None:
    """Of the first arm that was measured with sizes: all were measured on the same inputs."""
    found = [profile.sizes for profile in profiles.values() if profile.sizes is not None]
    units = sorted({sizes.unit for sizes in found})
    if len(units) > 1:
        raise InputError(
            f"arms were measured in different units of size: {', '.join(units)}",
            where="--profiles",
            todo="Compare arms of one task",
        )
    return found[0] if found else None


def _with_sizes(workload: Workload, learnt: MeasuredSizes | None) -> Workload:
    """The workload, with the sizes that were measured where it says no other."""
    said = workload.sizes
    if len(recorded_sizes(workload)):
        if said is not None:
            raise InputError(
                "sizes come from the trace and from workload.sizes",
                where="workload.sizes",
                todo="Leave one of the two out",
            )
        return workload
    if said is not None and (said.name != MEASURED or said.options.get("sizes")):
        return workload
    if learnt is None:
        if said is None:
            return workload
        raise InputError(
            "no arm was measured with sizes",
            where="workload.sizes",
            allowed="measured, for a task whose inputs have sizes",
            todo="Leave it out, or measure again",
        )
    part = Choice.model_validate({"name": MEASURED, "sizes": learnt.inputs})
    return workload.model_copy(update={"sizes": part})


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

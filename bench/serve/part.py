"""What of a scenario can be served on this machine."""

from __future__ import annotations

from bench.errors import InputError, UnknownName
from bench.scenario import Arm, Part, RealTimePart, ResolvedScenario


def part_of(
    scenario: ResolvedScenario, deployment: str, kinds: tuple[type[Part], ...] = (RealTimePart,)
) -> tuple[Part, Arm]:
    """The part and the arm of a deployment that is of one of these kinds, and of one stage.

    Raises:
        InputError: it is of another kind, or runs on another machine.
    """
    names = [one.name for one in scenario.scenario.deployments]
    if deployment not in names:
        raise UnknownName("deployment", deployment, names, where="--deployment")
    line = scenario.scenario.deployments[names.index(deployment)].line
    part = line[0].part
    if len(line) > 1 or not isinstance(part, kinds):
        raise InputError(
            f"{deployment!r} is not one service of replicas"
            if kinds == (RealTimePart,)
            else f"{deployment!r} has several stages",
            where="--deployment", allowed="deployments of kind real_time", todo="Serve one of those",
        )  # fmt: skip
    arm = scenario.arms[line[0].name]
    if not arm.device.here:
        raise InputError(
            f"{deployment!r} runs on {arm.device.name}, which is another machine",
            where="--deployment", allowed="a deployment whose device is this machine",
        )  # fmt: skip
    return part, arm

"""What of a scenario can be served on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import InputError, UnknownName
from bench.scenario import (
    Arm,
    Deployment,
    EdgePart,
    LineDeployment,
    Part,
    RealTimePart,
    ResolvedScenario,
    Stage,
)


@dataclass(frozen=True)
class Placed:
    """A stage of a deployment, and what runs there."""

    name: str
    """As it is written in the scenario."""
    stage: Stage
    arm: Arm

    @property
    def part(self) -> Part:
        return self.stage.part


def line_of(
    scenario: ResolvedScenario, deployment: str, kinds: tuple[type[Part], ...] = (RealTimePart,)
) -> list[Placed]:
    """The stages of a deployment: one of one of these kinds, or several of replicas, behind a device where
    devices are one of the kinds.

    Raises:
        InputError: it is of another kind, or runs on another machine.
    """
    names = [one.name for one in scenario.scenario.deployments]
    if deployment not in names:
        raise UnknownName("deployment", deployment, names, where="--deployment")
    found = scenario.scenario.deployments[names.index(deployment)]
    line = found.line
    if len(line) > 1:
        _require_replicas(deployment, line[1:] if _is_device(line[0], kinds) else line)
    elif not isinstance(line[0].part, kinds):
        raise InputError(
            f"{deployment!r} is not one service of replicas",
            where="--deployment", allowed="deployments of kind real_time, and lines of such stages",
            todo="Serve one of those",
        )  # fmt: skip
    placed = [
        Placed(name, stage, scenario.arms[stage.name])
        for name, stage in zip(_written(found), line, strict=True)
    ]
    for one in placed:
        if not one.arm.device.here:
            raise InputError(
                f"{one.stage.name!r} runs on {one.arm.device.name}, which is another machine",
                where="--deployment", allowed="a deployment whose device is this machine",
            )  # fmt: skip
    return placed


def _written(deployment: Deployment) -> list[str]:
    """What its stages are called in the scenario."""
    if isinstance(deployment, LineDeployment):
        return [stage.name for stage in deployment.stages]
    return [stage.name for stage in deployment.line]


def _is_device(stage: Stage, kinds: tuple[type[Part], ...]) -> bool:
    """Whether it is one, and may be."""
    return stage.place == "edge" and EdgePart in kinds


def _require_replicas(deployment: str, line: list[Stage]) -> None:
    """Raises:
    InputError: a stage of several is no service of replicas, or takes what devices pass on.
    """
    spilling = next((stage for stage in line if stage.spill is not None), None)
    if spilling is not None:
        raise InputError(
            f"{spilling.name!r} takes what devices pass on instead of answering it, which is "
            "simulated only",
            where="--deployment", allowed="stages that take all, or what was found",
        )  # fmt: skip
    other = next((stage for stage in line if stage.place != "real_time"), None)
    if other is not None:
        raise InputError(
            f"{deployment!r} has several stages, of which {other.name!r} is no service of replicas",
            where="--deployment", allowed="lines whose stages are all at the place real_time",
        )  # fmt: skip

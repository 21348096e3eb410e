"""The command line and a scenario → what is asked of a session."""

from __future__ import annotations

from collections.abc import Sequence

from bench import serve
from bench.errors import InputError
from bench.measure import RemoteArm, is_remote
from bench.scenario import (
    AdmissionOptions,
    BatchPart,
    Deployment,
    EdgePart,
    RealTimePart,
    ResolvedScenario,
)
from bench.units import DAY_S, format_seconds
from bench.validate.outside import told_rule
from bench.validate.validation import Session

KINDS = (RealTimePart, EdgePart, BatchPart)
SHORTEST_S, LONGEST_S = 5.0, DAY_S


def session_of(
    deployment: str | None, levels: Sequence[float], length_s: float, replicas: int
) -> Session:
    """What is asked.

    Args:
        deployment: ``None`` for the first that can be served from here.

    Raises:
        InputError: the numbers make no session.
    """
    if not SHORTEST_S <= length_s <= LONGEST_S:
        raise InputError(
            f"a session of {format_seconds(length_s)} is too {'long' if length_s > 60 else 'short'}",
            where="--minutes",
            allowed=f"from {format_seconds(SHORTEST_S)} to {format_seconds(LONGEST_S)}",
        )
    return Session(
        deployment=deployment or "", levels=list(levels), length_s=length_s, replicas=replicas
    )


def checked(scenario: ResolvedScenario, asked: Session) -> Session:
    """The same, of a deployment that can be served from here.

    Raises:
        InputError: there is none, or the one that is meant cannot be.
    """
    chosen = asked.deployment or first_served(scenario)
    if chosen is None:
        raise InputError(
            "no deployment of the scenario can be served from here", where="bench validate",
            allowed="one whose device is this machine",
        )  # fmt: skip
    line = line_of(scenario, chosen)
    if len(line) == 1 and isinstance(line[0].part, EdgePart) and asked.replicas > 1:
        raise InputError(f"a device of {chosen!r} has one loop", where="--replicas", allowed="1")
    if is_remote(line[0].arm) and asked.replicas > 1:
        raise InputError(
            f"of {chosen!r}, a server of others, it cannot be told which of several replicas answers",
            where="--replicas", allowed="1", todo="Let it run one worker",
        )  # fmt: skip
    return asked.model_copy(update={"deployment": chosen})


def line_of(scenario: ResolvedScenario, deployment: str) -> list[serve.Placed]:
    """What of a scenario can be validated here: the stages of a deployment.

    Raises:
        InputError: one cannot be played here, or runs on another machine.
    """
    line = serve.line_of(scenario, deployment, KINDS)
    part = line[0].part
    if isinstance(part, EdgePart) and part.admission != AdmissionOptions():
        raise InputError(
            f"{deployment!r} turns requests away, and the loop that is played here does not",
            where="--deployment", allowed="an edge deployment without admission",
        )  # fmt: skip
    remote = next((one for one in line if is_remote(one.arm)), None)
    if remote is not None:
        if len(line) > 1 or not isinstance(part, RealTimePart):
            raise InputError(
                f"{deployment!r} asks a server of others ({remote.arm.backend.name})",
                where="--deployment",
                allowed="for such a server, a deployment of kind real_time and of one stage",
            )
        told_rule(part.batching)
    return line


def replicas_of(line: Sequence[serve.Placed], replicas: int) -> list[int]:
    """Of each stage; a device is one loop."""
    return [1 if isinstance(one.part, EdgePart) else replicas for one in line]


def require_up(scenario: ResolvedScenario, asked: Session) -> None:
    """Before anything is written: a server of others must be up.

    Raises:
        InputError: it does not answer, or does not have the model.
    """
    first, *_ = line_of(scenario, asked.deployment)
    if is_remote(first.arm):
        RemoteArm(first.arm, scenario.scenario.task).close()


def first_served(scenario: ResolvedScenario) -> str | None:
    """The first deployment that can be validated here, of those that rank best; ``None``: none can."""
    found = [one for one in scenario.scenario.deployments if _is_served(scenario, one.name)]
    chosen = min(found, key=_rank, default=None)
    return None if chosen is None else chosen.name


def _rank(deployment: Deployment) -> tuple[bool, int]:
    """Single stages come before lines, and services before others."""
    first, *more = deployment.line
    return bool(more), next(k for k, kind in enumerate(KINDS) if isinstance(first.part, kind))


def _is_served(scenario: ResolvedScenario, name: str) -> bool:
    try:
        line_of(scenario, name)
    except InputError:
        return False
    return True

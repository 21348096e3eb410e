"""From a deployment of a scenario to what is served, and where."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench import event_loop
from bench.batching import rule_of
from bench.errors import InputError, MissingRequirement
from bench.scenario import BatchPart, Choice, RealTimePart, ResolvedScenario
from bench.serve.part import Placed, line_of
from bench.simulate import Routing, Scaling, admission_of, largest_batch

if TYPE_CHECKING:  # it needs packages of an extra
    from bench.serve.server import Served
    from bench.serve.stage import ServedStage

MOST_FILES = 1 << 16
STUCK_S = 30
"""A client that takes nothing of its answer for so long, or is not there any more, is given up."""


def served_of(scenario: ResolvedScenario, deployment: str, replicas: int | None) -> Served:
    """A deployment of a scenario.

    Args:
        replicas: of each stage; by default as many as it keeps at the least.

    Raises:
        InputError: it cannot be served from here.
        MissingRequirement: packages are missing.
    """
    return served_line(line_of(scenario, deployment), scenario.scenario.task, replicas)


def served_line(line: Sequence[Placed], task: Choice, replicas: int | None) -> Served:
    """So many replicas of each stage; ``None``: as many as it keeps at the least.

    Raises:
        MissingRequirement: packages are missing.
    """
    if sys.platform == "win32":
        raise MissingRequirement("`bench serve` needs Linux or macOS.")
    try:
        from bench.serve.server import Served
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            f"`bench serve` needs the package {error.name}. "
            'Install it once with: pip install "inference-testbed[serve]".'
        ) from error
    last = len(line) - 1
    return Served(
        name=Path(task.name).stem,  # of a file of the user's own; others have no dots
        stages=[_stage(one, task, replicas, k < last) for k, one in enumerate(line)],
    )


def _stage(placed: Placed, task: Choice, replicas: int | None, hands_on: bool) -> ServedStage:
    from bench.serve.stage import ServedStage

    part = placed.part
    assert isinstance(part, RealTimePart | BatchPart)  # noqa: S101
    if replicas is None:
        assert isinstance(part, RealTimePart)  # noqa: S101
        replicas = max(Scaling(part.scaling).fewest, 1)
    return ServedStage(
        name=placed.name,
        arm=placed.arm,
        task=task,
        replicas=replicas,
        largest=largest_batch(part.batching),
        rule=partial(rule_of, part.batching.name, part.batching.options),
        routing=Routing[part.routing.upper()],
        admission=admission_of(part.admission),
        retry=part.in_flight == "retry",
        only_found=placed.stage.only_found,
        hands_on=hands_on,
    )


def serve(served: Served, host: str, port: int, on_ready: Callable[[str, str], None]) -> None:
    """Answer requests until told to end.

    Args:
        port: 0 for any that is free.
        on_ready: called with the address and the name of the model.

    Raises:
        InputError: the address cannot be used, or the model cannot be loaded.
        MissingRequirement: what the model needs is not there.
        Interrupted: it was told to end before it could serve, or could not answer all that was inside.
    """
    from bench.serve.server import Server

    listening = _listen(host, port)
    _allow_connections()
    own, number = listening.getsockname()[:2]
    address = f"http://{f'[{own}]' if ':' in own else own}:{number}"
    event_loop.run(Server(served, listening).run(lambda: on_ready(address, served.name)))


def _listen(host: str, port: int) -> socket.socket:
    """Before models are loaded: a port that is taken is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen there ({error.strerror if isinstance(error, OSError) else error})",
            where=f"{host}:{port}", todo="Name another: --host, --port (0: any that is free)",
        ) from error  # fmt: skip
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections inherit it
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_S * 1000)
    return listening


def _allow_connections() -> None:
    """Each is a file, of which a process may open few unless it asks for more."""
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))

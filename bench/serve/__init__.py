"""A deployment of a scenario as a live server: the batching and admission that are simulated, for real."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

from bench import event_loop, extensions
from bench.errors import InputError, MissingRequirement, UnknownName
from bench.scenario import ResolvedScenario
from bench.simulate import BATCHING, Routing, Scaling, admission_of, largest_batch

__all__ = ["serve"]


def serve(
    scenario: ResolvedScenario,
    deployment: str,
    host: str,
    port: int,
    replicas: int | None,
    on_ready: Callable[[str, str], None],
) -> None:
    """Answer requests until told to end.

    Args:
        replicas: by default as many as the deployment keeps at the least.
        on_ready: called with the address and the name of the model.

    Raises:
        InputError: the deployment cannot be served from here, or the address cannot be used.
        MissingRequirement: packages are missing.
    """
    try:
        from bench.serve.server import Served, Server
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            f"`bench serve` needs the package {error.name}. "
            'Install it once with: pip install "inference-testbed[serve]".'
        ) from error
    names = [one.name for one in scenario.scenario.deployments]
    if deployment not in names:
        raise UnknownName("deployment", deployment, names, where="--deployment")
    line = scenario.scenario.deployments[names.index(deployment)].line
    part = line[0].part
    if len(line) > 1 or part.scaling is None:
        raise InputError(
            f"{deployment!r} is not one service of replicas", where="--deployment",
            allowed="deployments of kind real_time", todo="Serve one of those",
        )  # fmt: skip
    arm = scenario.arms[line[0].name]
    if not arm.device.here:
        raise InputError(
            f"{deployment!r} runs on {arm.device.name}, which is another machine",
            where="--deployment", allowed="a deployment whose device is this machine",
        )  # fmt: skip
    module = extensions.load(BATCHING, part.batching.name)
    options = module.Options.model_validate(part.batching.options)
    served = Served(
        name=scenario.scenario.task.name,
        arm=arm,
        task=scenario.scenario.task,
        replicas=replicas or max(Scaling(part.scaling).fewest, 1),
        largest=largest_batch(part.batching),
        rule=lambda expected: module.rule(options, expected),
        routing=Routing[part.routing.upper()],
        admission=admission_of(part.admission),
        retry=part.in_flight == "retry",
    )
    listening = _listen(host, port)
    own, number = listening.getsockname()[:2]
    address = f"http://{f'[{own}]' if ':' in own else own}:{number}"
    with suppress(KeyboardInterrupt):  # where no handler can be set
        event_loop.run(Server(served, listening).run(lambda: on_ready(address, served.name)))


def _listen(host: str, port: int) -> socket.socket:
    """Before models are loaded: a port that is taken is said at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"cannot listen there ({error.strerror if isinstance(error, OSError) else error})",
            where=f"{host}:{port}", todo="Name another: --host, --port (0: any that is free)",
        ) from error  # fmt: skip

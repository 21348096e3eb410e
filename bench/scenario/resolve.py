"""Names → things: the extensions, devices, offers and assumptions a scenario speaks of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.documents import Source
from bench.errors import InputError, UnknownName
from bench.hardware import Catalogue
from bench.record import Record
from bench.scenario.schema import (
    Arm,
    BatchDeployment,
    Deployment,
    EdgeDeployment,
    Part,
    RealTimeDeployment,
    ResolvedScenario,
    Scenario,
)

Extensions = Mapping[str, tuple[list[str], Callable[[str], type[Record]]]]
"""By role (``task``, ``backend``, …): the names there are, and the options record of a name."""


def resolve(
    scenario: Scenario, source: Source, catalogue: Catalogue, extensions: Extensions
) -> ResolvedScenario:
    """Look up every name and fill every default.

    Raises:
        InputError: an unknown name, a wrong option, or a deployment that contradicts itself.
    """

    def part(role: str, value: Part, *location: str | int) -> Part:
        names, options_of = extensions[role]
        if value.name not in names:
            has_name = isinstance(_at(source.data, location), dict)
            raise UnknownName(
                role, value.name, names, where=source.where((*location, *(["name"] * has_name)))
            )
        options = source.record(options_of(value.name), location, value.options)
        return Part.model_validate({"name": value.name, **options.model_dump()})

    def deployment(index: int, value: Deployment) -> Deployment:
        here = ("deployments", index)
        update: dict[str, Any] = {
            "backend": part("backend", value.backend, *here, "backend"),
            "batching": part("batching", value.batching, *here, "batching"),
        }
        if isinstance(value, RealTimeDeployment):
            update["scaling"] = part("scaling", value.scaling, *here, "scaling")
        offer = catalogue.offer(value.offer, source.where((*here, "offer")))
        if isinstance(value, EdgeDeployment) and offer.machine.kind != "purchased":
            raise InputError(
                f"an edge deployment needs machines that are bought, and {value.offer!r} is rented",
                where=source.where((*here, "offer")),
                allowed=", ".join(n for n, o in catalogue.offers.items() if o.location == "edge"),
            )
        if isinstance(value, BatchDeployment) and value.window.opens < scenario.workload.active.end:
            raise InputError(
                "the batch window opens before the day's last request has come",
                where=source.where((*here, "window", "opens")),
                allowed="a time at or after the end of workload.active",
            )
        return value.model_copy(update=update)

    deployments = [deployment(i, d) for i, d in enumerate(scenario.deployments)]
    workload = scenario.workload
    resolved = scenario.model_copy(
        update={
            "task": part("task", scenario.task, "task"),
            "workload": workload.model_copy(
                update={"arrivals": part("arrivals", workload.arrivals, "workload", "arrivals")}
            ),
            "deployments": deployments,
        }
    )
    return ResolvedScenario(
        scenario=resolved,
        offers={d.name: catalogue.offer(d.offer) for d in deployments},
        arms={
            d.name: _arm(
                d,
                scenario.deployments[i].backend,
                catalogue,
                source.where(("deployments", i, "device")),
            )
            for i, d in enumerate(deployments)
        },
        assumptions=catalogue.assumptions,
    )


def _arm(deployment: Deployment, written: Part, catalogue: Catalogue, where: str) -> Arm:
    """An arm is named after the backend, the options as written, and the device."""
    device = catalogue.device(deployment.device, where)
    options = "".join(f",{k}={v}" for k, v in sorted(written.options.items()))
    name = f"{deployment.backend.name}{options}@{device.name}"
    return Arm(name=name, backend=deployment.backend, device=device)


def _at(data: Any, location: tuple[str | int, ...]) -> Any:
    for step in location:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data

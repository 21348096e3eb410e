"""Names → things: the extensions, devices, offers and assumptions a scenario speaks of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.batching import rule_of, taken_up
from bench.documents import Source
from bench.errors import InputError, UnknownName
from bench.extensions import is_own_file
from bench.hardware import Catalogue, check_current
from bench.record import Record
from bench.scenario.deployments import Deployment, LineDeployment, OtherStage, file_of
from bench.scenario.parts import ArmSpec, BatchPart, Choice, Part
from bench.scenario.schema import (
    Arm,
    Campaign,
    MeasureOptions,
    PlanSpace,
    ResolvedScenario,
    Scenario,
    Suite,
)
from bench.units import DAY_S, format_clock

Extensions = Mapping[str, tuple[list[str], Callable[[str], type[Record]]]]
"""By role (``task``, ``backend``, …): the names there are, and the options record of a name."""


class _Lookup:
    """Names of one scenario file → things, with the file's lines in every complaint."""

    def __init__(self, source: Source, catalogue: Catalogue, extensions: Extensions) -> None:
        self._source, self.catalogue, self._extensions = source, catalogue, extensions

    def where(self, *location: str | int) -> str:
        return self._source.where(location)

    def part(self, role: str, value: Choice, *location: str | int) -> Choice:
        """``value`` with every default of its options filled, and the parts inside them."""
        names, options_of = self._extensions[role]
        if is_own_file(value.name):
            own = (self._source.path.parent / value.name).resolve()
            value = Choice.model_validate({"name": str(own), **value.options})
        elif value.name not in names:
            has_name = isinstance(_at(self._source.data, location), dict)
            raise UnknownName(
                role, value.name, names, where=self.where(*location, *(["name"] * has_name))
            )
        options = self._source.record(options_of(value.name), location, value.options)
        filled = options.model_copy(
            update={
                field: self.part(field, written, *location, field)
                if isinstance(written, Choice)
                else self._beside(written)
                for field, written in options
            }
        )
        return Choice.model_validate({"name": value.name, **filled.model_dump()})

    def stage(self, value: OtherStage, *location: str | int) -> OtherStage:
        """With the place as it is found from anywhere, and what is set there in plain units."""
        names, options_of = self._extensions["place"]
        place = value.place
        if is_own_file(place):
            place = str((self._source.path.parent / place).resolve())
        elif file_of(place) not in names:
            known = [name.replace("-", "_") for name in names]
            raise UnknownName("place", place, known, where=self.where(*location, "place"))
        part = self._source.record(options_of(file_of(place)), location, value.options)
        return value.model_copy(update={"place": place, **part.model_dump()})

    def _beside(self, value: Any) -> Any:
        """Paths in a scenario are relative to its file.

        A last part that is a link stays one: a cache made of links has the names there, and the
        files under others.
        """
        if isinstance(value, Path):
            path = self._source.path.parent / value
            return path.parent.resolve() / path.name
        if isinstance(value, dict):
            return {key: self._beside(item) for key, item in value.items()}
        return value

    def task(self, value: Choice) -> Choice:
        return self.part("task", value, "task")

    def measure(self, value: MeasureOptions) -> MeasureOptions:
        loads = [
            self.part("load", part, "measure", "loads", index)
            for index, part in enumerate(value.loads)
        ]
        return value.model_copy(update={"loads": loads})

    def arm(self, written: ArmSpec, task: Choice, *location: str | int) -> Arm:
        """An arm is named after the backend, the options as written, and the device."""
        device = self.catalogue.device(written.device, self.where(*location, "device"))
        backend = self.part("backend", written.backend, *location, "backend")
        changes = {}
        if written.task:
            merged = self.part("task", _merged(task, written.task), *location, "task")
            changes = {key: merged.options[key] for key in written.task}
        options = {**written.backend.options, **written.task}
        named = "".join(f",{key}={value}" for key, value in sorted(options.items()))
        return Arm(
            name=f"{backend.name}{named}@{device.name}",
            backend=backend,
            device=device,
            task=changes,
        )


def resolve(
    scenario: Scenario, source: Source, catalogue: Catalogue, extensions: Extensions
) -> ResolvedScenario:
    """Look up every name and fill every default.

    Raises:
        InputError: an unknown name, a wrong option, or a deployment that contradicts itself.
    """
    look_up = _Lookup(source, catalogue, extensions)
    scenario = _at_places(look_up, scenario)
    _require_names(look_up, scenario.deployments)
    country = scenario.workload.country
    if country is not None:
        catalogue.require_country(country, look_up.where("workload", "country"))
    task = look_up.task(scenario.task)
    deployments = [
        _deployment(look_up, scenario, d, "deployments", i)
        for i, d in enumerate(scenario.deployments)
    ]
    arrivals = look_up.part("arrivals", scenario.workload.arrivals, "workload", "arrivals")
    sizes = scenario.workload.sizes
    if sizes is not None:
        sizes = look_up.part("sizes", sizes, "workload", "sizes")
    resolved = scenario.model_copy(
        update={
            "task": task,
            "workload": scenario.workload.model_copy(
                update={"arrivals": arrivals, "sizes": sizes, "sites": _sites(scenario)}
            ),
            "measure": look_up.measure(scenario.measure),
            "deployments": deployments,
            "plan": _space(look_up, scenario.plan),
        }
    )
    arms: dict[str, Arm] = {}
    for i, written in enumerate(scenario.deployments):
        for stage in written.line:
            arms[stage.name] = look_up.arm(stage.part, scenario.task, "deployments", i, *stage.path)
    offers = {
        name: catalogue.offer(part.offer) for d in deployments for name, part in d.parts.items()
    }
    return ResolvedScenario(
        scenario=resolved,
        offers=offers,
        arms=arms,
        regions={name: catalogue.region_of(offer, country) for name, offer in offers.items()},
        assumptions=catalogue.assumptions,
    )


def _at_places(look_up: _Lookup, scenario: Scenario) -> Scenario:
    """With the stages at places of the user's own looked up, and checked against their files."""
    deployments = [
        d.model_copy(
            update={
                "stages": [
                    look_up.stage(stage, "deployments", i, "stages", k)
                    if isinstance(stage, OtherStage)
                    else stage
                    for k, stage in enumerate(d.stages)
                ]
            }
        )
        if isinstance(d, LineDeployment)
        else d
        for i, d in enumerate(scenario.deployments)
    ]
    return scenario.model_copy(update={"deployments": deployments})


def _require_names(look_up: _Lookup, deployments: Sequence[Deployment]) -> None:
    """Refuse two deployments, or parts of them, of one name: results are kept by it."""
    owner: dict[str, str] = {}
    for index, deployment in enumerate(deployments):
        where = look_up.where("deployments", index, "name")
        if deployment.name in owner.values():
            raise InputError(f"the deployment name {deployment.name!r} appears twice", where=where)
        for name in dict.fromkeys([deployment.name, *deployment.parts]):
            if name in owner:
                raise InputError(
                    f"{name!r} is the name of two things: of a deployment, and of a stage of "
                    "one with the name before the brackets",
                    where=where, todo="Call one of them something else",
                )  # fmt: skip
            owner[name] = deployment.name


def _sites(scenario: Scenario) -> int:
    """Where the sources are: as said, or as many places as some deployment has links to."""
    links = [
        part.network.sites
        for deployment in scenario.deployments
        for part in deployment.parts.values()
        if part.network is not None
    ]
    return min(scenario.workload.sites or max(links, default=1), scenario.workload.sources)


def _space(look_up: _Lookup, space: PlanSpace) -> PlanSpace:
    filled = {
        role: [look_up.part(role, part, "plan", role, index) for index, part in enumerate(parts)]
        for role, parts in (("batching", space.batching), ("scaling", space.scaling))
        if parts is not None
    }
    return space.model_copy(update=filled)


def resolve_suite(
    suite: Suite, source: Source, catalogue: Catalogue, extensions: Extensions
) -> Campaign:
    """Look up every name of a suite and fill every default.

    Raises:
        InputError: an unknown name or a wrong option.
    """
    look_up = _Lookup(source, catalogue, extensions)
    task = look_up.task(suite.task)
    arms = [look_up.arm(arm, suite.task, "arms", i) for i, arm in enumerate(suite.arms)]
    return Campaign(
        name=suite.name,
        task=task,
        options=look_up.measure(suite.measure),
        arms=list({arm.name: arm for arm in arms}.values()),
    )


def _deployment(
    look_up: _Lookup, scenario: Scenario, value: Deployment, *here: str | int
) -> Deployment:
    return value.with_parts(
        [_part(look_up, scenario, stage.part, *here, *stage.path) for stage in value.line]
    )


def _part(look_up: _Lookup, scenario: Scenario, value: Part, *here: str | int) -> Part:
    """A part of the same kind, resolved."""
    update: dict[str, Any] = {
        "backend": look_up.part("backend", value.backend, *here, "backend"),
        "batching": look_up.part("batching", value.batching, *here, "batching"),
    }
    if value.scaling is not None:
        update["scaling"] = look_up.part("scaling", value.scaling, *here, "scaling")
    offers = look_up.catalogue.offers
    offer = look_up.catalogue.offer(value.offer, look_up.where(*here, "offer"))
    check_current(offer, look_up.where(*here, "offer"))
    if value.at_sources and offer.machine.kind != "purchased":
        raise InputError(
            f"an edge deployment needs machines that are bought, and {value.offer!r} is rented",
            where=look_up.where(*here, "offer"),
            allowed=", ".join(n for n, o in offers.items() if o.location == "edge"),
        )
    if value.window is not None:
        _require_possible_window(look_up, scenario, value, *here)
    if value.at_sources:
        batching = update["batching"]
        taken_up(rule_of(batching.name, batching.options), look_up.where(*here, "batching"))
        _require_a_device_at_each_site(look_up, scenario, value, *here)
    return value.model_copy(update=update)


def _require_a_device_at_each_site(
    look_up: _Lookup, scenario: Scenario, value: Part, *here: str | int
) -> None:
    sites = _sites(scenario)
    devices = value.number
    if devices is not None and devices < sites:
        said = "workload.sites" if scenario.workload.sites else "network.sites"
        raise InputError(
            f"{devices} {value.NOUN}(s) cannot be at {sites} sites ({said}), and each answers the "
            "sources of its own",
            where=look_up.where(*here, value.COUNT or ""), allowed=f"at least {sites}",
            todo="Or say workload.sites, if the sources are in fewer places",
        )  # fmt: skip


def _require_possible_window(
    look_up: _Lookup, scenario: Scenario, value: BatchPart, *here: str | int
) -> None:
    opens, due = value.window.opens, scenario.objective.due
    if opens < scenario.workload.active.end:
        raise InputError(
            "the batch window opens before the day's last request has come",
            where=look_up.where(*here, "window", "opens"),
            allowed="a time at or after the end of workload.active",
        )
    if due is not None and DAY_S + due.by <= opens:
        raise InputError(
            f"the answers are due by {format_clock(due.by)}, before the batch window opens",
            where=look_up.where(*here, "window", "opens"),
            allowed="a time before objective.due.by of the next day",
        )


def _merged(task: Choice, changes: dict[str, Any]) -> Choice:
    return Choice.model_validate({"name": task.name, **task.options, **changes})


def _at(data: Any, location: tuple[str | int, ...]) -> Any:
    for step in location:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data

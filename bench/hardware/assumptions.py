"""Local inputs of every cost, in one file: ``hardware_profiles/assumptions.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from bench.hardware.sourced import MOST, Sourced
from bench.record import Provenance, Record
from bench.units import (
    Fraction,
    Kilograms,
    PositiveSeconds,
    Usd,
    UsdPerGB,
    UsdPerKWh,
    UsdPerKWMonth,
    UsdPerMonth,
)

V = TypeVar("V")


class Assumption(Sourced, Generic[V]):
    """An input somebody chose, why, and between what bounds it may really lie."""

    value: V
    low: V | None = None
    high: V | None = None
    provenance: Provenance = "assumed"

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        known: list[Any] = [v for v in (self.low, self.value, self.high) if v is not None]
        if known != sorted(known):
            raise ValueError("the value must lie between low and high")
        if any(not isinstance(v, str) and v > MOST for v in known):
            raise ValueError(f"{known[-1]:.3g} is beyond any use")
        return self


Factor = Annotated[float, Field(ge=1, le=10)]
PerYear = Annotated[float, Field(ge=0, le=100)]
PerPerson = Annotated[float, Field(gt=0)]
IntensityKind = Literal["average", "marginal", "market"]


# Classes with names of their own: what is generic has none that a worker process could find it by.
class EnergyPrice(Assumption[UsdPerKWh]): ...


class Ratio(Assumption[Factor]): ...


class Share(Assumption[Fraction]): ...


class Duration(Assumption[PositiveSeconds]): ...


class PlacePrice(Assumption[UsdPerKWMonth]): ...


class MonthlyCost(Assumption[UsdPerMonth]): ...


class Headcount(Assumption[PerPerson]): ...


class YearlyRate(Assumption[PerYear]): ...


class Amount(Assumption[Usd]): ...


class TrafficPrice(Assumption[UsdPerGB]): ...


class Choice(Assumption[IntensityKind]): ...


class EmbodiedCarbon(Assumption[Kilograms]):
    """Greenhouse gases of making one whole machine, in kilograms of CO2 equivalents."""


class Assumptions(Record):
    """Every local input. Shares are of one; times are in seconds."""

    schema_version: Literal[1]
    electricity: EnergyPrice
    pue: Ratio
    """On-premise: energy of the site ÷ energy of its machines."""
    edge_supply_loss: Share
    device_life: Duration
    residual_value: Share
    server_life: Duration
    server_residual_value: Share
    colocation: PlacePrice
    """Space, cooling and connection of a rack, by the power that is reserved."""
    staff: MonthlyCost
    """One person, full time, with everything that comes on top of wages."""
    servers_per_person: Headcount
    devices_per_person: Headcount
    spare_share: Share
    failures_per_device_year: YearlyRate
    failures_per_accelerator_year: YearlyRate
    """Of a server, by its accelerators."""
    repair: Share
    """Cost of one repair of a server, as a share of its price."""
    visit: Amount
    sim: MonthlyCost
    """Cellular connection of one device."""
    cellular: TrafficPrice
    carbon_intensity: Choice
    """Which kind of grid intensity carbon is computed with, where the region has it."""

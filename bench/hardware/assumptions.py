"""Local inputs of every cost, in one file: ``hardware_profiles/assumptions.yaml``."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from bench.hardware.sourced import MOST, Sourced
from bench.record import Provenance, Record
from bench.units import (
    Fraction,
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


class Assumptions(Record):
    """Every local input. Shares are of one; times are in seconds."""

    schema_version: Literal[1]
    electricity: Assumption[UsdPerKWh]
    pue: Assumption[Factor]
    """On-premise: energy of the site ÷ energy of its machines."""
    edge_supply_loss: Assumption[Fraction]
    device_life: Assumption[PositiveSeconds]
    residual_value: Assumption[Fraction]
    server_life: Assumption[PositiveSeconds]
    server_residual_value: Assumption[Fraction]
    colocation: Assumption[UsdPerKWMonth]
    """Space, cooling and connection of a rack, by the power that is reserved."""
    staff: Assumption[UsdPerMonth]
    """One person, full time, with everything that comes on top of wages."""
    servers_per_person: Assumption[PerPerson]
    devices_per_person: Assumption[PerPerson]
    spare_share: Assumption[Fraction]
    failures_per_device_year: Assumption[PerYear]
    failures_per_accelerator_year: Assumption[PerYear]
    """Of a server, by its accelerators."""
    repair: Assumption[Fraction]
    """Cost of one repair of a server, as a share of its price."""
    visit: Assumption[Usd]
    sim: Assumption[UsdPerMonth]
    """Cellular connection of one device."""
    cellular: Assumption[UsdPerGB]
    carbon_intensity: Assumption[IntensityKind]
    """Which kind of grid intensity carbon is computed with, where the region has it."""

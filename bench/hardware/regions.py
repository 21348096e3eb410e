"""Where machines stand: the grid that feeds a region, and how much its buildings add."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bench.errors import InputError, shorten
from bench.files import LARGE, require_file
from bench.hardware.sourced import Sourced
from bench.record import Record
from bench.units import GramsPerKWh


class Intensity(Sourced):
    """Greenhouse gases per energy, in grams of CO2 equivalents per kWh."""

    value: GramsPerKWh


class Overhead(Sourced):
    """PUE: energy of the data centre ÷ energy of its machines."""

    value: Annotated[float, Field(ge=1, le=5)]


class GridIntensity(Record):
    """The kinds differ by what they ask: all that is generated (average), what one more kWh causes
    (marginal), or what is left after certificates (market)."""

    average: Intensity | None = None
    marginal: Intensity | None = None
    market: Intensity | None = None


class Region(Record):
    """One region of one provider; bought machines stand at a ``site``."""

    provider: str
    region: str
    country: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    """ISO 3166 alpha-3: where the data stays, and whose average stands in where the region's grid
    intensity is not known."""
    pue: Overhead | None = None
    intensity: GridIntensity = GridIntensity()


class RegionFile(Record):
    """``hardware_profiles/regions.yaml``."""

    schema_version: Literal[1]
    regions: list[Region] = Field(min_length=1)


def read_averages(path: Path) -> dict[str, Intensity]:
    """What countries generate on average, by ISO 3166 alpha-3.

    Raises:
        InputError: a row that is not country, intensity and year, with its line.
    """
    found: dict[str, Intensity] = {}
    require_file(path, LARGE)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        try:
            for row in rows:
                found[row["iso3"]] = Intensity(
                    value=float(row["g_co2e_per_kwh"]),
                    provenance="published",
                    source=f"average of {row['country']} in {row['year']}, CodeCarbon's table",
                )
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(
                f"not a row of grid intensities: {shorten(' '.join(str(error).split()), 120)}",
                where=f"{path}:{rows.line_num}:1",
            ) from error
    return found

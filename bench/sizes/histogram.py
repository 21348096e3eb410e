"""Sizes that are listed, each with how often it occurs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from bench.record import Record
from bench.sizes import Distribution, listed
from bench.units import Size

Weight = Annotated[float, Field(ge=0, le=1e15)]


class Options(Record):
    """The sizes, in the task's unit; without weights, all occur equally often."""

    sizes: list[Size] = Field(min_length=1, max_length=100_000)
    weights: list[Weight] | None = None

    @model_validator(mode="after")
    def _one_weight_each(self) -> Options:
        if self.weights is None:
            return self
        if len(self.weights) != len(self.sizes):
            raise ValueError(
                f"there are {len(self.weights)} weights for {len(self.sizes)} sizes: give one each"
            )
        if not any(self.weights):
            raise ValueError("all weights are 0: give at least one size a chance")
        return self


def distribution(options: Options) -> Distribution:
    return listed(options.sizes, options.weights)

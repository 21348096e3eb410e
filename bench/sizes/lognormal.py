"""Sizes whose logarithms are normally distributed: many small ones, and few that are large."""

from __future__ import annotations

import numpy as np
from pydantic import model_validator
from scipy import special

from bench.record import Record
from bench.sizes import LARGEST_SHARE, Distribution, Floats, midpoints
from bench.units import Size


class Options(Record):
    """Two percentiles, in the task's unit, and where sizes end."""

    p50: Size
    p99: Size
    most: Size | None = None
    """What is larger is cut to this, as a service that limits its inputs does."""

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.p99 < self.p50:
            raise ValueError("p99 is below p50: give the larger one as p99")
        if self.most is not None and self.most < self.p50:
            raise ValueError("most is below p50: more than half of the requests would be cut")
        return self


def distribution(options: Options) -> Distribution:
    middle = np.log(options.p50)
    sigma = (np.log(options.p99) - middle) / float(special.ndtri(0.99))

    def quantile(share: Floats) -> Floats:
        found: Floats = np.exp(middle + sigma * special.ndtri(share))
        return found if options.most is None else np.minimum(found, options.most)

    if options.most is None:
        mean = float(np.exp(middle + sigma**2 / 2))
    else:
        mean = float(quantile(midpoints()).mean())
    most = float(quantile(np.array([LARGEST_SHARE]))[0])
    return Distribution(quantile, mean, least=0.0, most=most)

"""Published results → what a device nobody measured would do, with an error that was held out.

``cells.py`` makes a table of logarithms of the published results, ``quantities.py`` says of which
figures, ``process.py`` is a Gaussian process over them, and ``project.py`` asks it.
"""

from bench.profile.projection.project import (
    MEASURE,
    Anchor,
    Projected,
    Projector,
    Question,
    Refused,
)
from bench.profile.projection.quantities import FIGURES, PROJECTED

__all__ = [
    "FIGURES",
    "MEASURE",
    "PROJECTED",
    "Anchor",
    "Projected",
    "Projector",
    "Question",
    "Refused",
]

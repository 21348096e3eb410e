"""What one sample of a network is for a processor, counted and not timed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Counts(NamedTuple):
    """Of one sample. Multiply-accumulates count once, elements at any precision."""

    convolution: float
    """Multiply-accumulates of convolutions in which every output meets every input channel."""
    linear: float
    """Those of linear layers, whose weights are stored, and of recurrent ones."""
    attention: float
    """Those of products of two tensors that were both computed."""
    grouped: float
    """Those of convolutions in groups of several channels."""
    depthwise: float
    """Those of convolutions of each channel alone."""
    written: float
    """Elements that convolutions and linear layers write: what others call activations."""
    parameters: float
    """Elements of the weights."""
    layers: float
    """Operations that multiply and accumulate: what is launched, one after the other."""


COUNTS = Counts._fields
NOTHING = Counts(*(0.0 for _ in COUNTS))


def added(parts: Iterable[tuple[Counts, float]]) -> Counts:
    """The sum of counts, each so many times."""
    total = NOTHING
    for counts, times in parts:
        total = Counts(*(sofar + times * more for sofar, more in zip(total, counts, strict=True)))
    return total

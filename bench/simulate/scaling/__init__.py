"""Scaling policies: one file each, a pure function of what the autoscaler sees.

Each file has ``Options``, ``bounds(options) -> (initial, maximum)`` replicas,
``fewest(options)``, how many it never goes below,
``period_s(options)`` between decisions (``None``: never), ``idle_s(options)``, how long the service
is empty before it is scaled to zero (``None``: it never is; else it is not asked while there are no
replicas: a request orders the first), and
``desired(options, observed, history)`` → replicas wanted. ``history`` is a list the policy may
keep its memory in; it starts empty. ``grown(options, factor)`` are the options for ``factor`` times
the traffic; a ``ValueError`` says that there are none. It may have ``first_s(options)``, the time of
the first decision (by default one period after midnight), and ``poll_s(options)``, how often it looks
whether a service that was scaled to zero must wake (by default it sees at once). A policy that is asked
often may have ``calm(options, observed, history)``: between which shares of ``busy`` it would go on to change
nothing while all replicas are ready (``None``: that cannot be said), and ``passed(history, now_s)``, which
leaves ``history`` as if it had been asked until then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench import extensions
from bench.errors import InputError
from bench.record import Record
from bench.scenario import Choice

CONTRACT = ("Options", "bounds", "fewest", "period_s", "idle_s", "desired")
SCALING = "bench.simulate.scaling"
History = list[tuple[float, ...]]
PHASE = 2 / 3
"""Of a period after midnight, a controller decides first. Its clock has any phase; with this one, what
begins at a round time meets neither the best nor the worst of them."""


@dataclass(frozen=True)
class Observed:
    """The autoscaler's view at one tick."""

    now_s: float
    replicas: int
    """Wanted so far, those still starting included."""
    ready: int
    busy: float
    """Busy server-seconds since the last tick ÷ (ready replicas · period)."""
    waiting: int
    in_service: int


class Scaling:
    """A scaling policy with its options bound, and its memory of one day."""

    def __init__(self, part: Choice) -> None:
        module = extensions.load(SCALING, part.name)
        options = module.Options.model_validate(part.options)
        self.initial: int
        self.maximum: int
        self.initial, self.maximum = module.bounds(options)
        self.fewest: int = module.fewest(options)
        self.period_s: float | None = module.period_s(options)
        self.first_s: float | None = getattr(module, "first_s", module.period_s)(options)
        self.idle_s: float | None = module.idle_s(options)
        self.poll_s: float | None = getattr(module, "poll_s", lambda _: None)(options)
        self._history: History = []
        self._module, self._options = module, options

    def desired(self, observed: Observed) -> int:
        wish: int = self._module.desired(self._options, observed, self._history)
        return wish

    def calm(self, observed: Observed) -> tuple[float, float] | None:
        """Between which shares of ``busy`` it need not be asked, if that can be said."""
        if self.idle_s is not None or not hasattr(self._module, "calm"):
            return None
        levels: tuple[float, float] | None = self._module.calm(
            self._options, observed, self._history
        )
        return levels

    def passed(self, now_s: float) -> None:
        """It was calm until then."""
        self._module.passed(self._history, now_s)


def grown(part: Choice, factor: float) -> Choice:
    """The policy for ``factor`` times the traffic.

    Raises:
        ValueError: its options do not allow so many replicas.
        InputError: a file of the user's own does not say.
    """
    module = extensions.load(SCALING, part.name)
    if not hasattr(module, "grown"):
        raise InputError(
            "the scaling policy does not say what it is for other traffic", where=part.name,
            todo="Give it grown(options, factor) -> Options",
        )  # fmt: skip
    options: Record = module.grown(module.Options.model_validate(part.options), factor)
    return Choice.model_validate({"name": part.name, **options.model_dump()})


def times(replicas: int, factor: float) -> int:
    """``replicas`` × ``factor``, rounded up; the hair of a binary fraction does not count."""
    return math.ceil(replicas * factor - 1e-9)


__all__ = ["PHASE", "SCALING", "History", "Observed", "Scaling", "grown", "times"]

"""The requests of one replication: the same, with the same luck, for every deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from bench import extensions
from bench.arrivals import NO_SIZES, Chunk, Span, is_closed
from bench.errors import InputError
from bench.record import Caveat
from bench.requests import Floats, Requests
from bench.scenario import Choice, Network, Workload
from bench.simulate.durations import at_scores, drawn
from bench.sizes import Distribution, listed
from bench.streams import Streams
from bench.ticks import Ticks, tick_array

ARRIVALS, SIZES = "bench.arrivals", "bench.sizes"
MOST = {"reference": 20_000_000, "fast": 20_000_000_000}
"""Requests in one replication; more would take hours."""
_MOST_LOSSES = 12


class Demand:
    """Draws the requests in chunks, so that a month needs no more memory than a minute.

    Raises:
        InputError: there would be more requests than the method can simulate.
    """

    def __init__(
        self, workload: Workload, streams: Streams, days: int, method: str, since: int = 0
    ) -> None:
        self._module, self._options = process_of(workload)
        self._streams = streams
        self._sizes = None if workload.sizes is None else _distribution(workload.sizes)
        self.says_sizes = distribution_of(workload) is not None
        """Whether requests have sizes from here; else they are as large as what was measured."""
        self.span = span_of(workload, days)
        self.closed = is_closed(self._module)
        self.offered = 0
        """Requests drawn so far; of a closed loop, think times."""
        self.counted = 0
        """Of these, those that arrived at ``since`` or later."""
        self.first_arrival = 0
        self.exhausted = False
        """Whether all have been drawn."""
        self._since = since
        expected = expected_requests(workload, days)
        if expected > MOST[method]:
            raise InputError(
                f"the workload makes {expected:,.0f} requests in {days} day(s)",
                where="workload",
                allowed=f"up to {MOST[method]:,} with --method {method}",
                todo="Lower the rate, the number of sources, or the active hours",
            )

    def requests(self, network: Network | None = None, choice: bool = False) -> Iterator[Requests]:
        """Request by request what it needs: its source, and its luck on the way.

        Args:
            network: what it crosses, if anything.
            choice: whether something is decided by a uniform number of each request.
        """
        arrivals, service, choices, weather, sizes = (
            self._streams.get(role)
            for role in ("arrivals", "service", "choice", "network", "sizes")
        )
        stream = self._module.stream(self._options, self.span, arrivals)
        for times, source, own in (Chunk(*chunk) for chunk in stream):
            count = len(times)
            if not count:
                continue
            # Think times are durations; arrivals are moments of active time.
            time = tick_array(times if self.closed else self.span.clock(times))
            if not self.offered and not self.closed:
                self.first_arrival = int(time[0])
            up, down = _delays(network, count, weather)
            if not len(own) and self._sizes is not None:
                own = self._sizes.draw(count, sizes)
            yield Requests(
                number=np.arange(self.offered, self.offered + count),
                arrival=time,
                time=time,
                source=source,
                service=service.random(count),
                choice=choices.random(count) if choice else np.zeros(0),
                up=up,
                down=down,
                size=own,
            )
            self.offered += count
            self.counted += count - int(np.searchsorted(time, self._since))
        self.exhausted = True


def count_requests(workload: Workload, streams: Streams, days: int, method: str) -> int:
    """How many requests a replication has, whoever answers them: of no closed loop."""
    demand = Demand(workload, streams, days, method)
    for _ in demand.requests():
        pass
    return demand.counted


def distribution_of(workload: Workload) -> Distribution | None:
    """How large its requests are; ``None`` where nothing says so."""
    recorded = recorded_sizes(workload)
    if len(recorded):
        return listed(recorded.tolist())
    return None if workload.sizes is None else _distribution(workload.sizes)


def recorded_sizes(workload: Workload) -> Floats:
    """Of all requests of a recording that has them; else empty."""
    module, options = process_of(workload)
    found: Floats = module.sizes(options) if hasattr(module, "sizes") else NO_SIZES
    return found


def _distribution(sizes: Choice) -> Distribution:
    module = extensions.load(SIZES, sizes.name)
    found: Distribution = module.distribution(module.Options.model_validate(sizes.options))
    return found


def process_of(workload: Workload) -> tuple[Any, Any]:
    """The arrival process, and its options."""
    module = extensions.load(ARRIVALS, workload.arrivals.name)
    return module, module.Options.model_validate(workload.arrivals.options)


def span_of(workload: Workload, days: int) -> Span:
    """The active hours of so many days."""
    active = workload.active
    return Span(workload.sources, days * active.length_s, active.start, active.length_s)


def expected_requests(workload: Workload, days: int) -> float:
    """Requests of all sources in so many days, on average; of a closed loop, the most there can be."""
    module, options = process_of(workload)
    span = span_of(workload, days)
    if hasattr(module, "requests"):
        return float(module.requests(options, span))
    return float(module.mean_rate(options, workload.sources)) * span.length_s


def repeats(workload: Workload) -> bool:
    """Whether every day is like the others, on average: a recording is played once."""
    module, options = process_of(workload)
    return bool(module.repeats(options)) if hasattr(module, "repeats") else True


def workload_in_words(workload: Workload) -> str | None:
    """What a recording was taken for; ``None`` for a process, which its options describe."""
    module, options = process_of(workload)
    found: str | None = module.description(options) if hasattr(module, "description") else None
    return found


def left_out(workload: Workload, days: int) -> list[Caveat]:
    """What of the workload is not simulated, or was guessed of it."""
    module, options = process_of(workload)
    if not hasattr(module, "caveats"):
        return []
    return list(module.caveats(options, span_of(workload, days)))


def is_counted(workload: Workload) -> bool:
    """Whether it is certain how many requests a day brings."""
    return bool(getattr(process_of(workload)[0], "COUNTED", False))


def mean_rate(workload: Workload) -> float:
    """Requests per second of all sources together: while they are active, or as recorded."""
    if repeats(workload):
        return expected_requests(workload, 1) / workload.active.length_s
    module, options = process_of(workload)
    return float(module.mean_rate(options, workload.sources))


def sites_of(workload: Workload) -> int:
    """Places with sources; where nothing is said, all are in one."""
    return min(workload.sites or 1, workload.sources)


def _delays(network: Network | None, count: int, rng: np.random.Generator) -> tuple[Ticks, Ticks]:
    """Propagation up and down of ``count`` requests: half a round trip each, and retransmissions."""
    if network is None:
        none = np.zeros(count, np.int64)
        return none, none
    half = drawn(network.rtt, count, rng)
    half /= 2
    if network.jitter:
        jitter = rng.standard_exponential(count, dtype=np.float32)  # a part in 10 million will do
        jitter *= network.jitter / 2
        half += jitter
    if not network.loss:
        both = tick_array(half)
        return both, both
    up, down = (half + _retransmissions(network, count, rng) for _ in ("up", "down"))
    return tick_array(up), tick_array(down)


def _retransmissions(network: Network, count: int, rng: np.random.Generator) -> Floats:
    return _sent_again(network, rng.geometric(1 - network.loss, count) - 1)


def _sent_again(network: Network, losses: npt.NDArray[Any]) -> Floats:
    """A lost message is sent again after a time-out, which doubles every time (RFC 6298, §5.5)."""
    waits: Floats = network.retransmission * (2.0 ** np.minimum(losses, _MOST_LOSSES) - 1)
    return waits


def delays_of(network: Network | None, numbers: Ticks, streams: Streams) -> tuple[Ticks, Ticks]:
    """As :func:`_delays`, of requests of these numbers, in whatever order they are asked for."""
    if network is None:
        none = np.zeros(len(numbers), np.int64)
        return none, none
    half = at_scores(network.rtt, special.ndtri(streams.luck("rtt", numbers))) / 2
    if network.jitter:
        half -= np.log1p(-streams.luck("jitter", numbers)) * (network.jitter / 2)
    if not network.loss:
        both = tick_array(half)
        return both, both
    up, down = (
        half + _sent_again(network, np.log1p(-streams.luck(way, numbers)) // np.log(network.loss))
        for way in ("losses up", "losses down")
    )
    return tick_array(up), tick_array(down)

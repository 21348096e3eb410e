"""A shared link between one site and a server: first come first served, then propagation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bench.scenario import Network

BITS_PER_BYTE = 8


def deliver(
    sent_s: npt.NDArray[np.float64],
    payload_bytes: float,
    bandwidth: float,
    delay_s: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """When messages sent at ``sent_s`` (sorted) arrive at the other end of the link.

    The link is a first-come-first-served server with the transmission time
    ``8 · payload / bandwidth``; ``delay_s`` is the propagation of each message. Departure
    ``d[k] = max(d[k-1], sent[k]) + t`` unrolls to a running maximum.
    """
    transmit = BITS_PER_BYTE * payload_bytes / bandwidth
    steps = np.arange(1, len(sent_s) + 1) * transmit
    leaves: npt.NDArray[np.float64] = np.maximum.accumulate(sent_s - steps + transmit) + steps
    arrives: npt.NDArray[np.float64] = leaves + delay_s
    return arrives


def one_way_delays(
    network: Network, count: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Half a round trip for each of ``count`` messages."""
    jitter = rng.exponential(network.jitter, count) if network.jitter else np.zeros(count)
    return (network.rtt + jitter) / 2

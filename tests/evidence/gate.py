"""How often the gate's rule is wrong, and how small a slowdown it finds, on machines that are made up.

``python -m tests.evidence.gate`` plays gates of many kinds of noise against the rule of the program, and
writes ``docs/evidence/gate.json``. Each process of a gate has a time for each metric: of the machine's speed
at that moment, which all metrics share, and of noise of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from bench.gate.evidence import evidence
from bench.gate.weigh import Rule, shown
from tests.evidence.record import save

Floats = npt.NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Floats]
"""Logarithms of times, of so many processes one after the other, by metric."""

RULE = Rule()
METRICS, LEAST, ROUNDS, REQUESTS = 8, 0.05, 60, 1000
NOISE = 0.03
EFFECTS = (0.02, 0.05, 0.08, 0.10, 0.20)


def steady(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    return rng.normal(0, NOISE, (processes, metrics))


def contaminated(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """One process in twenty is disturbed, and takes up to half as long again."""
    disturbed = rng.random((processes, 1)) < 0.05
    return steady(rng, processes, metrics) + disturbed * rng.uniform(0, 0.4, (processes, metrics))


def drifting(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """The machine warms up, by a fifth over the gate, and its speed wanders."""
    ramp = np.linspace(0, 0.2, processes)[:, None]
    walk = np.cumsum(rng.normal(0, 0.01, (processes, 1)), axis=0)
    return steady(rng, processes, metrics) + ramp + walk


def autoregressive(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """Neighbours share 0.9 of what disturbs them: AR(1)."""
    shocks = rng.normal(0, NOISE, (processes, 1))
    speed = np.zeros((processes, 1))
    for at in range(1, processes):
        speed[at] = 0.9 * speed[at - 1] + shocks[at]
    return speed + steady(rng, processes, metrics) / 2


def heavy_tailed(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """Student's t with two degrees of freedom: no variance."""
    return NOISE * rng.standard_t(2, (processes, metrics))


def bimodal(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """A process is of one of two kinds, a tenth apart, by how its memory came to lie."""
    kind = rng.random((processes, metrics)) < 0.4
    return steady(rng, processes, metrics) / 2 + 0.1 * kind


def switching(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """A neighbour comes and goes, and makes all slower by a fifth while it is there."""
    changes = np.cumsum(rng.random(processes) < 0.1) % 2
    return steady(rng, processes, metrics) + 0.2 * changes[:, None]


def halved(rng: np.random.Generator, processes: int, metrics: int) -> Floats:
    """Every third process has half a core, as on the machine of the live gates below."""
    slow = rng.random((processes, 1)) < 1 / 3
    return steady(rng, processes, metrics) / 2 + slow * rng.normal(0.55, 0.05, (processes, 1))


KINDS: dict[str, Noise] = {
    "steady": steady,
    "contaminated": contaminated,
    "drift": drifting,
    "AR(1)": autoregressive,
    "heavy tails": heavy_tailed,
    "bimodal": bimodal,
    "neighbour": switching,
    "half a core": halved,
}


def differences(noise: Noise, rng: np.random.Generator, effects: Floats) -> Floats:
    """Of one gate, by metric and round: what the coin makes of the times of processes."""
    times = noise(rng, 2 * ROUNDS, len(effects)).reshape(ROUNDS, 2, len(effects))
    head_is = rng.integers(2, size=ROUNDS)
    at = np.arange(ROUNDS)
    return (times[at, head_is] - times[at, 1 - head_is] + np.log1p(effects)).T


def outcomes(noise: Noise, effects: Floats, gates: int, seed: int) -> dict[str, float]:
    """Of so many gates: how many were called REGRESSED, how many PASS, after how many rounds.

    ``ever``: in how many the evidence against any metric was ever enough, at whatever look, had the gate gone
    on to its last round and nobody asked how large the effect is: what Ville's inequality bounds.
    """
    rng = np.random.default_rng(seed)
    return judged(np.stack([differences(noise, rng, effects) for _ in range(gates)]))


def judged(found: Floats) -> dict[str, float]:
    """What the rule says of gates: of shape (gates, metrics, rounds)."""
    gates = len(found)
    metrics = found.shape[1]
    worse, _, same = shown(found, LEAST, metrics, RULE)
    any_worse, all_same = worse.any(axis=1), same.all(axis=1)
    ends = any_worse | all_same
    length = np.where(ends.any(axis=1), ends.argmax(axis=1) + 1, ROUNDS)
    at = np.arange(gates), length - 1
    regressed, passed = any_worse[at], all_same[at] & ~any_worse[at]
    ever = (evidence(found, np.log1p(LEAST)) >= metrics / RULE.false_alarm).any(axis=(1, 2))
    return {
        "gates": gates,
        "regressed": int(regressed.sum()),
        "passed": int(passed.sum()),
        "ever": int(ever.sum()),
        "rounds": float(np.median(length)),
        "rounds_p90": float(np.quantile(length, 0.9)),
        "at_most": upper(int(regressed.sum()), gates),
        "ever_at_most": upper(int(ever.sum()), gates),
    }


def upper(seen: int, of: int) -> float:
    """One-sided 95 % bound of a share (Clopper and Pearson)."""
    return float(stats.beta.ppf(0.95, seen + 1, of - seen)) if seen < of else 1.0


def tails(gates: int, seed: int, factor: float) -> dict[str, float]:
    """p50 and p99 of processes of 1,000 requests, 2 % of which take ``factor`` as long on one side."""
    rng = np.random.default_rng(seed)
    found = np.empty((gates, 2, ROUNDS))
    for gate in range(gates):
        times = rng.lognormal(0, 0.2, (ROUNDS, 2, REQUESTS)) * np.exp(
            rng.normal(0, NOISE, (ROUNDS, 2, 1))
        )
        times[:, 1, : REQUESTS // 50] *= factor
        percentiles = np.log(np.quantile(times, (0.5, 0.99), axis=2))
        found[gate] = percentiles[:, :, 1] - percentiles[:, :, 0]
    signs = rng.choice([-1.0, 1.0], (gates, 1, ROUNDS)) if factor == 1 else 1.0
    return judged(found * signs)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gates", type=int, default=2000)
    gates = parser.parse_args().gates
    none, fewer = np.zeros(METRICS), gates // 4
    figures: dict[str, Any] = {"equal": {}, "all": {}, "one": {}}
    for name, noise in KINDS.items():
        figures["equal"][name] = outcomes(noise, none, gates, 1)
        for kind, slowed in (("all", slice(None)), ("one", slice(1))):
            figures[kind][name] = {}
            for effect in EFFECTS:
                effects = none.copy()
                effects[slowed] = effect
                figures[kind][name][f"{effect:.0%}"] = outcomes(noise, effects, fewer, 2)
    figures["tail"] = {"equal": tails(fewer, 3, 1.0), "slower": tails(fewer, 3, 1.5)}
    save("gate", figures)


if __name__ == "__main__":
    main()

"""Observation → validation: what calibration says is simulated, and held against the load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from bench.errors import MeasurementInvalid
from bench.observe import OBSERVED, Observed, answers_of
from bench.scenario import BatchPart, ResolvedScenario
from bench.simulate import prepare
from bench.stats import empirical_quantile
from bench.streams import Streams
from bench.ticks import PER_SECOND
from bench.validate.asked import part_of
from bench.validate.calibration import Calibration, span_s, way_of
from bench.validate.figures import FIGURES, Answered, figures
from bench.validate.forecast import forecast
from bench.validate.judge import Pair, compare
from bench.validate.outside import rule_of, told
from bench.validate.validation import (
    Block,
    Compared,
    Drift,
    Level,
    Observation,
    Outside,
    Session,
    Validation,
    worst,
)

DONE = 200
OnStep = Callable[[int, int, str], None]
DRAWS = 10
"""Simulations of each block of load."""
CURVE_POINTS = 101


def validate(
    scenario: ResolvedScenario,
    asked: Session,
    observed: Observation,
    table: pd.DataFrame,
    seed: int,
    on_step: OnStep,
) -> Validation:
    """Simulate every block of load from the blocks of calibration, and compare.

    Args:
        table: a row for each request, with the number of its block.

    Raises:
        MeasurementInvalid: too little was answered to say anything.
    """
    on_step(
        0,
        len(asked.levels),
        "the first use on a machine compiles the simulator, for up to a minute",
    )
    prepare()
    found = Sorted(scenario, asked, observed, by_block(table, len(observed.blocks)))
    rng = Streams(seed, 0).get("forecast")
    levels = []
    for number, level in enumerate(asked.levels):
        on_step(number, len(asked.levels), f"simulating the load at {level:g}")
        levels.append(found.level(level, rng))
    service = found.service(rng) if observed.inside else None
    on_step(len(asked.levels), len(asked.levels), "")
    factors = found.calibration.factors
    return Validation(
        session=asked,
        service_s={k: float(np.mean(v.seconds)) for k, v in found.calibration.batches.items()},
        way_s=float(found.way.alone.mean()) / PER_SECOND,
        drift=Drift(factors=factors.tolist(), spread=float(np.std(factors))),
        service=service,
        outside=found.outside,
        levels=levels,
        verdict=worst([one.verdict for one in (service, *levels) if one]),
    )


class Sorted:
    """What was observed, sorted: calibration apart from load."""

    def __init__(
        self,
        scenario: ResolvedScenario,
        asked: Session,
        observed: Observation,
        rows: Sequence[Observed],
    ) -> None:
        self._asked, self._capacity, self._restart_s = asked, observed.capacity, observed.restart_s
        self._part, _ = part_of(scenario, asked.deployment)
        limit = scenario.scenario.objective.response
        self._figured = partial(
            figures,
            replicas=asked.replicas,
            limit_s=limit.limit if limit else None,
            inside=observed.inside,
            is_job=isinstance(self._part, BatchPart),
        )
        self._looks = len(FIGURES) * len(asked.levels) + 1
        self.outside: Outside | None = None
        if not observed.inside:
            rows, self.outside = told(observed.blocks, rows, rule_of(self._part.batching))
        quiet: list[Observed] = []
        waves: list[Observed] = []
        self._loads: list[tuple[Block, Observed, int]] = []
        for block, own in zip(observed.blocks, rows, strict=True):
            if block.level is None:
                quiet.append(own)
                waves += _answered(np.split(own, np.cumsum(block.waves)[:-1]))
            else:
                self._loads.append((block, own, len(quiet) - 1))
        if not any(len(wave) == 1 for wave in waves):
            raise MeasurementInvalid("The service answered hardly anything in calibration.")
        if not any((own["status"] == DONE).any() for _, own, _ in self._loads):
            raise MeasurementInvalid("The service answered nothing under load.")
        self.calibration = Calibration(quiet, observed.full)
        self.way = way_of(waves)

    def level(self, level: float, rng: np.random.Generator) -> Level:
        """Live against simulated at one utilisation."""
        pairs = [
            Pair(
                (level, block.traffic),
                Answered.of(answers_of(own)),
                self._forecasts(block, own, before, rng),
            )
            for block, own, before in self._loads
            if block.level == level
        ]
        compared = compare(pairs, self._figured, self._looks, rng)
        return _level(level, level * self._capacity, pairs, compared)

    def service(self, rng: np.random.Generator) -> Compared:
        """Of all blocks of load: what their batches took, against what calibration says of such."""
        pairs = [
            Pair(
                (block.level or 0.0, block.traffic),
                Answered.of(answers_of(own)),
                [Answered.of(answers_of(self.calibration.expected(own, before)))],
            )
            for block, own, before in self._loads
        ]
        return next(
            one
            for one in compare(pairs, self._figured, self._looks, rng)
            if one.figure == "service"
        )

    def _forecasts(
        self, block: Block, own: Observed, before: int, rng: np.random.Generator
    ) -> list[Answered]:
        length_s = span_s(own)
        return [
            Answered.of(
                forecast(
                    own, self._part, self.calibration.drawn(before, length_s, rng),
                    self._asked.replicas, self.way, self._away(block, rng), rng,
                )
            )
            for _ in range(DRAWS)
        ]  # fmt: skip

    def _away(self, block: Block, rng: np.random.Generator) -> list[tuple[int, int]]:
        """When the replica that was killed was not there, if one was."""
        if block.killed_s is None or not self._restart_s:
            return []
        back_s = block.killed_s + float(rng.choice(self._restart_s))
        return [(round(block.killed_s * PER_SECOND), round(back_s * PER_SECOND))]


def _answered(waves: Sequence[Observed]) -> list[Observed]:
    """Those in which every request was, in a batch that is known."""
    return [w for w in waves if ((w["status"] == DONE) & (w["batch"] > 0)).all()]


def by_block(table: pd.DataFrame, blocks: int) -> list[Observed]:
    """The rows of each block, of a table of all."""
    names = list(OBSERVED.names or ())
    found = []
    for number in range(blocks):
        own = table[table["block"] == number]
        rows = np.zeros(len(own), OBSERVED)
        for name in names:
            rows[name] = own[name].to_numpy()
        found.append(rows)
    return found


def _level(level: float, rate: float, pairs: Sequence[Pair], compared: list[Compared]) -> Level:
    live = [pair.live for pair in pairs]
    simulated = [one for pair in pairs for one in pair.simulated]
    return Level(
        level=level,
        rate=rate,
        blocks=len(pairs),
        requests=sum(block.asked for block in live),
        unanswered=_unanswered(live),
        unanswered_simulated=_unanswered(simulated) * len(live) / len(simulated),
        compared=compared,
        verdict=worst([one.verdict for one in compared] or ["UNDECIDED"]),
        live_curve_s=_curve(live),
        simulated_curve_s=_curve(simulated),
    )


def _unanswered(blocks: Sequence[Answered]) -> int:
    return sum(block.asked - len(block.response) for block in blocks)


def _curve(blocks: Sequence[Answered]) -> list[float]:
    response = np.sort(Answered.together(blocks).response)
    shares = np.linspace(0, 1, CURVE_POINTS)
    return [empirical_quantile(response, share) for share in shares] if len(response) else []

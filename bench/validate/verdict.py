"""Observation → validation: what calibration says is simulated, and held against the load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd

from bench.errors import MeasurementInvalid
from bench.observe import DONE, Observed, answers_of, at_stage, column, columns_of, whole
from bench.scenario import BatchPart, EdgePart, ResolvedScenario
from bench.simulate import largest_batch, prepare
from bench.stats import empirical_quantile
from bench.streams import Streams
from bench.ticks import PER_SECOND
from bench.validate.asked import line_of, replicas_of
from bench.validate.calibration import Calibration, span_s
from bench.validate.figures import FIGURES, OF_A_STAGE, Answered, at, figures
from bench.validate.forecast import forecast
from bench.validate.judge import Pair, compare
from bench.validate.line import (
    answered,
    comes_to,
    forecast_behind_device,
    forecast_line,
    ways_of,
)
from bench.validate.outside import told, told_rule
from bench.validate.validation import (
    Block,
    Compared,
    Drift,
    Level,
    Observation,
    Outside,
    Session,
    StageFound,
    Validation,
    worst,
)
from bench.validate.way import way_of

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
    stages = len(line_of(scenario, asked.deployment))
    found = Sorted(scenario, asked, observed, by_block(table, len(observed.blocks), stages))
    rng = Streams(seed, 0).get("forecast")
    levels = []
    for number, level in enumerate(asked.levels):
        on_step(number, len(asked.levels), f"simulating the load at {level:g}")
        levels.append(found.level(level, rng))
    first, *later = [found.stage(number, rng) for number in range(1, found.stages + 1)]
    on_step(len(asked.levels), len(asked.levels), "")
    return Validation(
        session=asked,
        service_s=first.service_s,
        way_s=float(found.way.alone.mean()) / PER_SECOND,
        drift=first.drift,
        service=first.service,
        outside=found.outside,
        shares_cores=observed.shares_cores,
        later=later,
        levels=levels,
        verdict=worst(
            [one.service.verdict for one in (first, *later) if one.service]
            + [one.verdict for one in levels]
        ),
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
        self._line = line_of(scenario, asked.deployment)
        self.stages = len(self._line)
        limit = scenario.scenario.objective.response
        self._figured = partial(
            figures,
            replicas=replicas_of(self._line, asked.replicas),
            limit_s=limit.limit if limit else None,
            inside=observed.inside,
            is_job=isinstance(self._line[0].part, BatchPart),
        )
        more = self.stages - 1
        self._looks = (len(FIGURES) + OF_A_STAGE * more) * len(asked.levels) + 1 + more
        self.outside: Outside | None = None
        if not observed.inside:
            rule = told_rule(self._line[0].part.batching)
            rows, self.outside = told(observed.blocks, rows, rule)
        quiet: list[Observed] = []
        waves: list[Observed] = []
        self._loads: list[tuple[Block, Observed, int]] = []
        for block, own in zip(observed.blocks, rows, strict=True):
            if block.level is None:
                quiet.append(own)
                alike = whole(own, self.stages)
                waves += answered(np.split(alike, np.cumsum(block.waves)[:-1]))
            else:
                self._loads.append((block, own, len(quiet) - 1))
        if not any(len(wave) == 1 for wave in waves):
            raise MeasurementInvalid("The service answered hardly anything in calibration.")
        if not any((own["status"] == DONE).any() for _, own, _ in self._loads):
            raise MeasurementInvalid("The service answered nothing under load.")
        self._require_asked(quiet)
        self.calibrations = [
            Calibration([at_stage(own, number) for own in quiet], largest_batch(one.part.batching))
            for number, one in enumerate(self._line, 1)
        ]
        self.way = way_of(waves)
        self._ways = None
        if self.stages > 1 and isinstance(self._line[0].part, EdgePart):
            times = [block.waves for block in observed.blocks if block.level is None]
            self._ways = ways_of(list(zip(times, quiet, strict=True)), self.stages)
        self._rows = np.concatenate(rows)

    @property
    def calibration(self) -> Calibration:
        """Of the first stage, or the only one."""
        return self.calibrations[0]

    def _require_asked(self, blocks: Sequence[Observed]) -> None:
        """Raises:
        MeasurementInvalid: a stage of a line was not asked in one of these blocks.
        """
        for number, one in enumerate(self._line[1:], 2):
            if not all((rows[column("batch", number)] > 0).any() for rows in blocks):
                raise MeasurementInvalid(
                    f"The stage {one.name!r} was asked nothing in a block of calibration: give more "
                    "--minutes."
                )

    def level(self, level: float, rng: np.random.Generator) -> Level:
        """Live against simulated at one utilisation."""
        pairs = [
            Pair(
                (level, block.traffic),
                self._seen(own),
                self._forecasts(block, own, before, rng),
            )
            for block, own, before in self._loads
            if block.level == level
        ]
        compared = compare(pairs, self._figured, self._looks, rng)
        return _level(level, level * self._capacity, pairs, compared)

    def stage(self, number: int, rng: np.random.Generator) -> StageFound:
        """What calibration says of a stage, and how it did under load."""
        calibration, name = self.calibrations[number - 1], self._line[number - 1].name
        factors = calibration.factors
        return StageFound(
            name=name,
            service_s=calibration.batches.mean_s(),
            drift=Drift(factors=factors.tolist(), spread=float(np.std(factors))),
            service=self._service(number, rng) if self.outside is None else None,
        )

    def _service(self, number: int, rng: np.random.Generator) -> Compared:
        """Of all blocks of load: what their batches took, against what calibration says of such.

        On a machine as fast as on average, so that two live runs differ by what nobody knew.
        """
        calibration, pairs = self.calibrations[number - 1], []
        for block, rows, before in self._loads:
            own = at_stage(rows, number)
            came = own["batch"] > 0
            live, expected = (
                Answered.of(answers_of(one)[came])
                for one in (calibration.steadied(own, before), calibration.expected(own))
            )
            pairs.append(Pair((block.level or 0.0, block.traffic), live, [expected]))
        compared = compare(pairs, self._figured, self._looks, rng)
        found = next(one for one in compared if one.figure == "service")
        if self.stages == 1:
            return found
        return found.model_copy(update={"figure": at("service", self._line[number - 1].name)})

    def _seen(self, rows: Observed) -> Answered:
        """A block of load, as it was or as it might have been."""
        if self.stages == 1:
            return Answered.of(answers_of(rows))
        return Answered.of_line(rows, [one.name for one in self._line])

    def _forecasts(
        self, block: Block, own: Observed, before: int, rng: np.random.Generator
    ) -> list[Answered]:
        length_s, replicas = span_s(own), self._asked.replicas
        comes = [comes_to(own, self._rows, number) for number in range(1, self.stages + 1)]
        found = []
        for _ in range(DRAWS):
            stages = [
                (one.part, calibration.drawn(before, length_s, rng))
                for one, calibration in zip(self._line, self.calibrations, strict=True)
            ]
            if self.stages == 1:
                away = self.away(block, self._restart_s, rng)
                answers = forecast(own, *stages[0], replicas, self.way, away, rng)
                found.append(Answered.of(answers))
                continue
            if self._ways is None:
                rows = forecast_line(own, stages, replicas, self.way, comes, rng)
            else:
                rows = forecast_behind_device(own, stages, replicas, self._ways, comes, rng)
            found.append(self._seen(rows))
        return found

    @staticmethod
    def away(
        block: Block, restart_s: Sequence[float], rng: np.random.Generator
    ) -> list[tuple[int, int]]:
        """When the replica that was killed was not there, if one was: perhaps before the first request, whose
        client was late."""
        if block.killed_s is None or not restart_s:
            return []
        back_s = block.killed_s + float(rng.choice(restart_s))
        killed, back = (round(at_s * PER_SECOND) for at_s in (block.killed_s, back_s))
        return [(max(killed, 1), back)] if back > 1 else []


def by_block(table: pd.DataFrame, blocks: int, stages: int = 1) -> list[Observed]:
    """The rows of each block, of a table of all."""
    columns, found = columns_of(stages, "handed" in table), []
    for number in range(blocks):
        own = table[table["block"] == number]
        rows = np.zeros(len(own), columns)
        for name in columns.names or ():
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

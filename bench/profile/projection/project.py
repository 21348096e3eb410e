"""One device, one network: what published results say of it, or a projection with its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from bench.hardware import Catalogue, Device, Key, Part, PublishedResult, Regime, Setting
from bench.profile.projection.answers import MEASURE, SHEET, Name, Projected, Refused, Subject
from bench.profile.projection.benchmarks import as_settings, part_of, rows_of
from bench.profile.projection.costs import features
from bench.profile.projection.errors import (
    NORMAL_90,
    Errors,
    Question,
    Sureness,
    read_errors,
    read_likeness,
)
from bench.profile.projection.likeness import carried
from bench.profile.projection.observed import Observations, Observed, kind_of
from bench.profile.projection.power import Powers

WIDEST = math.log(10)
"""A projection whose 90 % interval reaches further than a factor of ten either way is refused."""
ABOUT_AS_SURE = 1.25
"""An answer whose error is at most so many times the least is as good; the fastest of them counts."""
SAME_CELL = 0.12
"""Two sources for one cell lie so far apart, as a standard deviation: 10 % in the median pair."""
OTHER_HOST = 0.5
"""A chip behind a narrower link reached 0.26 and 0.63 of its published rates: as one deviation."""
BY_SHEET: Mapping[Part, str] = {
    "gpu": "TensorRT, or software of the maker like it",
    "cpu": "any runtime",
    "npu": "software of the maker, as for MLPerf",
}
"""The software that a device is taken to run of which only the data sheet is known."""
REGIMES: Mapping[str, Regime] = {"throughput": "many", "latency": "one"}


class Projector:
    """Answers from the published tables of one catalogue, and what was calibrated here.

    Args:
        calibrated: seconds a sample by setting and network, of machines of the user's own.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        calibrated: Mapping[Setting, Mapping[Key, float]] | None = None,
    ) -> None:
        self._catalogue, self._calibrated = catalogue, calibrated or {}
        self._devices = catalogue.devices

    def figure(
        self, name: Name, device: str, subject: Subject, software: str | None = None
    ) -> Projected:
        """A published or projected figure of one accelerator: samples/s, seconds, or joules a sample.

        Args:
            software: the runtime that is asked for, as :attr:`Setting.software`; where none of it
                was published there, the best known counts.

        Raises:
            Refused: nothing published supports an answer.
        """
        if found := self._benchmark(name, device, subject):
            return found
        if name == "energy":
            return self._energy(device, subject, software)
        answers = self._answers(REGIMES[name], device, subject)
        if name == "throughput" and not _of(software, answers):
            # A rate as if batches gained nothing, where the runtime has no other.
            single = self._answers("one", device, subject)
            answers = _of(software, single) or answers or single
        best = self._best(answers, software) or self._less_direct(name, device, subject, software)
        self._require_narrow(device, best)
        return replace(best, value=1 / best.value) if name == "throughput" else best

    def _less_direct(
        self, name: Name, device: str, subject: Subject, software: str | None
    ) -> Projected:
        """By the data sheet; a single request's time also by what such take longer than their share
        of a batch elsewhere.

        Raises:
            Refused: neither says anything.
        """
        if name == "throughput" and (
            found := self._best(self._answers("one", device, subject), software)
        ):
            return found  # where full batches are known, but too badly
        alone = None if name == "throughput" else self._alone(device, subject, software)
        try:
            by_sheet = self._by_data_sheet(REGIMES[name], device, subject)
        except Refused:
            if alone is None:
                raise
            return alone
        return by_sheet if alone is None or by_sheet.log_error < alone.log_error else alone

    def _best(self, answers: Sequence[Projected], software: str | None) -> Projected | None:
        """Of the runtime that is asked for; of those that are about as sure, the fastest."""
        useful = [answer for answer in answers if math.isfinite(answer.log_error)]
        asked = _of(software, useful) or useful
        least = min((answer.log_error for answer in asked), default=0.0)
        sure = [answer for answer in asked if answer.log_error <= ABOUT_AS_SURE * least]
        return min(sure, key=lambda answer: answer.value, default=None)

    def _alone(self, device: str, subject: Subject, software: str | None) -> Projected | None:
        """A single request's time, from its share of a full batch."""
        share = self._best(self._answers("many", device, subject), software)
        longer = self.observations.alone.get(self._part(device))
        if share is None or longer is None:
            return None
        mean, apart = longer
        return replace(
            share,
            value=share.value * math.exp(max(mean, 0.0)),
            log_error=math.hypot(share.log_error, apart),
            question=share.question or "elsewhere",
            source=f"a full batch's share, {share.source}, × what a single request takes longer",
        )

    def require_device(self, name: str) -> None:
        """Refuse a device that nothing published says anything of, before a model is counted.

        Raises:
            Refused: with the reason.
        """
        chip = self._chip(name)
        if any(setting.device == chip for setting in self.observations.every):
            return
        if not self._sheet_says(self._devices[chip]):
            raise _no_rate(name)

    @cached_property
    def observations(self) -> Observations:
        timings = self._catalogue.timings
        benchmark = as_settings(
            self._catalogue.published, self._devices, self._catalogue.published_models
        )
        counts = {key: network.counts for key, network in timings.networks.items()}
        calibrated = {
            setting: {key: s for key, s in own.items() if key in counts}
            for setting, own in self._calibrated.items()
        }
        every = {**timings.seconds, **benchmark, **calibrated}
        known = {setting: own for setting, own in every.items() if own}
        return Observations(known, counts, self._devices)

    def _benchmark(self, name: Name, device: str, subject: Subject) -> Projected | None:
        rows = self._cells[name].get((device, subject.model or ""))
        if not rows:
            return None
        values = np.array(list(rows.values()))
        apart = float(np.std(np.log(values), ddof=1)) if len(values) > 2 else 0.0
        rounds = ", ".join(sorted({row.round for row in rows}))
        return Projected(
            float(np.median(values)), max(apart, SAME_CELL), None,
            f"median of {len(values)} result(s) of MLPerf Inference {rounds}",
            max(row.origin.as_of or "" for row in rows), None, tuple(rows),
        )  # fmt: skip

    @cached_property
    def _cells(self) -> dict[str, dict[tuple[str, str], dict[PublishedResult, float]]]:
        names = ("throughput", "latency", "energy")
        return {name: rows_of(self._catalogue.published, name) for name in names}

    def _chip(self, device: str) -> str:
        return self._devices[device].computes_on or device

    def _answers(self, regime: Regime, device: str, subject: Subject) -> list[Projected]:
        """Seconds a sample, by each setting of the device."""
        chip = self._chip(device)
        found = [self._answer(o, subject) for o in self.observations.of(chip, regime)]
        if chip == device:
            return found
        return [
            Projected(
                a.value, math.hypot(a.log_error, OTHER_HOST), a.question or "few",
                f"{a.source}; of the chip in another host", a.as_of, a.setting,
            )
            for a in found
        ]  # fmt: skip

    def _answer(self, observed: Observed, subject: Subject) -> Projected:
        setting = observed.setting
        where = f"{setting.runtime}, {setting.precision}, {setting.source}"
        if subject.network in observed.keys:
            seconds = float(observed.seconds[observed.keys.index(subject.network)])
            error = SAME_CELL if setting.match == "exact" else 2 * SAME_CELL
            return Projected(seconds, error, None, f"published: {where}", setting.as_of, setting)
        log = observed.log_seconds(subject.counts)
        known = self.known(subject, setting)
        if known:
            log += observed.sigma * carried(observed, known, self.likeness)
        question = self._question(observed, subject, bool(known))
        error = self.sureness.error(question, observed)
        said = f"projected from {len(observed.keys)} networks published there ({where})"
        return Projected(math.exp(log), error, question, said, setting.as_of, setting)

    def known(self, subject: Subject, asked: Setting) -> list[tuple[Observed, float]]:
        """The network's residuals elsewhere, where it was published or measured."""
        found = []
        if subject.network is not None:
            found = [
                (observed, observed.residuals[subject.network])
                for observed in self.observations.by_network.get(subject.network, ())
                if observed.setting != asked
            ]
        for anchor in subject.anchors:
            for observed in self.observations.of(anchor.device, anchor.regime):
                if anchor.software in (None, observed.setting.software):
                    found.append((observed, observed.residual(subject.counts, anchor.seconds)))
        return found

    def _question(self, observed: Observed, subject: Subject, known: bool) -> Question:
        if known:
            published = subject.network in self.observations.by_network
            return "elsewhere" if published else "measured"
        return "new" if self.sureness.well_known(observed) else "few"

    def _by_data_sheet(self, regime: Regime, device: str, subject: Subject) -> Projected:
        """As its kind on the whole would do at its rates."""
        known = self._devices[device]
        if not self._sheet_says(known):
            raise _no_rate(device)
        part = self._part(device)
        setting = Setting(device, part, BY_SHEET[part], "fp16", regime, "exact", "", "")
        level = self.errors.get(("data sheet", part, regime))
        network = self.errors.get(("few", part, regime))
        if level is None or network is None or not self.observations.knows(kind_of(setting)):
            raise Refused(
                "too little was published of processors of its kind", where=device, todo=MEASURE
            )
        seconds = float(features([subject.counts])[0] @ self.observations.expected(setting))
        error = math.hypot(level.log_error, network.log_error)
        return Projected(
            seconds, math.inf if level.useless else error, "data sheet",
            f"projected from its data sheet, as {part.upper()}s do on the whole ({BY_SHEET[part]})",
        )  # fmt: skip

    def _part(self, device: str) -> Part:
        chip = self._chip(device)
        parts = [s.part for s in self.observations.every if s.device == chip]
        return parts[0] if parts else part_of(self._devices[chip])

    def _energy(self, device: str, subject: Subject, software: str | None) -> Projected:
        found = self._powers.log_watts(device)
        if found is None:
            raise Refused("no power was published of it", where=device, todo=MEASURE)
        watts, apart = found
        throughput = self.figure("throughput", device, subject, software)
        return Projected(
            math.exp(watts) / throughput.value, math.hypot(apart, throughput.log_error),
            throughput.question or "elsewhere",
            f"{math.exp(watts):.3g} W at work ÷ throughput ({throughput.source})",
        )  # fmt: skip

    def _require_narrow(self, device: str, answer: Projected) -> None:
        if math.isinf(answer.log_error):
            raise Refused(
                "half of the answers of this kind were off by more than a factor of two, or none "
                "could be tried",
                where=device, todo=MEASURE,
            )  # fmt: skip
        if answer.log_error * NORMAL_90 > WIDEST:
            raise Refused(
                "it would be projected within more than a factor of ten either way, which is no "
                "answer",
                where=device, todo=MEASURE,
            )  # fmt: skip

    def _sheet_says(self, device: Device) -> bool:
        sheet = device.data_sheet
        return sheet is not None and bool(sheet.fp32 or sheet.fp16 or sheet.int8)

    @cached_property
    def errors(self) -> Errors:
        return read_errors(self._catalogue.folder / "published")

    @cached_property
    def sureness(self) -> Sureness:
        networks = self._catalogue.timings.networks
        return Sureness(self.errors, {key: network.family for key, network in networks.items()})

    @cached_property
    def likeness(self) -> Mapping[str, float]:
        return read_likeness(self._catalogue.folder / "published")

    @cached_property
    def _powers(self) -> Powers:
        return Powers(self._catalogue.published, self._devices)


def _of(software: str | None, answers: Sequence[Projected]) -> list[Projected]:
    return [a for a in answers if a.setting is not None and a.setting.software == software]


def _no_rate(device: str) -> Refused:
    return Refused(
        "no time was published of it, and its data sheet has no arithmetic rate",
        where=device, todo=SHEET,
    )  # fmt: skip

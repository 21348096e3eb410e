"""A live service asked what a scenario's sources would ask: a run that leaves the rows."""

from __future__ import annotations

import re
from pathlib import Path

from bench.errors import InputError
from bench.observe import Asking, ObservedRun, require_ready
from bench.pipeline import ARROWS
from bench.prepare import Settings, order
from bench.runner import begin
from bench.scenario import read_scenario
from bench.secrets import in_address
from bench.store import Run
from bench.units import parse
from bench.work import Notify, quiet

_URL = re.compile(r"(https?://[^/\s]+(?:/[^/\s]+)*?)(?:/v2/models/([^/\s]+)(?:/infer)?)?/?")


def asking_of(
    url: str, scenario: Path, rate: str | None, length_s: float, model: str | None
) -> Asking:
    """What is asked, checked.

    Args:
        url: of a server, or of the very model, as ``bench serve`` prints it.
        rate: with its unit; ``None``: the scenario's own.
        model: ``None``: that of the address, or else called as the scenario's task.

    Raises:
        InputError: no address, no rate, or no scenario.
    """
    match = _URL.fullmatch(url)
    if match is None or in_address(url):
        held = in_address(url)
        raise InputError(
            f"the address holds {held}" if held else f"{url!r} is no address of a server",
            where="URL", allowed="http://HOST:PORT, as `bench serve` says it",
        )  # fmt: skip
    try:
        per_second = None if rate is None else parse(rate, "rate")
        if per_second is not None and not 0 < per_second <= 1e6:
            raise ValueError(f"{rate!r} is out of bounds (allowed: up to 1e6/s)")
    except ValueError as error:
        raise InputError(str(error), where="--rate") from error
    model = model or match[2] or read_scenario(scenario)[0].task.name
    return Asking(url=match[1], model=model, rate=per_second, length_s=length_s)


def observe(
    scenario: Path, asking: Asking, out: Path, settings: Settings, notify: Notify = quiet
) -> tuple[Run, ObservedRun]:
    """Into a run folder: ``observed.parquet``, and ``observed-run.json`` that sums it up.

    Raises:
        InputError: the scenario cannot be used, or the service does not answer.
        MissingRequirement: packages are missing, or a model with whose help inputs are made.
    """
    require_ready(asking)
    asked = order("observe", scenario, settings).model_copy(update={"asking": asking})
    run = begin(ARROWS, asked, out, settings, notify, profiles={})
    return run, run.load("observed-run.json", ObservedRun)

"""What is too rare for the days that were simulated is said, and how many days it takes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench.compare.rare_events import share_of_bad_replications
from bench.scenario import MeanTimes
from bench.simulate.durations import breakdowns
from bench.ticks import ticks
from bench.units import DAY_S
from tests.test_compare import compared

HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("mtbf_days", "mttr_hours", "things", "days", "limit"),
    [
        (20, 2, 40, 1, 0.01),
        (20, 2, 40, 7, 0.01),
        (400, 24, 40, 1, 0.05),
        (40, 24, 400, 1, 0.03),
        (30, 4, 1, 1, 0.01),
        (365, 72, 10, 30, 0.05),
    ],
)
def test_how_often_too_many_are_out_of_order(
    mtbf_days: float, mttr_hours: float, things: int, days: int, limit: float
) -> None:
    """The formula beside 4,000 draws, in which every breakdown has its own beginning and end."""
    times, length_s = MeanTimes(mtbf=mtbf_days * DAY_S, mttr=mttr_hours * HOUR_S), days * DAY_S
    many = 4000
    found = breakdowns(times, many * things, ticks(length_s), np.random.default_rng(0), "failures")
    assert found is not None
    down = np.minimum(found.windows.end, ticks(length_s)) - found.windows.start
    owner = np.repeat(np.arange(many * things), np.diff(found.first)) // things
    shares = np.bincount(owner, down, many) / (things * ticks(length_s))
    drawn = float((shares > limit).mean())
    formula = share_of_bad_replications(times, things, length_s, limit)
    # A gamma distribution stands for a sum of cut-off exponentials: right to a fifth or so.
    assert formula == pytest.approx(drawn, rel=0.25, abs=0.005)


HEAD = """
schema_version: 1
name: rare
task: {name: text-recognition, labels: 48}
workload:
  sources: 8
  arrivals: {name: poisson, rate: 10/min}
  active: {start: "06:00", end: "06:30"}
objective:
  response: {percentile: 90, limit: 10 s}
simulate: {replications: 2}
deployments:
"""
LINK = "uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms"
ON_DEMAND, SPOT = "aws/c7i.xlarge/us-east-1/on-demand", "aws/c7i.xlarge/us-east-1/spot"


def cloud(name: str, more: str = "", offer: str = ON_DEMAND, link: str = LINK) -> str:
    return f"""
  - name: {name}
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: {offer}
    scaling: {{name: fixed, replicas: 2}}
    start_up: {{node: 60 s}}
    network: {{{link}}}
    {more}
"""


def edge(name: str, more: str) -> str:
    return f"""
  - name: {name}
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 8
    {more}
"""


DEPLOYMENTS = "".join(
    [
        cloud("whole"),
        cloud("rare", "failures: {mtbf: 99 days, mttr: 1 day}"),
        cloud("often", "failures: {mtbf: 10 h, mttr: 10 min}"),
        cloud("long", "failures: {mtbf: 10 h, mttr: 24 h}"),
        cloud("rarely-evicted", "spot: {mean_life: 40 days}", SPOT),
        cloud("evicted", "spot: {mean_life: 6 h}", SPOT),
        cloud("for-good", "spot: {mean_life: 6 h}"),
        cloud("rare-line", link=LINK + ", sites: 4, outages: {mtbf: 200 days, mttr: 1 h}"),
        edge("rare-box", "failures: {mtbf: 100 days, mttr: 1 h}"),
        edge("frequent-box", "failures: {mtbf: 20 h, mttr: 1 min}"),
    ]
)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """By deployment and kind, the caveats."""
    ranking = compared(tmp_path_factory.mktemp("rare"), HEAD + DEPLOYMENTS).ranking
    return {entry.deployment: {c.kind: c.text for c in entry.caveats} for entry in ranking}


def test_failures_that_two_days_hardly_see_are_said(said: dict[str, dict[str, str]]) -> None:
    text = said["rare"]["rare-failures"]
    # Two nodes, two days: 4 / 100 failures. None is seen with 5 % where ln(20) are expected.
    assert "0.04 are to be expected in the 2 days" in text
    assert f"{math.ceil(2 * math.log(20) / 0.04)} days" in text
    assert "outages of its links" in said["rare-line"]["rare-failures"]
    assert "failures of its devices" in said["rare-box"]["rare-failures"]


def test_failures_that_are_seen_are_not_said(said: dict[str, dict[str, str]]) -> None:
    for name in ("whole", "often", "evicted", "frequent-box"):
        assert not said[name]


def test_evictions_too_rare_for_the_days_are_said(said: dict[str, dict[str, str]]) -> None:
    assert "evictions of its nodes" in said["rarely-evicted"]["rare-failures"]


def test_evictions_of_what_is_never_evicted_are_said(said: dict[str, dict[str, str]]) -> None:
    assert "is no spot machine" in said["for-good"]["evictions-of-no-spot"]


def test_repairs_as_long_as_the_day_are_said(said: dict[str, dict[str, str]]) -> None:
    assert "simulate: {days: 10}" in said["long"]["long-repairs"]


SITES = """
schema_version: 1
name: sites
task: {name: text-recognition, labels: 48}
workload:
  sources: 40
  arrivals: {name: poisson, rate: 4/h}
objective:
  response: {percentile: 99, limit: 5 s}
simulate: {replications: 2}
deployments:
"""


def test_days_that_may_all_have_been_lucky_are_said(tmp_path: Path) -> None:
    """Seldom, the outages of a day are more than the 1 % that p99 leaves: two days do not tell."""
    link = LINK + ", sites: 40, outages: {mtbf: 20 days, mttr: 1 h}"
    bad = share_of_bad_replications(MeanTimes(mtbf=20 * DAY_S, mttr=HOUR_S), 40, DAY_S, 0.01)
    assert 0.005 < bad < 0.05
    (entry,) = compared(tmp_path, SITES + cloud("shops", link=link)).ranking
    (text,) = [caveat.text for caveat in entry.caveats if caveat.kind == "uneven-failures"]
    needed = math.ceil(math.log(0.05) / math.log(1 - bad))
    assert f"replications: {needed}" in text

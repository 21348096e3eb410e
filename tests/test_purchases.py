"""What is bought is there on every day, however much of it each simulated day needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import at_once
from bench.compare import Comparison
from bench.cost import Costs
from bench.cost.ledger import with_fleets
from bench.gather import load_profiles
from bench.prepare import Settings
from bench.simulate import Simulation, Usage

PROFILES = Path(__file__).parents[1] / "reports" / "example"
SERVER = "on-premise/server-dual-xeon"
SELDOM = f"""
schema_version: 1
name: seldom
task: {{name: text-recognition, labels: 48}}
workload:
  arrivals: {{name: poisson, rate: 1/day}}
objective:
  due: {{by: "06:00", share: 99 %}}
simulate: {{replications: 6}}
deployments:
  - name: d
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: {SERVER}
    scaling: {{name: scale-to-zero, keep_warm: 60 s}}
    start_up: {{node: 0 s}}
    network: {{uplink: 100 Gbit/s, downlink: 100 Gbit/s, rtt: 0 ms}}
"""


def simulated(folder: Path, text: str = SELDOM) -> tuple[Simulation, Costs, Comparison]:
    path = folder / "seldom.yaml"
    path.write_text(text)
    settings = Settings(engine="inline", method="reference")
    return at_once.simulate_only(path, load_profiles(PROFILES), settings)[1:]


def test_one_server_is_bought_whole(tmp_path: Path) -> None:
    """$12,000 over 4 years to 30 %, and what goes with it, whether a request comes or not."""
    simulation, costs, _ = simulated(tmp_path)
    held = [day.usage["d"].devices for day in simulation.deployments[0].replications]
    assert {*held} == {0, 1}  # so that an average would be less than one
    written_off = 12_000 * (1 - 0.30) / (4 * 365)
    month = 730 / 24
    per_day = (
        written_off * (1 + 0.05)  # and a spare for every twenty
        + 0.6 * 24 * 1.58 * 0.20  # 600 W, PUE, electricity
        + 10_000 / month / 50  # staff
        + 0.6 * 163 / month  # colocation
        + 0.091 / 365 * 0.05 * 12_000  # repairs
    )
    assert per_day == pytest.approx(20.53, abs=0.005)
    (costed,) = costs.deployments
    assert float(costed.ledger.total_usd) == pytest.approx(per_day, rel=1e-6)
    assert costed.usd_per_day.low == costed.usd_per_day.high == costed.usd_per_day.value
    servers = next(line for line in costed.ledger.lines if line.item == "servers")
    assert servers.formula.startswith("1 ×")


def test_a_day_without_requests_costs_what_is_bought(tmp_path: Path) -> None:
    """A batch that has nothing to do on some days: every replication has the same lines."""
    night = SELDOM[: SELDOM.index("    kind: real_time")] + SELDOM[
        SELDOM.index("    kind: real_time") :
    ].replace("kind: real_time", 'kind: batch\n    window: {opens: "00:00"}').replace(
        "    scaling: {name: scale-to-zero, keep_warm: 60 s}\n", ""
    ).replace('{opens: "00:00"}', '{opens: "23:00"}')
    active = '{name: poisson, rate: 1/day}\n  active: {start: "08:00", end: "20:00"}'
    night = night.replace("{name: poisson, rate: 1/day}", active)
    rented = night.replace(SERVER, "aws/c7i.xlarge/us-east-1/on-demand")
    for text in (night, rented):
        simulation, costs, _ = simulated(tmp_path, text)
        requests = {day.requests for day in simulation.deployments[0].replications}
        assert 0 in requests
        assert costs.deployments[0].ledger.total_usd > 0


def usage(devices: int) -> dict[str, Usage]:
    return {"d": Usage.least(devices, held_s=0.0, served=0, uploaded_bytes=0.0)}


@pytest.mark.parametrize(
    ("held", "bought"), [([0, 1, 0], 1), ([0, 0], 1), ([3, 5, 4], 5), ([2], 2), ([], 0)]
)
def test_the_most_that_any_day_held_is_bought_for_all(held: list[int], bought: int) -> None:
    found = with_fleets([usage(devices) for devices in held])
    assert [one["d"].devices for one in found] == [bought] * len(held)

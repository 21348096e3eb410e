"""The ledger by hand: the worked example of ``docs/costs.md``, to the last decimal."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import at_once
from bench.cost import Costs, Line, lines_of
from bench.cost.embodied import embodied
from bench.cost.energy import EnergyUse, energy_use
from bench.cost.held import Held
from bench.cost.lines import AMOUNT_STEP, Ledger
from bench.gather import load_profiles
from bench.hardware import Assumptions, Catalogue, Offer
from bench.measure import PowerReading
from bench.prepare import Settings
from bench.profile import SampleEnergy
from bench.record import Estimate, Origin
from bench.scenario import (
    BatchDeployment,
    EdgeDeployment,
    Part,
    RealTimeDeployment,
)
from bench.simulate import Holding, Usage
from bench.units import DAY_S, HOUR_S, YEAR_S
from tests.test_simulation import profile

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "costs.md").read_text()
PROFILES = ROOT / "reports" / "example"
SOURCE = {"provenance": "assumed", "source": "the worked example"}
ARM = {"backend": "fake", "device": "this-host", "offer": "o"}
CLOUD = {
    **ARM, "start_up": {"node": 60.0},
    "network": {"uplink": 1e6, "downlink": 1e6, "rtt": 0.04},
}  # fmt: skip
REAL_TIME = RealTimeDeployment.model_validate(
    {**CLOUD, "name": "cloud", "kind": "real_time", "scaling": {"name": "fixed", "replicas": 2}}
)
SPOT = REAL_TIME.model_validate(
    {**REAL_TIME.model_dump(), "spot": {"mean_life": 4 * HOUR_S, "notice": 120.0}}
)
BATCH = BatchDeployment.model_validate(
    {**CLOUD, "name": "batch", "kind": "batch", "window": {"opens": 80_000.0}}
)
EDGE = EdgeDeployment.model_validate({**ARM, "name": "edge", "kind": "edge", "fleet": 12})
MACHINE = {"sku": "s", "title": "t", "vcpus": 4, "memory_gib": 8}


def price(usd: str) -> dict[str, str]:
    return {"price": usd, **SOURCE}


def rented(rate: Decimal | str, billing_s: float = 1.0, **changes: Any) -> Offer:
    machine = {
        **MACHINE, "kind": "rented", "region": "r", "tier": "on_demand",
        "rate": price(str(rate)), **changes,
    }  # fmt: skip
    return Offer.model_validate(
        {
            "name": "p/s", "provider": "p", "location": "cloud", "machine": machine,
            "billing": {"granularity": billing_s, "minimum": billing_s}, "services": {},
        }
    )  # fmt: skip


def bought(usd: str, draw_w: float, location: str, accelerators: int = 0, **changes: Any) -> Offer:
    machine = {
        **MACHINE, "kind": "purchased", "accelerators": accelerators, "purchase": price(usd),
        "power": {"draw": draw_w, **SOURCE}, **changes,
    }  # fmt: skip
    return Offer.model_validate(
        {
            "name": "p/s", "provider": "p", "location": location, "machine": machine,
            "billing": None, "services": {},
        }
    )  # fmt: skip


def serving(offer: Offer, **services: Any) -> Offer:
    return Offer.model_validate({**offer.model_dump(), "services": services})


INPUTS = {
    "electricity": Decimal("0.20"), "pue": 1.58, "device_life": 4 * YEAR_S, "residual_value": 0.0,
    "server_life": 4 * YEAR_S, "server_residual_value": 0.3, "colocation": Decimal(163),
    "staff": Decimal(10_000), "servers_per_person": 50, "devices_per_person": 500,
    "spare_share": 0.05, "failures_per_device_year": 0.05,
    "failures_per_accelerator_year": 0.091, "repair": 0.05, "visit": Decimal(150),
    "carbon_intensity": "average",
}  # fmt: skip


def assumed(**changes: Any) -> Assumptions:
    known = Catalogue(ROOT / "hardware_profiles").assumptions
    values = {**INPUTS, **changes}
    return known.model_copy(
        update={
            name: getattr(known, name).model_copy(update={"value": value})
            for name, value in values.items()
        }
    )


def used(**changes: Any) -> Usage:
    nothing = {
        "holdings": [], "devices": 0, "served": 0, "busy_s": 0, "uploaded_bytes": 0,
        "downloaded_bytes": 0, "stored_byte_s": 0,
    }  # fmt: skip
    return Usage.model_validate(nothing | changes)


def held(part: Part, offer: Offer, usage: Usage, days: int = 1, **changes: Any) -> Held:
    name = getattr(part, "name", "part")
    fields: dict[str, Any] = {
        "name": name, "part": part, "offer": offer, "region": None, "assumptions": assumed(),
        "profile": profile({1: [0.01]}), "usage": usage, "days": days,
    }  # fmt: skip
    return Held(**(fields | changes))


def hours(*spans: tuple[float, float]) -> list[Holding]:
    return [Holding(start_s=a * HOUR_S, end_s=b * HOUR_S) for a, b in spans]


TIERS = [{"up_to": 100e9, "price": "0.10"}, {"price": "0.05"}]
MINUTE = 1 / 60
WORKED = {
    "cloud": held(
        REAL_TIME,
        serving(
            rented(Decimal("21.73") / 730, HOUR_S),
            load_balancer=price(str(Decimal("10.86") / 730)), egress={"tiers": TIERS, **SOURCE},
        ),
        used(holdings=hours((0, 24), (0, 24)), downloaded_bytes=10e9),
    ),
    "edge": held(EDGE, bought("300", 12, "edge"), used(devices=12)),
    "on-premise": held(REAL_TIME, bought("10000", 1000, "on_premise", 2), used(devices=1)),
    "spot": held(
        SPOT,
        rented("0.0785", tier="spot"),
        used(
            holdings=hours((0, 24), (0, 12), (12 - 2 * MINUTE, 24)), devices=3,
            replacing_s=120,
        ),
    ),
    "reserved": held(
        REAL_TIME,
        rented("0.30", tier="reserved", term_months=12),
        used(holdings=hours((8, 16), (8, 16), (8, 16)), devices=3),
    ),
}  # fmt: skip


def table(case: str) -> list[list[str]]:
    """The rows of a worked example in the document."""
    text = DOCUMENT.split(f"<!-- worked: {case} -->\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("| ").split("|")] for row in text.splitlines()[2:]]


OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
}  # fmt: skip


def by_hand(arithmetic: str) -> Fraction:
    """Numbers, + − × ÷ and brackets, without rounding."""
    python = arithmetic.translate(str.maketrans("×÷−", "*/-"))
    assert re.fullmatch(r"[\d.+\-*/() ]+", python), arithmetic
    return value(ast.parse(python, mode="eval").body, python)


def value(node: ast.expr, text: str) -> Fraction:
    """Of one node of ``text``; a number is taken as it is written, not as a float."""
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](value(node.left, text), value(node.right, text))
    if isinstance(node, ast.UnaryOp):
        assert isinstance(node.op, ast.USub)
        return -value(node.operand, text)
    return Fraction(str(ast.get_source_segment(text, node)))


@pytest.mark.parametrize("case", WORKED)
def test_the_worked_example(case: str) -> None:
    lines = list(lines_of(WORKED[case]))
    *rows, total = table(case)
    said = [(row[0], Decimal(row[2]), Decimal(row[3])) for row in rows]
    assert [(line.item, line.quantity, line.amount_usd) for line in lines] == said
    for row in rows:
        assert float(by_hand(row[1])) == pytest.approx(float(row[3]), abs=1e-8)
    assert Ledger.of(lines).total_usd == Decimal(total[-1])


def test_a_day_of_many_is_their_mean() -> None:
    one = WORKED["cloud"]
    usage = one.usage.model_copy(
        update={
            "holdings": hours((0, 48), (0, 48)),
            "downloaded_bytes": 2 * one.usage.downloaded_bytes,
        }
    )
    two = held(REAL_TIME, one.offer, usage, days=2)
    assert Ledger.of(list(lines_of(two))) == Ledger.of(list(lines_of(one)))


# --- energy and carbon ---------------------------------------------------------------------------

JOULES = SampleEnergy(
    joules=3.6, origin=Origin(subject="energy", provenance="measured", source="the worked example")
)


@pytest.mark.parametrize(
    ("kind", "grams", "kg"),
    [("average", 396, 0.4554), ("marginal", 557, 0.64055), ("market", 0, 0)],
)
def test_carbon_by_hand(kind: str, grams: float, kg: float) -> None:
    region = Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"]
    asked = held(
        REAL_TIME, rented("0.30"), used(served=1_000_000),
        region=region, assumptions=assumed(carbon_intensity=kind),
        profile=profile({1: [0.01]}, sample_energy=JOULES),
    )  # fmt: skip
    use = energy_use(asked)
    assert use.kwh == pytest.approx(1.15)
    assert (use.intensity, use.g_per_kwh) == (kind, grams)
    assert use.carbon_kg == pytest.approx(kg)
    for figure in (f"{kg:.5g} kg", f"{grams} g/kWh"):
        assert grams == 0 or figure in " ".join(DOCUMENT.split())
    assert next(lines_of(asked)).item == "compute"
    assert "energy" not in {line.item for line in lines_of(asked)}  # the rate has it


def idle(watts: float) -> dict[str, Any]:
    return {"idle": {"draw": watts, **SOURCE}}


def test_machines_at_rest_by_hand() -> None:
    asked = held(
        REAL_TIME, rented("0.30", **idle(60)), used(served=1_000_000, holdings=hours((0, 24), (0, 24))),
        region=Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"],
        profile=profile({1: [0.01]}, sample_energy=JOULES),
    )  # fmt: skip
    use = energy_use(asked)
    assert use.rest_kwh == pytest.approx(1.15 * 2.88)
    assert use.kwh == pytest.approx(1.15 * (2.88 + 3 / 3.6))
    assert f"1.15 × 3.7133 = {use.kwh:.4f} kWh" in " ".join(DOCUMENT.split())
    assert "power at rest of p/s" in {origin.subject for origin in use.origins}
    two_days = held(
        REAL_TIME, asked.offer, used(served=2_000_000, holdings=hours((0, 48), (0, 48))), days=2,
        region=asked.region, profile=asked.profile,
    )  # fmt: skip
    assert energy_use(two_days).kwh == pytest.approx(use.kwh)


def test_what_machines_draw_at_rest_is_null_where_nobody_says_it() -> None:
    use = energy_use(
        held(
            REAL_TIME, rented("0.30"), used(served=1_000_000, holdings=hours((0, 24))),
            region=Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"],
            profile=profile({1: [0.01]}, sample_energy=JOULES),
        )
    )  # fmt: skip
    assert use.rest_kwh is None
    assert "no source says what p/s draws then" in str(use.rest_reason)
    assert use.kwh == pytest.approx(1.15)


def test_a_busy_machine_draws_what_was_published_of_it() -> None:
    """Four accelerators without a pause, each 100 samples/s at 2 J: 800 W, at rest or not."""
    published = JOULES.model_copy(update={"joules": 2.0})
    asked = held(
        REAL_TIME, rented("0.30", accelerators=4, device="x", **idle(300)),
        used(served=400 * 3600, holdings=hours((0, 1))),
        region=Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"],
        profile=profile({1: [0.05], 8: [0.08]}, sample_energy=published),
    )  # fmt: skip
    assert energy_use(asked).kwh == pytest.approx(1.15 * 0.8)


def metered(scope: str, rest_w: float | None = 40.0) -> PowerReading:
    """100 s of 1,000 requests at 90 W."""
    return PowerReading(
        source="wall", scope=scope, sensor="a meter", window_s=100, inferences=1000,
        energy_j=Estimate(value=9000), mean_w=Estimate(value=90),
        idle_w=Estimate.absent("not metered") if rest_w is None else Estimate(value=rest_w),
    )  # fmt: skip


def test_the_meter_of_the_measurement_knows_both() -> None:
    region = Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"]
    usage = used(served=36_000, holdings=hours((0, 24)))

    def drawn(offer: Offer, *readings: PowerReading) -> EnergyUse:
        known = profile({1: [0.1]}, power=list(readings), device="mine")
        return energy_use(held(REAL_TIME, offer, usage, region=region, profile=known))

    # An hour of work at 90 W, and 23 at rest.
    whole = drawn(rented("0.30", device="mine"), metered("system"), metered("board"))
    assert whole.kwh == pytest.approx(1.15 * (0.09 + 23 * 0.04))
    assert whole.origins[0].provenance == "measured"
    assert drawn(rented("0.30"), metered("system")).origins[0].provenance == "assumed"
    # Where the meter did not see it at rest, the offer may say it.
    said = drawn(rented("0.30", **idle(50)), metered("system", None))
    assert said.kwh == pytest.approx(1.15 * (0.09 + 23 * 0.05))
    # A board is a part of a machine.
    assert drawn(rented("0.30"), metered("board")).kwh is None


@given(
    spans=st.lists(st.floats(0, DAY_S), max_size=4), longer=st.floats(0, DAY_S),
    served=st.integers(0, 10**9), more=st.integers(0, 10**9), watts=st.floats(0.01, 1e4),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_more_held_and_served_never_draws_less(
    spans: list[float], longer: float, served: int, more: int, watts: float
) -> None:
    """The planner's lower bound of greenhouse gases rests on it, and knows no busy time."""
    region = Catalogue(ROOT / "hardware_profiles").regions["aws", "us-east-1"]

    def kwh(extra: bool) -> float:
        lengths = [*(a + longer * extra for a in spans), *([longer] if extra else [])]
        usage = used(
            served=served + more * extra, busy_s=1e5 * extra,
            holdings=[Holding(start_s=0, end_s=length) for length in lengths],
        )  # fmt: skip
        asked = held(
            REAL_TIME, rented("0.30", **idle(watts)), usage, region=region,
            profile=profile({1: [0.01]}, sample_energy=JOULES),
        )  # fmt: skip
        found = energy_use(asked).kwh
        assert found is not None
        return found

    assert kwh(True) >= kwh(False)


def test_what_is_not_known_of_energy_has_a_reason() -> None:
    nobody = energy_use(held(REAL_TIME, rented("0.30"), used(served=10)))
    assert nobody.kwh is None
    assert "no sensor measured" in str(nobody.carbon_reason)
    nowhere = energy_use(
        held(REAL_TIME, rented("0.30"), used(served=10), profile=profile({1: [1.0]}, sample_energy=JOULES))
    )  # fmt: skip
    assert nowhere.carbon_kg is None
    assert "PUE of p is not known" in str(nowhere.carbon_reason)


def test_making_machines_by_hand() -> None:
    source = {"value": 1300, "low": 900, "high": 4300, **SOURCE}
    asked = held(
        REAL_TIME, bought("10000", 600, "on_premise", embodied_carbon=source), used(devices=2)
    )
    made = embodied(asked)
    assert made.kg == pytest.approx(2 * 1.05 * 1300 / 1460)
    said = f"{made.kg:.4f} kg a day ({made.low_kg:.4f} to {made.high_kg:.4f})"
    assert said in " ".join(DOCUMENT.split())
    # Apart from what it draws, and no matter of money.
    without = held(REAL_TIME, bought("10000", 600, "on_premise"), used(devices=2))
    assert energy_use(asked) == energy_use(without)
    assert list(lines_of(asked)) == list(lines_of(without))


def test_what_making_caused_is_null_where_nobody_says_it() -> None:
    for offer in (rented("0.30"), bought("300", 12, "edge")):
        made = embodied(held(REAL_TIME, offer, used(devices=2)))
        assert (made.kg, made.low_kg, made.high_kg) == (None, None, None)
        assert "no source says what making p/s caused" in made.formula


# --- monotone ------------------------------------------------------------------------------------

AMOUNT = st.integers(0, 10**13)
SPANS = st.lists(st.tuples(st.floats(0, DAY_S), st.floats(0, DAY_S)), max_size=5)


def spot_total(lines: dict[str, Decimal]) -> dict[str, Decimal]:
    """Spot waste is a part of what is billed: only their sum has a direction."""
    lines["compute"] = lines.get("compute", Decimal(0)) + lines.pop("spot waste", Decimal(0))
    return lines


@pytest.mark.parametrize("name", ["cloud", "edge", "on-premise", "spot", "reserved", "batch"])
@given(
    spans=SPANS, more=SPANS, longer=st.floats(0, DAY_S), devices=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    served=st.tuples(AMOUNT, AMOUNT), up=st.tuples(AMOUNT, AMOUNT), down=st.tuples(AMOUNT, AMOUNT),
    stored=st.tuples(AMOUNT, AMOUNT), replacing=st.tuples(st.floats(0, DAY_S), st.floats(0, DAY_S)),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_more_used_never_costs_less(
    name: str, spans: list[tuple[float, float]], more: list[tuple[float, float]], longer: float,
    devices: tuple[int, int], served: tuple[int, int], up: tuple[int, int], down: tuple[int, int],
    stored: tuple[int, int], replacing: tuple[float, float],
) -> None:  # fmt: skip
    """The planner's lower bound rests on it: line by line, and energy too."""
    base = PRICED[name]

    def usage(extra: bool) -> Usage:
        held_spans = [(a, a + b + longer * extra) for a, b in spans] + (more if extra else [])
        several = {
            "devices": devices, "served": served, "uploaded_bytes": up, "downloaded_bytes": down,
            "stored_byte_s": stored, "replacing_s": replacing,
        }  # fmt: skip
        return used(
            holdings=[{"start_s": min(s), "end_s": max(s)} for s in held_spans],
            busy_s=0.0,
            **{key: float(a + b * extra) if key not in ("devices", "served") else a + b * extra
               for key, (a, b) in several.items()},
        )  # fmt: skip

    less, most = (
        spot_total({line.item: line.amount_usd for line in lines_of(held(base.part, base.offer, usage(extra), profile=base.profile))})
        for extra in (False, True)
    )  # fmt: skip
    # Compute and spot waste are rounded apart, each to a billionth of a dollar.
    slack = 2 * AMOUNT_STEP if name == "spot" else Decimal(0)
    for item, usd in less.items():
        assert most[item] >= usd - slack, item
    assert sum(most.values()) >= sum(less.values()) - slack


PRICED = {
    **WORKED,
    "batch": held(
        BATCH.model_copy(
            update={"network": BATCH.network.model_copy(update={"price": Decimal("0.03")})}
        ),
        serving(rented("0.1785"), storage=price("0.023"), egress={"tiers": TIERS, **SOURCE}),
        used(),
    ),
}


# --- one price changes the lines that use it -----------------------------------------------------

SCENARIO = """
schema_version: 1
name: prices
task: {name: text-recognition, labels: 48}
workload:
  sources: 4
  arrivals: {name: poisson, rate: 20/min}
  active: {start: "06:00", end: "07:00"}
objective:
  response: {percentile: 99, limit: 250 ms}
simulate: {replications: 2}
deployments:
  - name: night
    kind: batch
    backend: onnxruntime-cpu
    device: this-host
    offer: aws/c7i.xlarge/us-east-1/on-demand
    window: {opens: "22:00"}
    start_up: {node: 60 s}
    network: {uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
  - name: cloud
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: civo/standard-2c-4g/any/on-demand
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 60 s}
    network: {uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 40 ms}
  - name: server
    kind: real_time
    backend: onnxruntime-cpu
    device: this-host
    offer: on-premise/server-dual-xeon
    scaling: {name: fixed, replicas: 1}
    start_up: {node: 60 s}
    network: {uplink: 40 Mbit/s, downlink: 16 Mbit/s, rtt: 4 ms}
  - name: edge
    kind: edge
    backend: onnxruntime-cpu
    device: this-host-one-thread
    offer: edge/mini-pc
    fleet: 4
"""
OVERRIDES = {
    "a rate": (
        "rates: {aws/c7i.xlarge/us-east-1/on-demand: {price: $0.15/h, provenance: published, source: ours}}",
        {("night", "compute")},
    ),
    "a purchase price": (
        "purchases: {edge/mini-pc: {price: $241, provenance: published, source: ours}}",
        {("edge", "devices"), ("edge", "spares")},
    ),
    "egress": (
        "services: {civo: {egress: {tiers: [{price: $0.02/GB}], provenance: published, source: ours}}}",
        {("cloud", "egress")},
    ),
    "a load balancer": (
        "services: {civo: {load_balancer: {price: $12/month, provenance: published, source: ours}}}",
        {("cloud", "load balancer")},
    ),
    "electricity": (
        "assumptions: {electricity: {value: $0.31/kWh, source: ours}}",
        {("edge", "energy"), ("server", "energy")},
    ),
    "staff": (
        "assumptions: {staff: {value: $7000/month, source: ours}}",
        {("edge", "staff"), ("server", "staff")},
    ),
    "a visit": (
        "assumptions: {visit: {value: $99, source: ours}}",
        {("edge", "service visits")},
    ),
}  # fmt: skip


def costs(folder: Path, overrides: Path | None = None) -> Costs:
    path = folder / "prices.yaml"
    path.write_text(SCENARIO)
    chosen = Settings(engine="inline", overrides=overrides)
    return at_once.simulate_only(path, load_profiles(PROFILES), chosen)[2]


def by_item(found: Costs) -> dict[tuple[str, str], Line]:
    return {(c.deployment, x.item): x for c in found.deployments for x in c.ledger.lines}


@pytest.mark.parametrize("name", OVERRIDES)
def test_one_price_changes_the_lines_that_use_it_and_no_other(name: str, tmp_path: Path) -> None:
    text, expected = OVERRIDES[name]
    override = tmp_path / "overrides.yaml"
    override.write_text(f"schema_version: 1\n{text}\n")
    listed = by_item(costs(tmp_path))
    changed = by_item(costs(tmp_path, override))
    assert listed.keys() == changed.keys()
    assert {key for key in listed if listed[key] != changed[key]} == expected
    for key in expected:
        assert changed[key].unit_price_usd != listed[key].unit_price_usd
        assert changed[key].quantity == listed[key].quantity
        assert any(origin.source.startswith("ours") for origin in changed[key].origins)
    same = [key for key in listed if key not in expected]
    assert [listed[k].model_dump_json() for k in same] == [
        changed[k].model_dump_json() for k in same
    ]


def test_a_day_an_hour_and_a_month_are_one_figure(tmp_path: Path) -> None:
    for costed in costs(tmp_path).deployments:
        total = float(costed.ledger.total_usd)
        assert costed.usd_per_day.value == pytest.approx(total, abs=1e-8)
        assert costed.usd_per_hour.value == pytest.approx(total / 24)
        assert costed.usd_per_month.value == pytest.approx(total / 24 * 730)
        assert sum(line.amount_usd for line in costed.ledger.lines) == costed.ledger.total_usd


def test_the_override_file_of_the_document(tmp_path: Path) -> None:
    text = DOCUMENT.split("<!-- override example -->\n```yaml\n")[1].split("```")[0]
    path = tmp_path / "overrides.yaml"
    path.write_text(text)
    folder = ROOT / "hardware_profiles"
    listed, own = Catalogue(folder), Catalogue(folder, path)
    changed = {name for name, offer in own.offers.items() if offer != listed.offers[name]}
    assert {"aws/g4dn.xlarge/us-east-1/on-demand", "edge/mini-pc"} < changed
    assert {name.partition("/")[0] for name in changed} == {"aws", "edge", "civo", "google-cloud"}
    assert own.offers["edge/mini-pc"].machine.purchase.price == 241  # type: ignore[union-attr]
    assert own.assumptions.electricity.value == Decimal("0.31")
    assert own.assumptions.devices_per_person.value == 150
    for key in ("rates", "purchases", "discounts", "services", "assumptions"):
        assert re.search(rf"^{key}:", text, re.MULTILINE), key

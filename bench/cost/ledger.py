"""The ledger of a (mean) simulated day: one line per cost, quantity × unit price, exact in decimals.

The day is the accounting period. What is paid by the month or bought for years enters with one
day's share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from statistics import fmean

from bench.cost.billing import billed_seconds
from bench.hardware import Assumptions, Offer, PurchasedOffer, RentedOffer
from bench.record import SCHEMA_VERSION, Estimate, Origin, Record
from bench.scenario import AnyPart, Deployment, EdgePart, RealTimePart, ResolvedScenario
from bench.simulate import DeploymentResult, Replication, Simulation, Usage
from bench.stats import mean_interval
from bench.units import DAY_S, HOUR_S, MONTH_HOURS, YEAR_S

AMOUNT_STEP = Decimal("1e-9")
"""Amounts are kept to a billionth of a dollar; the total is the sum of the rounded lines."""


class Line(Record):
    """One cost of one day."""

    item: str
    quantity: Decimal
    unit: str
    unit_price_usd: Decimal
    amount_usd: Decimal
    """Quantity × unit price, rounded to a billionth of a dollar."""
    formula: str
    origins: list[Origin]
    """Where the price, and any assumption in the quantity, come from."""


class Ledger(Record):
    """A day's costs; the total is the exact sum of the lines."""

    lines: list[Line]
    total_usd: Decimal

    @classmethod
    def of(cls, lines: list[Line]) -> Ledger:
        return cls(lines=lines, total_usd=sum((line.amount_usd for line in lines), Decimal(0)))


class CostedDeployment(Record):
    """What one deployment costs: the mean day, and the intervals over replications."""

    deployment: str
    ledger: Ledger
    """Quantities are means over the replications."""
    usd_per_day: Estimate
    usd_per_million: Estimate
    """Per million answered requests."""
    usd_per_million_useful: Estimate
    """Per million requests answered within the SLO."""
    usd_per_million_days: list[float]
    """One value per replication, for paired comparisons."""


class Costs(Record):
    """Every deployment that could be simulated."""

    schema_version: int = SCHEMA_VERSION
    deployments: list[CostedDeployment]


def usd_per_hour(costed: CostedDeployment, held: Sequence[float], bins: int) -> list[float]:
    """A day's cost over its ``bins``: what is rented follows what is held, the rest is even.

    Bins beyond the day have what is still held in them. The mean over a day is the total ÷ 24.
    """
    compute = float(sum(line.amount_usd for line in costed.ledger.lines if line.item == "compute"))
    rest = float(costed.ledger.total_usd) - compute
    mean = sum(held) / bins
    moving = [compute * number / mean if mean else 0.0 for number in held]
    return [(usd + (rest if place < bins else 0.0)) / 24 for place, usd in enumerate(moving)]


def cost_simulation(scenario: ResolvedScenario, simulation: Simulation) -> Costs:
    """Cost every deployment that was simulated; overloaded ones have no usage to cost."""
    asked = {d.name: d for d in scenario.scenario.deployments}
    return Costs(
        deployments=[
            _cost(scenario, asked[result.deployment], result)
            for result in simulation.deployments
            if result.replications
        ]
    )


def _cost(
    scenario: ResolvedScenario, deployment: Deployment, result: DeploymentResult
) -> CostedDeployment:
    ledgers = [Ledger.of(list(_lines(scenario, deployment, day))) for day in result.replications]
    totals = [float(ledger.total_usd) for ledger in ledgers]
    pairs = list(zip(totals, result.replications, strict=True))
    per_million = [usd * day.days / day.done * 1e6 for usd, day in pairs if day.done]
    useful = [usd * day.days / day.within_slo * 1e6 for usd, day in pairs if day.within_slo]
    complete = len(useful) == len(pairs)
    return CostedDeployment(
        deployment=deployment.name,
        ledger=_mean_ledger(ledgers),
        usd_per_day=mean_interval(totals),
        usd_per_million=mean_interval(per_million),
        usd_per_million_useful=mean_interval(useful)
        if complete
        else Estimate.absent("on some days no request was answered within the SLO"),
        usd_per_million_days=per_million,
    )


def _lines(
    scenario: ResolvedScenario, deployment: Deployment, replication: Replication
) -> Iterator[Line]:
    for name, part in deployment.parts.items():
        usage = replication.usage[name]
        offer = scenario.offers[name]
        yield from _part_lines(part, offer, scenario.assumptions, usage, replication.days)


def _part_lines(
    part: AnyPart, offer: Offer, assumptions: Assumptions, usage: Usage, days: int
) -> Iterator[Line]:
    machine = offer.machine
    if isinstance(machine, RentedOffer):
        yield from _rented(offer, machine, usage, days)
    else:
        yield from _purchased(offer, machine, assumptions, usage)
        if isinstance(part, EdgePart):
            yield from _visits(assumptions, usage)
    if not isinstance(part, EdgePart):
        yield from _services(part, offer, usage, days)
        price = part.network.price
        if price is not None:
            moved = (usage.uploaded_bytes + usage.downloaded_bytes) / 1e9 / days
            origin = Origin(subject="uplink", provenance="assumed", source="the scenario")
            yield _line("uplink traffic", moved, "GB", price, "bytes up and down", [origin])


def _rented(offer: Offer, machine: RentedOffer, usage: Usage, days: int) -> Iterator[Line]:
    if offer.billing is None:
        raise ValueError(f"the rented offer {offer.name} has no billing rule")
    hours = billed_seconds(usage.holdings, offer.billing) / HOUR_S / days
    rule = f"each holding rounded up to {offer.billing.granularity:g} s, at least {offer.billing.minimum:g} s"
    yield _line(
        "compute", hours, "machine-hours", machine.rate.price, rule,
        [machine.rate.origin(f"price of {offer.name}")],
    )  # fmt: skip


def _services(part: AnyPart, offer: Offer, usage: Usage, days: int) -> Iterator[Line]:
    services = offer.services
    if services.load_balancer and isinstance(part, RealTimePart):
        yield _line(
            "load balancer", 24.0, "hours", services.load_balancer.price, "one, all day",
            [services.load_balancer.origin(f"load balancer of {offer.provider}")],
        )  # fmt: skip
    if services.storage and usage.stored_byte_s:
        gb_months = usage.stored_byte_s / 1e9 / (MONTH_HOURS * HOUR_S) / days
        yield _line(
            "storage", gb_months, "GB-months", services.storage.price,
            "bytes kept × time until processed",
            [services.storage.origin(f"object storage of {offer.provider}")],
        )  # fmt: skip
    if services.egress:
        yield _line(
            "egress", usage.downloaded_bytes / 1e9 / days, "GB", services.egress.price,
            "answers sent back", [services.egress.origin(f"egress of {offer.provider}")],
        )  # fmt: skip


def _purchased(
    offer: Offer, machine: PurchasedOffer, assumptions: Assumptions, usage: Usage
) -> Iterator[Line]:
    life, residual = assumptions.device_life, assumptions.residual_value
    day_share = DAY_S / life.value * (1 - residual.value)
    capital = [
        machine.purchase.origin(f"price of {offer.name}"),
        life.origin("device life"),
        residual.origin("residual value"),
    ]
    devices = usage.devices
    yield _line(
        "devices", devices * day_share, "devices written off", machine.purchase.price,
        f"{devices} × 1 day ÷ life × (1 − residual)", capital,
    )  # fmt: skip
    yield _line(
        "spares", devices * assumptions.spare_share.value * day_share, "devices written off",
        machine.purchase.price, "spare share of the devices",
        [*capital, assumptions.spare_share.origin("spare share")],
    )  # fmt: skip
    at_edge = offer.location == "edge"
    overhead = 1 + assumptions.edge_supply_loss.value if at_edge else assumptions.pue.value
    kwh = devices * machine.power.draw * 24 / 1000 * overhead
    loss = (
        assumptions.edge_supply_loss.origin("power supply loss")
        if at_edge
        else assumptions.pue.origin("PUE")
    )
    yield _line(
        "energy", kwh, "kWh", assumptions.electricity.value,
        f"{devices} × {machine.power.draw:g} W × 24 h × {overhead:g}",
        [machine.power.origin("power draw"), loss, assumptions.electricity.origin("electricity")],
    )  # fmt: skip


def _visits(assumptions: Assumptions, usage: Usage) -> Iterator[Line]:
    rate = assumptions.failures_per_device_year
    visits = usage.devices * rate.value * DAY_S / YEAR_S
    yield _line(
        "service visits", visits, "visits", assumptions.visit.value,
        "devices × failures per device and year ÷ 365",
        [rate.origin("failure rate"), assumptions.visit.origin("service visit")],
    )  # fmt: skip


def _line(
    item: str, quantity: float, unit: str, price: Decimal, formula: str, origins: list[Origin]
) -> Line:
    exact = Decimal(repr(quantity)).quantize(Decimal("1e-12"), ROUND_HALF_EVEN)
    return Line(
        item=item,
        quantity=exact,
        unit=unit,
        unit_price_usd=price,
        amount_usd=(exact * price).quantize(AMOUNT_STEP, ROUND_HALF_EVEN),
        formula=formula,
        origins=origins,
    )


def _mean_ledger(ledgers: list[Ledger]) -> Ledger:
    """The ledger of the mean day: every replication has the same items in the same order."""
    lines = [
        _line(
            same[0].item,
            fmean(float(line.quantity) for line in same),
            same[0].unit,
            same[0].unit_price_usd,
            same[0].formula,
            same[0].origins,
        )
        for same in zip(*(ledger.lines for ledger in ledgers), strict=True)
    ]
    return Ledger.of(lines)

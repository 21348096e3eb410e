"""Lines of a ledger: quantity × unit price, exact in decimals."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from statistics import fmean

from bench.record import Origin, Record

AMOUNT_STEP = Decimal("1e-9")
"""Amounts are kept to a billionth of a dollar; the total is the sum of the rounded lines."""
QUANTITY_STEP = Decimal("1e-12")


class Line(Record):
    """One cost of one day."""

    part: str
    """The part of the deployment that causes it."""
    item: str
    quantity: Decimal
    unit: str
    unit_price_usd: Decimal
    amount_usd: Decimal
    """Quantity × unit price, rounded to a billionth of a dollar."""
    formula: str
    origins: list[Origin]
    """Where the price, and any assumption in the quantity, come from."""

    @classmethod
    def of(
        cls, part: str, item: str, quantity: float, unit: str, price: Decimal, formula: str,
        origins: list[Origin],
    ) -> Line:  # fmt: skip
        exact = Decimal(repr(quantity)).quantize(QUANTITY_STEP, ROUND_HALF_EVEN)
        return cls(
            part=part,
            item=item,
            quantity=exact,
            unit=unit,
            unit_price_usd=price,
            amount_usd=(exact * price).quantize(AMOUNT_STEP, ROUND_HALF_EVEN),
            formula=formula,
            origins=origins,
        )


class Ledger(Record):
    """A day's costs; the total is the exact sum of the lines."""

    lines: list[Line]
    total_usd: Decimal

    @classmethod
    def of(cls, lines: list[Line]) -> Ledger:
        return cls(lines=lines, total_usd=sum((line.amount_usd for line in lines), Decimal(0)))


def mean_ledger(ledgers: list[Ledger]) -> Ledger:
    """The ledger of the mean day: every replication has the same items in the same order."""
    lines = [
        Line.of(
            same[0].part,
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

"""Inputs as people write them."""

from __future__ import annotations

from bench.units import YEAR_S, format_percent


def format_input(value: float, unit: str) -> str:
    """An input of a tornado: ``$0.2/kWh``, ``4 years``, ``5 %``."""
    if unit == "s":
        return f"{value / YEAR_S:.3g} years"
    if unit == "share":
        return format_percent(value, 0 if round(value, 4) == round(value, 2) else 1)
    if unit.startswith("$"):
        return f"${value:.6g}{unit[1:]}"
    return f"{value:.6g} {unit}".strip()

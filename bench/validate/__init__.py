"""A live service, and how far the simulation is from it: on this machine, on load it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bench.scenario import ResolvedScenario
from bench.validate.asked import checked, first_served, require_up, session_of
from bench.validate.validation import (
    Compared,
    Judgement,
    Level,
    Observation,
    Session,
    Validation,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Compared",
    "Judgement",
    "Level",
    "Observation",
    "Session",
    "Validation",
    "checked",
    "first_served",
    "observe",
    "require_up",
    "session_of",
    "validate",
]
OnStep = Callable[[int, int, str], None]


def observe(
    scenario: ResolvedScenario, asked: Session, seed: int, on_step: OnStep
) -> tuple[Observation, pd.DataFrame]:
    """See :func:`bench.validate.session.observe`, whose packages are loaded when it is called."""
    from bench.validate import session

    return session.observe(scenario, asked, seed, on_step)


def validate(
    scenario: ResolvedScenario,
    asked: Session,
    observed: Observation,
    table: pd.DataFrame,
    seed: int,
    on_step: OnStep,
) -> Validation:
    """See :func:`bench.validate.verdict.validate`, whose packages are loaded when it is called."""
    from bench.validate import verdict

    return verdict.validate(scenario, asked, observed, table, seed, on_step)

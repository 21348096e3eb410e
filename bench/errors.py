"""Every error a user can meet, and the exit code it ends the program with.

::

    BenchError
    ├── InputError            2   the user's scenario, file or option cannot be used
    │   └── UnknownName       2   a name that nothing here answers to
    ├── MissingRequirement    2   a package, model file or driver is not there
    ├── WorkerLost            5   a process crashed, hung, or failed in a way nobody foresaw
    ├── MeasurementInvalid    5   the measurement breaks the validity rules
    ├── Interrupted         130   the user stopped the program
    └── OutputClosed        141   nobody reads what is printed any more, as `| head` does

The message is one paragraph: what is wrong, where, what is allowed, what to do. Secrets in web
addresses are hidden in it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from bench.secrets import masked

MISSED, FAULT = 1, 70
EXIT_CODES = {
    0: "done",
    MISSED: "with `--strict`: no deployment meets the objective; of a gate: REGRESSED",
    2: "what was written or asked for cannot be used, or something it needs is not there",
    3: "of a gate: INCONCLUSIVE, neither worse nor the same could be shown in its time",
    4: "of a gate: MISSING, a metric was not seen in every process of both sides",
    5: "a process was lost, one of several arms gave no measurement, or an arm (where only measuring "
    "was asked for, also a load) is INVALID by the rules of "
    "[docs/measurement.md](docs/measurement.md); what could be measured is kept",
    FAULT: "a fault of the program: please report it",
    130: "interrupted",
    141: "nobody reads the output any more (`bench … | head`)",
}
"""All codes the program ends with; README.md has the same table."""

MOST_LISTED = 12
"""Of a longer list of names, an error shows so many: those most like the one that was asked for."""


class BenchError(Exception):
    """Base of all errors this program raises on purpose."""

    exit_code = 2

    def __str__(self) -> str:
        return masked(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders; their constructors take more than the finished message.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[BenchError], args: tuple[Any, ...], state: dict[str, Any]) -> BenchError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InputError(BenchError):
    """Something the user wrote cannot be used.

    Args:
        what: the fault, as a sentence without its full stop.
        where: ``file:line:column``, an option's name, or ``None``.
        allowed: what would have been accepted.
        todo: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        todo: str | None = None,
    ) -> None:
        self.what, self.where, self.allowed, self.todo = what, where, allowed, todo
        parts = [f"{where}: {what}." if where else f"{what}."]
        if allowed:
            parts.append(f"Allowed: {allowed}.")
        if todo:
            parts.append(todo if todo.endswith("?") else f"{todo}.")
        # A file name that is not UTF-8 cannot stand in a record, where errors are kept too.
        super().__init__(" ".join(parts).encode(errors="backslashreplace").decode())


class UnknownName(InputError):
    """A name was looked up among ``known`` names and is not one of them."""

    def __init__(
        self, noun: str, name: str, known: Iterable[str], *, where: str | None = None
    ) -> None:
        names = sorted(known)
        near = nearest(name, names)
        listed = names
        if len(names) > MOST_LISTED:
            alike = difflib.get_close_matches(name, names, MOST_LISTED, cutoff=0.3)
            listed = alike or names[:MOST_LISTED]
        more = f", and {len(names) - len(listed)} more" if len(listed) < len(names) else ""
        super().__init__(
            f"unknown {noun} {shorten(name)!r}",
            where=where,
            allowed=", ".join(listed) + more or "none are installed",
            todo=f"Did you mean {near!r}?" if near else None,
        )


class MissingRequirement(BenchError):
    """A package, model file or driver that the request needs is not there."""


class WorkerLost(BenchError):
    """A process of its own gave no answer; ``details`` may hold the end of its traceback."""

    exit_code = 5

    def __init__(self, what: str, details: str = "") -> None:
        self.details = details
        super().__init__(what)


class MeasurementInvalid(BenchError):
    """What was measured breaks the validity rules, or an arm gave no measurement at all."""

    exit_code = 5


class Interrupted(BenchError):
    """The user stopped the program."""

    exit_code = 130


class OutputClosed(BenchError):
    """Whoever read the output has gone: said to nobody, with the code a shell gives for SIGPIPE."""

    exit_code = 141


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest in spelling to ``name``, if any is close."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def shorten(text: object, limit: int = 60) -> str:
    """``text`` cut to ``limit`` characters, so that one bad value cannot flood a message."""
    flat = str(text)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"

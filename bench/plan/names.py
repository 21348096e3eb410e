"""Names of candidates: all that was chosen, in words, and none that a scenario file would be refused.

A name is what a table is keyed by, so that no two candidates share one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bench import extensions
from bench.batching import BATCHING
from bench.scenario import (
    NAME_LENGTH,
    Choice,
    Deployment,
    Part,
)
from bench.simulate import SCALING


def name_of(deployment: Deployment, offer: str, arm: str, taken: set[str]) -> str:
    """Kind, offer, arm, and what was chosen, within :data:`NAME_LENGTH`.

    Args:
        taken: names that are in use; what is too long, or would be one of them, ends in a number of
            its own, made of the whole deployment.
    """
    part = next(iter(deployment.parts.values()))
    name = " ".join([deployment.kind.replace("_", "-"), offer, arm, *_chosen(part)])
    if len(name) <= NAME_LENGTH and name not in taken:
        return name
    whole = f"{name} {deployment.model_dump_json(exclude={'name'})}"
    number = f" … {hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    return name[: NAME_LENGTH - len(number)] + number


def _chosen(part: Part) -> Iterator[str]:
    """Batching, and scaling, nodes or fleet."""
    yield _said(part.batching, BATCHING)
    if part.scaling is not None:
        yield _said(part.scaling, SCALING)
    if part.number is not None:
        yield f"{part.COUNT}={part.number}"


def _said(part: Choice, folder: str) -> str:
    """The policy, with the options that are not its defaults."""
    fields = extensions.load(folder, part.name).Options.model_fields
    options = ",".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in part.options.items()
        if key not in fields or value != fields[key].default
    )
    name = Path(part.name).name if extensions.is_own_file(part.name) else part.name
    return f"{name}({options})" if options else name

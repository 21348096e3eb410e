"""Characters that cannot be seen: refused in files that people write, shown as what they are else."""

from __future__ import annotations

import re

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters but for tab and line feed, halves of surrogate pairs, separators that start a
new line in some programs only, marks that turn the direction of writing, and what is no character."""


def visible(text: object) -> str:
    """``text`` with such characters as ``\\x1b``: no name moves the cursor of a terminal."""
    return UNSEEN.sub(lambda found: ascii(found.group())[1:-1], str(text))


_IN_ASCII = {
    "≤": "<=", "≥": ">=", "→": "->", "–": "-", "—": "-", "…": "...", "×": "x", "·": ".", "µ": "u",
    "±": "+-", "₂": "2", "“": '"', "”": '"', "‘": "'", "’": "'", "²": "2",
}  # fmt: skip


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """For ``codecs.register_error``: characters that an encoding has not, in those that all have."""
    assert isinstance(error, UnicodeEncodeError)  # noqa: S101
    missing = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(character, "?") for character in missing), error.end

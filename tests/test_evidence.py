"""The tables in the docs are those of the committed evidence."""

from __future__ import annotations

from tests.evidence.write_docs import PAGE, current


def test_the_docs_show_the_committed_evidence() -> None:
    page = PAGE.read_text()
    assert current(page) == page, "run: python3 -m tests.evidence.write_docs"

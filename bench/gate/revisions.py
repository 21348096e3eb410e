"""What git knows: where a repository is, and which commits are meant."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.errors import InputError, MissingRequirement, shorten

MAIN = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
"""What a branch is held against, the first that there is."""


def root_of(folder: Path) -> Path:
    """The repository that ``folder`` is in.

    Raises:
        InputError: it is in none.
    """
    fault = "this is in no git repository, so that there are no revisions to compare"
    return Path(git(folder, "rev-parse", "--show-toplevel", fault=fault))


def commit_of(repository: Path, revision: str) -> str:
    """The full name of a commit.

    Raises:
        InputError: there is none of that name.
    """
    fault = f"there is no revision {shorten(revision)!r} (a shallow clone has few: fetch it)"
    return git(
        repository,
        "rev-parse",
        "--verify",
        "--end-of-options",
        f"{revision}^{{commit}}",
        fault=fault,
    )


def base_of(repository: Path, head: str) -> str:
    """Where ``head`` left the main branch; on that branch, the commit before.

    Raises:
        InputError: there is neither.
    """
    for name in MAIN:
        if said(repository, "rev-parse", "--verify", "--quiet", name) is not None:
            forked = said(repository, "merge-base", name, head)
            if forked is not None and forked != head:
                return forked
    return commit_of(repository, f"{head}^")


def git(folder: Path, *arguments: str, fault: str | None = None) -> str:
    """What git says.

    Raises:
        InputError: it refuses; ``fault`` or what it says of it.
        MissingRequirement: there is no git.
    """
    code, out, err = _git(folder, *arguments)
    if code:
        raise InputError(fault or f"git {arguments[0]}: {shorten(err, 300)}", where=str(folder))
    return out


def said(folder: Path, *arguments: str) -> str | None:
    """What git says, or ``None`` where it refuses."""
    code, out, _ = _git(folder, *arguments)
    return None if code else out


def _git(folder: Path, *arguments: str) -> tuple[int, str, str]:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise MissingRequirement(
            "A gate of two revisions needs git, which is not installed."
        ) from error
    return done.returncode, done.stdout.strip(), " ".join(done.stderr.split())


def snapshot_of(repository: Path) -> str:
    """A commit of the files as they are, of those that git knows; the branch and the files stay untouched."""
    return git(repository, "stash", "create") or commit_of(repository, "HEAD")

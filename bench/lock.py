"""One owner at a time: a lock that a process holds on a run, and loses however it ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import InputError


@contextmanager
def owned(target: Path) -> Iterator[None]:
    """Hold the run that is, or will be, at ``target``.

    The lock is the kernel's, on a file beside the run (``.NAME.lock``), so that it covers the run
    wherever it is built and ends with its holder. Where a file system knows no locks, there is none.

    Raises:
        InputError: another process holds it, or nothing can be written beside ``target``.
    """
    path = target.with_name(f".{target.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except BlockingIOError as error:
        raise InputError(
            "another process is working on this run", where=str(target),
            todo="Wait for it to end, or choose another folder",
        ) from error  # fmt: skip
    except OSError as error:
        raise InputError(
            f"nothing can be written there ({error.strerror})", where=str(target)
        ) from error
    try:
        yield
    finally:
        _release(descriptor, path)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
            # Its last holder may have removed the file between our opening and locking it.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error

    def _release(descriptor: int, path: Path) -> None:
        os.close(descriptor)
        with contextlib.suppress(OSError):  # a next holder has it open
            path.unlink()

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return

    def _release(descriptor: int, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)

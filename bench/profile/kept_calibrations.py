"""Calibrations that are kept: of this machine for itself, or of a machine with a name for all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.errors import InputError
from bench.hardware import Catalogue
from bench.measure import CALIBRATION_FOLDER, THIS_HOST, Calibration, own_folder
from bench.profile.kept import describe_device, require_device_name, write
from bench.store import read_record, to_json


def place_for(device: str, out: Path | None, catalogue: Catalogue) -> Path:
    """The folder for calibrations of ``device``: ``out``, or where everybody looks for them.

    Raises:
        InputError: a name that cannot be a device's, or a folder that cannot be written to, which
            is better known before anything is measured.
    """
    if device != THIS_HOST:
        require_device_name(device, catalogue)
    kept = own_folder() if device == THIS_HOST else catalogue.kept(device, CALIBRATION_FOLDER)
    folder = out or kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise InputError(
            f"nothing can be written here ({error.strerror})", where=str(folder),
            todo="Name a folder that you may write to: --out FOLDER",
        ) from error  # fmt: skip


def keep_calibration(calibration: Calibration, folder: Path, catalogue: Catalogue) -> Path | None:
    """Keep a calibration in ``folder``; ``None`` where one of the same, with more in it, is there.

    A device with a name is described for scenarios, unless it is known already.

    Raises:
        InputError: it cannot be written.
    """
    path = folder / f"{calibration.runtime}.json"
    if path.is_file() and _says_more(read_record(path, Calibration), calibration):
        return None
    if folder == catalogue.kept(calibration.device, CALIBRATION_FOLDER):
        describe_device(
            calibration.device, calibration.environment, calibration.threads, calibration.as_of,
            catalogue,
        )  # fmt: skip
    write(path, to_json(calibration))
    return path


def _says_more(old: Calibration, new: Calibration) -> bool:
    """Whether an earlier one, of the same machine and software, has more networks."""
    same = (old.device, old.machine, old.version) == (new.device, new.machine, new.version)
    return same and len(old.cells) > len(new.cells)

"""Profiles that were measured on one machine and are kept for use on others.

They lie in ``hardware_profiles/measured/DEVICE/TASK``, and a file in ``hardware_profiles/devices``
says what DEVICE is, so that scenarios can name it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from bench.errors import InputError
from bench.hardware import Catalogue, Device
from bench.profile.profile import Profile, file_name
from bench.store import atomic_write, to_json


def keep(profiles: Sequence[Profile], name: str, catalogue: Catalogue) -> list[Path]:
    """Keep ``profiles``, all of one device, as those of the device ``name``; the files written.

    The device is described from the environment of the measurement unless it is known already.
    An earlier profile of the same arm and task is replaced.

    Raises:
        InputError: a name that cannot be a device's, profiles of several devices, or one whose
            measurement was INVALID.
    """
    _check(profiles, name, catalogue)
    first = profiles[0]
    describe_device(name, first.environment, first.threads, first.origin.as_of, catalogue)
    written = []
    for profile in profiles:
        renamed = profile.model_copy(
            update={"device": name, "arm": f"{profile.arm.rpartition('@')[0]}@{name}"}
        )
        path = catalogue.kept(name, Path(profile.task).stem) / file_name(renamed.arm)
        write(path, to_json(renamed))
        written.append(path)
    return written


def describe_device(
    name: str, seen: Mapping[str, Any], threads: int, as_of: str | None, catalogue: Catalogue
) -> None:
    """Write the file of the device ``name``, from what a measurement saw, unless it is known."""
    if name not in catalogue.devices:
        path = catalogue.folder / "devices" / f"{name}.yaml"
        write(path, _described(name, seen, threads, as_of))


def require_device_name(name: str, catalogue: Catalogue) -> None:
    """Refuse what cannot be the name of a machine elsewhere.

    Raises:
        InputError: it is none, or means the machine at hand.
    """
    if not re.fullmatch(r"[a-z0-9]+([.-][a-z0-9]+)*", name):
        raise InputError(
            f"{name!r} cannot be the name of a device", where="--as",
            allowed="small letters, digits, points and hyphens: nvidia-h200",
        )  # fmt: skip
    if name in catalogue.devices and catalogue.devices[name].here:
        raise InputError(
            f"{name} means whichever machine the program runs on", where="--as",
            todo="Name the machine: nvidia-h200, epyc-9355-16-cores",
        )  # fmt: skip


def _check(profiles: Sequence[Profile], name: str, catalogue: Catalogue) -> None:
    require_device_name(name, catalogue)
    if len(devices := sorted({profile.device for profile in profiles})) > 1:
        raise InputError(
            "the profiles are of several devices", where="--device", allowed=", ".join(devices),
            todo="Choose whose to keep",
        )  # fmt: skip
    for profile in profiles:
        if profile.status == "invalid":
            raise InputError(
                f"{profile.arm} is INVALID and cannot be kept: {profile.status_reason}",
                todo="Measure again",
            )


def _described(name: str, seen: Mapping[str, Any], threads: int, as_of: str | None) -> str:
    """The device file, from what the measurement saw of the machine."""
    host = f"{seen.get('cpu')}, {seen.get('cores_logical')} logical cores"
    gpu = seen.get("gpu")
    title = f"{gpu['gpu']} in a machine with {host}" if isinstance(gpu, dict) else host
    device = Device(
        schema_version=1,
        name=name,
        title=title,
        threads=threads,
        note=f"Measured on {as_of}; the records say with what software.",
    )
    return yaml.safe_dump(device.model_dump(), sort_keys=False, allow_unicode=True, width=1000)


def write(path: Path, text: str) -> None:
    """Write a file of the catalogue, whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=str(path),
            todo="Point BENCH_DATA to a folder of your own with scenarios and hardware_profiles",
        ) from error  # fmt: skip

"""What there is to choose from here: extensions, the catalogue, scenarios, sensors."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from bench import extensions
from bench.errors import UnknownName
from bench.folders import data_folder
from bench.hardware import Catalogue

LISTABLE = ("backends", "tasks", "devices", "offers", "scenarios", "sensors")


def listing(what: str) -> dict[str, str]:
    """Names of one of :data:`LISTABLE`, each with a word on it.

    Raises:
        UnknownName: there is no such list.
    """
    if what not in LISTABLE:
        raise UnknownName("list", what, LISTABLE)
    if what == "backends":
        folder = "bench.measure.backends"
        return {
            name: f"needs {reason}" if reason else "ready"
            for name in extensions.names(folder)
            for reason in [extensions.load(folder, name).missing()]
        }
    if what == "tasks":
        folder = "bench.measure.tasks"
        return {
            name: (extensions.load(folder, name).__doc__ or "").splitlines()[0]
            for name in extensions.names(folder)
        }
    if what == "sensors":
        folder = "bench.measure.power"
        found = {name: extensions.load(folder, name).find() for name in extensions.names(folder)}
        return {
            name: s if isinstance(s, str) else f"ready ({s.source})" for name, s in found.items()
        }
    if what == "devices":
        return {name: d.title for name, d in Catalogue().devices.items()}
    if what == "offers":
        return {name: o.machine.title for name, o in Catalogue().offers.items()}
    paths = sorted(data_folder("scenarios").rglob("*.yaml"))
    return {str(path): "" for path in paths}


def conflicts() -> list[str]:
    """Packages that must not be installed side by side, and are."""
    found = []
    for package in ("onnxruntime", "onnxruntime-gpu"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    if len(found) < 2:
        return []
    return [f"{' and '.join(found)} install the same module; uninstall both, then install one."]

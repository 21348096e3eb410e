"""The machine and the software a measurement was made with. Never raises."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.measure import limits
from bench.measure.power import nvml

PACKAGES = (
    "inference-testbed", "ai-edge-litert", "cuda-python", "monai", "nncf", "numpy", "nvidia-ml-py",
    "onnx", "onnxruntime", "onnxruntime-gpu", "openvino", "pillow", "psutil", "scikit-learn",
    "tensorrt", "torch", "transformers", "triton",
)  # fmt: skip
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "KMP_AFFINITY", "KMP_BLOCKTIME", "GOMP_CPU_AFFINITY", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
CPU = Path("/sys/devices/system/cpu")
CGROUP = limits.ROOT


def describe() -> dict[str, Any]:
    """Facts by name; ``None`` where the system does not tell."""
    facts: dict[str, Callable[[], Any]] = {
        "cpu": _cpu_model,
        "cores_logical": psutil.cpu_count,
        "cores_physical": lambda: psutil.cpu_count(logical=False),
        "affinity": lambda: sorted(os.sched_getaffinity(0)),
        "simultaneous_multithreading": lambda: bool(int(_text(CPU / "smt/active"))),
        "frequency_mhz": _frequency_mhz,
        "governor": lambda: _text(CPU / "cpu0/cpufreq/scaling_governor"),
        "last_level_cache_bytes": last_level_cache_bytes,
        "memory_bytes": lambda: psutil.virtual_memory().total,
        "memory_available_bytes": lambda: psutil.virtual_memory().available,
        "load_average": lambda: [round(x, 2) for x in os.getloadavg()],
        "virtual_machine": lambda: " hypervisor" in _text(Path("/proc/cpuinfo")),
        "container": _container,
        "cpu_limit_cores": lambda: limits.cpu_limit_cores(root=CGROUP),
        "memory_limit_bytes": lambda: limits.memory_limit_bytes(root=CGROUP),
        "gpu": lambda: nvml.state() or None,
        "variables": lambda: {n: os.environ[n] for n in THREAD_VARIABLES if n in os.environ},
        "system": platform.platform,
        "python": platform.python_version,
        "packages": lambda: {n: v for n in PACKAGES if (v := _version(n))},
    }
    return {name: _told(fact) for name, fact in facts.items()}


def _told(fact: Callable[[], Any]) -> Any:
    """What a fact is, or ``None``: a system without it must not cost the measurement."""
    try:
        return fact()
    except Exception:
        return None


def last_level_cache_bytes() -> int | None:
    """Size of the first core's largest cache, or ``None`` where the system does not tell."""
    caches = {
        int(_text(folder / "level")): _text(folder / "size")
        for folder in (CPU / "cpu0/cache").glob("index*")
    }
    if not caches:
        return None
    size = caches[max(caches)]
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    return int(size.rstrip("KMG")) * units.get(size[-1], 1)


def _cpu_model() -> str | None:
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def _frequency_mhz() -> dict[str, float]:
    now = psutil.cpu_freq()
    return {"current": round(now.current), "lowest": round(now.min), "highest": round(now.max)}


def _container() -> str | None:
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return "kubernetes"
    marks = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
    return next((name for mark, name in marks.items() if Path(mark).exists()), None)


def _text(path: Path) -> str:
    return path.read_text().strip()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

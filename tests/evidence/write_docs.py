"""Tables in ``docs/measurement.md``, from the JSON in ``docs/evidence``."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.evidence.record import FOLDER

PAGE = FOLDER.parent / "measurement.md"


def document(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())  # type: ignore[no-any-return]


def tables() -> dict[str, str]:
    """Every table by its marker, for the evidence that is there."""
    made = {
        "parity": _parity,
        "precision": _precision,
        "training": _training,
        "peers": _peers,
        "gpu": _gpu,
    }
    return {
        name: make(document(name))
        for name, make in made.items()
        if (FOLDER / f"{name}.json").is_file()
    }


def current(page: str) -> str:
    """The page with every table as the evidence has it."""
    for name, table in tables().items():
        block = f"<!-- {name} -->\n{table}\n<!-- /{name} -->"
        page = re.sub(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, page, flags=re.DOTALL)  # noqa: B023
    return page


def _parity(evidence: dict[str, Any]) -> str:
    lines = [
        "| task | backend | raw outputs apart (relative) | answers alike | accuracy | one request |",
        "|---|---|---|---|---|---|",
    ]
    for suite in evidence["figures"]["suites"]:
        for row in suite["rows"]:
            accuracy = ", ".join(f"{name} {value:g}" for name, value in row["accuracy"].items())
            lines.append(
                f"| {suite['suite']} | `{_backend(row)}` | {row['relative_error']:.1e} "
                f"| {row['agreement']:.1%} | {accuracy} | {row['service_ms']['1']:.2f} ms |"
            )
    return "\n".join([*lines, "", _made(evidence)])


def _precision(evidence: dict[str, Any]) -> str:
    lines = [
        "| variant | answers alike | character error rate | one request | four at once |",
        "|---|---|---|---|---|",
    ]
    for row in evidence["figures"]["suites"][0]["rows"]:
        lines.append(
            f"| `{_backend(row)}` | {row['agreement']:.1%} "
            f"| {row['accuracy']['character_error_rate']:.2%} "
            f"| {row['service_ms']['1']:.2f} ms | {row['service_ms']['4']:.2f} ms |"
        )
    return "\n".join([*lines, "", _made(evidence)])


def _training(evidence: dict[str, Any]) -> str:
    lines = [
        "| step | one sentence | four sentences | peak memory | energy |",
        "|---|---|---|---|---|",
    ]
    for row in evidence["figures"]["suites"][0]["rows"]:
        step = "training" if "step=training" in row["arm"] else "inference"
        energy = "no sensor" if row["energy_j"] is None else f"{row['energy_j']:.3g} J"
        lines.append(
            f"| {step} | {row['service_ms']['1']:.2f} ms | {row['service_ms']['4']:.2f} ms "
            f"| {row['memory_mb']} MB | {energy} |"
        )
    return "\n".join([*lines, "", _made(evidence)])


def _peers(evidence: dict[str, Any]) -> str:
    figures = evidence["figures"]
    bare, null = figures["onnxruntime_bare_loop"], figures["open_loop_null_backend"]
    lines = [
        "| against | latency, ours ÷ theirs | throughput, ours ÷ theirs |",
        "|---|---|---|",
        *(
            f"| {title} | {figures[name]['latency_ratio']:.3f} | {figures[name]['throughput_ratio']:.3f} |"
            for name, title in (
                ("openvino_benchmark_app", "OpenVINO's `benchmark_app`"),
                ("litert_benchmark", "LiteRT's `litert-benchmark`"),
            )
        ),
        *(
            f"| a bare loop around ONNX Runtime, {name} | {row['difference_us']:+.1f} µs a request "
            f"(two bare loops: {row['two_bare_loops_us']:+.1f} µs) | |"
            for name, row in bare.items()
        ),
        "",
        "| open loop on a backend of no time | p50 | p99 | sends over 1 ms late |",
        "|---|---|---|---|",
        *(
            f"| {rate} | {row['p50_us']:.0f} µs | {row['p99_us']:.0f} µs | {row['late_share']:.2%} |"
            for rate, row in null["rates"].items()
        ),
        "",
        f"The self-test keeps up to {null['sustained_per_s']} requests/s: at most 1 % of the sends late, "
        "and a null p99 of at most 5 ms, which is 5 % of a reported p99 of 100 ms.",
    ]
    return "\n".join([*lines, "", _made(evidence)])


def _gpu(evidence: dict[str, Any]) -> str:
    lines = [
        "| suite | backend | verdict | one request | all at once | power | energy |",
        "|---|---|---|---|---|---|---|",
    ]
    for suite in evidence["figures"]["suites"]:
        for row in suite["rows"]:
            one = f"{row['service_ms']['1']:.2f} ms" if "1" in row["service_ms"] else "–"
            rate = "–" if row["throughput"] is None else f"{row['throughput']:.0f}/s"
            power = "no sensor" if row["mean_w"] is None else f"{row['mean_w']:.0f} W"
            energy = "–" if row["energy_j"] is None else f"{row['energy_j']:.3g} J"
            lines.append(
                f"| {suite['suite']} | `{_backend(row)}` | {row['status']} | {one} | {rate} "
                f"| {power} | {energy} |"
            )
    gpu = evidence["environment"]["gpu"] or {}
    place = f"{evidence['figures']['device']}, driver {gpu.get('driver')}"
    return "\n".join([*lines, "", f"Measured {evidence['made'][:10]} on {place}."])


def _backend(row: dict[str, Any]) -> str:
    return str(row["arm"]).partition("@")[0]


def _made(evidence: dict[str, Any]) -> str:
    place = evidence["environment"]
    return f"Measured {evidence['made'][:10]} on {place['cpu']}, {place['cores_logical']} cores."


if __name__ == "__main__":
    PAGE.write_text(current(PAGE.read_text()))

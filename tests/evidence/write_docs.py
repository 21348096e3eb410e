"""Tables in the pages of ``docs``, from the JSON in ``docs/evidence``."""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from typing import Any

from tests.evidence.record import FOLDER

PAGES = [
    FOLDER.parent / name
    for name in (
        "measurement.md",
        "simulation.md",
        "projection.md",
        "planning.md",
        "fidelity.md",
        "gate.md",
    )
]


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
        "speed": _speed,
        "plan": _plan,
        "fidelity": _fidelity,
        "fidelity-without": _fidelity_without,
        "planted": _planted,
        "gate": _gate,
        "gate-found": _gate_found,
        "gate-tail": _gate_tail,
        "gate_live": _gate_live,
        "mlserver": _mlserver,
        "projection": _projection,
        "projection-kinds": _projection_kinds,
        "projection-devices": _projection_devices,
        "projection-before": _projection_before,
    }
    # A session may have several tables: what stands before the dash is the session's name.
    return {
        name: make(document(session))
        for name, make in made.items()
        if (FOLDER / f"{(session := name.partition('-')[0])}.json").is_file()
    }


def current(page: str) -> str:
    """The page with every table as the evidence has it."""
    for name, table in tables().items():
        block = f"<!-- {name} -->\n{table}\n<!-- /{name} -->"
        page = re.sub(f"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, page, flags=re.DOTALL)  # noqa: B023
    return page


def _fidelity(evidence: dict[str, Any]) -> str:
    lines = _beside(evidence)
    drifts = [
        f"{name}: {session['drift']:.1%}"
        for name, session in evidence["figures"]["sessions"].items()
    ]
    levels = [
        {compared["figure"]: compared for compared in level["compared"]}
        for session in evidence["figures"]["sessions"].values()
        for level in session["levels"]
    ]
    means, tails, shares = (
        sum(_is_near(one[figure], most) for one in levels)
        for figure, most in (("mean", 0.05), ("p99", 0.09), ("slo_attainment", 0.016))
    )
    both = sum(_is_near(one["mean"], 0.05) and _is_near(one["p99"], 0.09) for one in levels)
    said = (
        f"No more off than 5 %, or than two live runs differ by: the mean in {means} of {len(levels)} cells. "
        f"Than 9 %, or that: p99 in {tails}; both in {both}. Than 1.6 points, or that: the share within the "
        f"SLO in {shares}. The machine's speed changed from block to block by ({'; '.join(drifts)})."
    )
    return "\n".join([*lines, "", said, "", _made(evidence)])


def _beside(evidence: dict[str, Any]) -> list[str]:
    """Live and simulated, a line for each level of each session."""
    lines = [
        "| model, arrivals | utilisation | mean, live | simulated | error | live/live | p99, live "
        "| simulated | error | live/live | within SLO, error | worst figure |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, session in evidence["figures"]["sessions"].items():
        for level in session["levels"]:
            one = {compared["figure"]: compared for compared in level["compared"]}
            lines.append(
                f"| {name} | {level['level']:g} | {_against(one['mean'])} | {_against(one['p99'])} "
                f"| {100 * one['slo_attainment']['error']['value']:+.1f} pt | {level['verdict']} |"
            )
    return lines


def _mlserver(evidence: dict[str, Any]) -> str:
    sessions = evidence["figures"]["sessions"]
    told = [
        f"{name}: {', '.join(f'{1000 * took:.1f}' for took in one['service_s'].values())} ms for batches of "
        f"1 to {max(map(int, one['service_s']))}, {1000 * one['way_s']:.1f} ms for the way, from "
        f"{one['outside']['waves']:,} waves ({one['outside']['left_out']} left out)"
        for name, one in sessions.items()
    ]
    return "\n".join(
        [*_beside(evidence), "", f"Told from outside: {'; '.join(told)}.", "", _made(evidence)]
    )


def _is_near(one: dict[str, Any], most: float) -> bool:
    return bool(abs(one["error"]["value"]) <= max(most, one["spread"]))


def _against(one: dict[str, Any]) -> str:
    live, simulated = (1000 * one[side]["value"] for side in ("live", "simulated"))
    return (
        f"{live:.1f} ms | {simulated:.1f} ms | {100 * one['error']['value']:+.1f} % "
        f"| {100 * one['spread']:.1f} %"
    )


def _fidelity_without(evidence: dict[str, Any]) -> str:
    sessions = evidence["figures"]["sessions"].values()
    levels = sorted({level for session in sessions for level in session["without"]["nothing"]})
    lines = [
        "| without | " + " | ".join(f"mean at {level}" for level in levels)
        + " | " + " | ".join(f"p99 at {level}" for level in levels) + " |",
        "|---|" + "---|" * 2 * len(levels),
    ]  # fmt: skip
    for name in next(iter(sessions))["without"]:
        cells = [
            statistics.median(abs(session["without"][name][level][figure]) for session in sessions)
            for figure in ("mean", "p99")
            for level in levels
        ]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.1%}" for cell in cells) + " |")
    return "\n".join([*lines, "", "Median over the sessions of |error|."])


def _gate(evidence: dict[str, Any]) -> str:
    lines = [
        "| noise | gates | REGRESSED | at most (95 %) | ever | at most (95 %) | PASS | rounds (9 in 10) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one['gates']:,} | {one['regressed']} | {one['at_most']:.2%} | {one['ever']} | "
        f"{one['ever_at_most']:.2%} | {one['passed'] / one['gates']:.1%} | {one['rounds']:.0f} ({one['rounds_p90']:.0f}) |"
        for name, one in evidence["figures"]["equal"].items()
    ]
    return "\n".join(lines)


def _gate_found(evidence: dict[str, Any]) -> str:
    figures = evidence["figures"]
    effects = list(next(iter(figures["all"].values())))
    lines = [
        "| noise | slower by | " + " | ".join(effects) + " |",
        "|---|---|" + "---|" * len(effects),
    ]
    for kind, said in (("all", "all 8"), ("one", "1 of 8")):
        for name, by_effect in figures[kind].items():
            found = " | ".join(
                f"{one['regressed'] / one['gates']:.1%} in {one['rounds']:.0f}"
                for one in by_effect.values()
            )
            lines.append(f"| {name} | {said} | {found} |")
    return "\n".join(lines)


def _gate_tail(evidence: dict[str, Any]) -> str:
    equal, slower = (evidence["figures"]["tail"][name] for name in ("equal", "slower"))
    return (
        f"A slowdown of the tail only (2 % of 1,000 requests take half as long again, and p50 and p99 are gated): "
        f"{slower['regressed'] / slower['gates']:.1%} found, in {slower['rounds']:.0f} rounds; of equal sides, "
        f"{equal['regressed']} of {equal['gates']} are called REGRESSED, and {equal['passed'] / equal['gates']:.1%} PASS."
    )


def _gate_live(evidence: dict[str, Any]) -> str:
    figures = evidence["figures"]
    rules = list(figures["gates"]["equal"][0]["others"])
    lines = [
        "| sides | gates | p50 as seen | REGRESSED | PASS | INCONCLUSIVE | median | rounds | step named | "
        + " | ".join(f"{rule} alarms" for rule in rules)
        + " |",
        "|---|---|---|---|---|---|---|---|---|" + "---|" * len(rules),
    ]
    for kind, gates in figures["gates"].items():
        if not gates:
            continue
        verdicts = Counter(gate["verdict"] for gate in gates)
        named = sum(
            gate["step"] == "preprocess step" and gate["verdict"] == "REGRESSED" for gate in gates
        )
        alarms = ([alarm for gate in gates for alarm in gate["others"][rule]] for rule in rules)
        lines.append(
            f"| {kind} | {len(gates)} | {statistics.median(gate['effect'] for gate in gates):+.1%} | "
            f"{verdicts['REGRESSED']} | {verdicts['PASS'] + verdicts['IMPROVED']} | "
            f"{verdicts['INCONCLUSIVE']} | {statistics.median(gate['seconds'] for gate in gates):.0f} s | "
            f"{statistics.median(gate['rounds'] for gate in gates):.0f} | {named} | "
            + " | ".join(f"{sum(of)} of {len(of)}" for of in alarms)
            + " |"
        )
    return "\n".join([*lines, "", _made(evidence)])


def _planted(evidence: dict[str, Any]) -> str:
    lines = [
        "| minutes | on | planted | sessions that say OFF | most often named |",
        "|---|---|---|---|---|",
    ]
    for minutes, made in evidence["figures"].items():
        for name, sessions in made["off"].items():
            if not sessions:
                continue
            named = Counter(figure for found in sessions for figure in found)
            most = ", ".join(f"{figure} ({count})" for figure, count in named.most_common(2))
            count = f"{sum(map(bool, sessions))} of {len(sessions)}"
            lines.append(f"| {minutes} | {made['cpu']} | {name} | {count} | {most or '–'} |")
    return "\n".join(lines)


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


def _speed(evidence: dict[str, Any]) -> str:
    figures = evidence["figures"]
    standard, month, start, sweep = (figures[n] for n in ("standard", "month", "start", "sweep"))
    by_name = {one["name"]: one for one in figures["benchmarks"]}
    fleet = by_name["test_a_day_of_ten_thousand_devices"]
    customers = figures["m_m_1"]
    rows = [
        ("standard deployment, `fast`", f"{standard['fast'] / 1e6:.1f} million requests/s"),
        (
            "standard deployment, `reference`",
            f"{standard['reference'] / 1e3:.1f} thousand requests/s",
        ),
        ("`fast` ÷ `reference`", f"{standard['ratio']}"),
        (
            f"a month of it, {month['requests'] / 1e9:.2f} billion requests",
            f"{month['seconds'] / 60:.1f} min, {month['peak_memory_mib']} MiB at most",
        ),
        (
            f"a day of 10,000 devices, {fleet['requests'] / 1e6:.1f} million requests",
            f"{fleet['median_s']:.1f} s",
        ),
        ("M/M/1, `fast`", f"{customers['fast'] / 1e6:.1f} million customers/s"),
        ("M/M/1, SimPy by hand", f"{customers['simpy'] / 1e3:.0f} thousand customers/s"),
        ("M/M/1, Ciw", f"{customers['ciw'] / 1e3:.0f} thousand customers/s"),
        ("start of Python to a first result, compiled before", f"{start['warm_s']:.1f} s"),
        ("the same, nothing compiled", f"{start['cold_s']:.0f} s"),
        (
            f"sweep of {sweep['points']} points, two processes against one",
            f"{sweep['two_s']:.0f} s against {sweep['one_s']:.0f} s: {sweep['speed_up']:.2f} times",
        ),
    ]
    lines = ["| what | how fast |", "|---|---|", *(f"| {what} | {fast} |" for what, fast in rows)]
    growth = (
        ("requests", "hours", "hours of 1,000/s"),
        ("replicas", "replicas", "replicas, 14.4 million requests"),
        ("control_events", "control_events", "autoscaler ticks a day, 3.6 million requests"),
        ("devices", "devices", "devices, 8.6 million requests a day in all"),
    )
    lines += ["", "| growth with | | | | | |", "|---|---|---|---|---|---|"]
    for name, key, title in growth:
        found = [
            one
            for one in figures["benchmarks"]
            if one["name"].startswith(f"test_growth_with_{name}")
        ]
        cells = [f"{one[key]:,g}: {one['median_s']:.2f} s" for one in found]
        lines.append(f"| {title} | {' | '.join([*cells, ''][:5] if len(cells) < 5 else cells)} |")
    return "\n".join([*lines, "", _made(evidence)])


def _plan(evidence: dict[str, Any]) -> str:
    whole, reduced = evidence["figures"]["whole"], evidence["figures"]["reduced"]
    same = "the same" if reduced["same_optimum"] and reduced["same_front"] else "NOT the same"
    lines = [
        "| | candidates | simulated | judged | seconds |",
        "|---|---|---|---|---|",
        f"| the quickstart, `bench plan` from start to end | {whole['candidates']:,} "
        f"| {whole['simulated']} | {whole['judged']} | {whole['seconds']:.0f} |",
        f"| a part of it, pruned | {reduced['candidates']:,} | {reduced['simulated']['pruned']} | "
        f"| {reduced['seconds']['pruned']:.0f} |",
        f"| the same part, every candidate simulated | {reduced['candidates']:,} "
        f"| {reduced['simulated']['exhaustive']} | | {reduced['seconds']['exhaustive']:.0f} |",
        "",
        f"Both searches of the part found {same} optimum and front (points of it: {reduced['front']}).",
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


QUESTIONS = {
    "new": "a network of a family nobody published there, 12 or more others there",
    "few": "a network left out, fewer others there",
    "elsewhere": "a cell missing: the network elsewhere, others there",
    "measured": "as the first, and its time on one other machine",
    "data sheet": "a device, known by its data sheet",
}
REGIMES = {"many": "throughput", "one": "batch-1 latency"}


def _projection(evidence: dict[str, Any]) -> str:
    found = evidence["figures"]
    lines = [_HELD_OUT_HEAD.format("known"), _HELD_OUT_RULE]
    rows = {(row["question"], row["regime"]): row for row in found["all"]}
    for question, title in QUESTIONS.items():
        for regime, figure in REGIMES.items():
            lines.append(f"| {title} | {figure} {_held_out(rows[question, regime])}")
    for row in found["measured"]:
        pair = "between GPUs" if row["between"] == "gpu" else "between other machines, or kinds"
        lines.append(f"| measured on one other machine, {pair} | both {_held_out(row)}")
    return "\n".join([*lines, "", _made(evidence, "Worked out")])


_HELD_OUT_HEAD = (
    "| {} | figure | answers (devices) | median error | quartiles | in the 90 % interval |"
)
_HELD_OUT_RULE = "|---|---|---|---|---|---|"


def _held_out(row: dict[str, Any]) -> str:
    within = "–" if row["coverage"] is None else f"{row['coverage']:.0%}"
    return (
        f"| {row['cells']:,} ({row['devices']}) | {row['median']:.1%} "
        f"| {row['lower']:.1%} – {row['upper']:.1%} | {within} |"
    )


def _projection_kinds(evidence: dict[str, Any]) -> str:
    lines = [_HELD_OUT_HEAD.format("question, kind of processor"), _HELD_OUT_RULE]
    for row in evidence["figures"]["held_out"]:
        lines.append(
            f"| {row['question']}, {row['part'].upper()} | {REGIMES[row['regime']]} {_held_out(row)}"
        )
    return "\n".join(lines)


def _projection_devices(evidence: dict[str, Any]) -> str:
    lines = ["| device | figure | networks | median error |", "|---|---|---|---|"]
    for row in evidence["figures"]["by_device"]:
        lines.append(
            f"| `{row['device']}` | {REGIMES[row['regime']]} | {row['cells']:,} | {row['median']:.1%} |"
        )
    return "\n".join(lines)


def _projection_before(evidence: dict[str, Any]) -> str:
    lines = [
        "| model, left out | figure | devices | median error | before |",
        "|---|---|---|---|---|",
    ]
    for row in evidence["figures"]["benchmark"]:
        before = "refused" if row["before"] is None else f"{row['before']:.0%}"
        figure = {"throughput": "throughput", "latency": "batch-1 latency"}[row["quantity"]]
        lines.append(
            f"| {row['model']} | {figure} | {row['devices']} | {row['median']:.0%} | {before} |"
        )
    return "\n".join(lines)


def _backend(row: dict[str, Any]) -> str:
    return str(row["arm"]).partition("@")[0]


def _made(evidence: dict[str, Any], how: str = "Measured") -> str:
    place = evidence["environment"]
    return f"{how} {evidence['made'][:10]} on {place['cpu']}, {place['cores_logical']} cores."


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(current(page.read_text()))

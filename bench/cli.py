"""The command line: with ``console`` and ``finished``, what prints, and the only module that exits."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
import typer.core

from bench import __version__
from bench.console import (
    prepare_streams,
    print_json,
    print_table,
    prints_aside,
    progress,
    say,
    write,
)
from bench.errors import (
    FAULT,
    MISSED,
    BenchError,
    InputError,
    Interrupted,
    MeasurementInvalid,
    OutputClosed,
    UnknownName,
    WorkerLost,
    shorten,
)
from bench.extensions import own_fault
from bench.finished import (
    calibration_summary,
    offer_calibration,
    offer_validation,
    summary_of,
    tell,
    tell_calibration,
    tell_measurement,
    tell_projection,
    tell_trend,
)
from bench.folders import new_folder
from bench.secrets import masked

if TYPE_CHECKING:
    from bench.compare import Comparison
    from bench.gate import Judgement
    from bench.prepare import Settings
    from bench.recorded import Recorded
    from bench.simulate import Simulation
    from bench.store import Run


class _Commands(typer.core.TyperGroup):
    """Ctrl-C becomes an error like any other, before Typer turns it into a silent exit."""

    def invoke(self, ctx: Any) -> Any:
        try:
            value = super().invoke(ctx)
            say("", end="")  # what is still held back is printed here, or complained of
            return value
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted; a run that had begun is marked incomplete, and "
                "`bench run --resume FOLDER` goes on with it."
            ) from None


app = typer.Typer(
    name="bench",
    cls=_Commands,
    help="Measure a real model once, then compare every way of deploying it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random stream.")]
Out = Annotated[
    Path | None, typer.Option(help="Folder of the run. [default: a new one in reports/]")
]
Engine = Annotated[str, typer.Option(help="local, inline, or tcp://HOST:PORT of a Dask scheduler.")]
MeasureEngine = Annotated[
    str, typer.Option(help="local (fresh processes), or inline (this process, for debuggers).")
]
Method = Annotated[
    str, typer.Option(help="fast (compiled), or reference (every request a SimPy process).")
]
Budget = Annotated[str | None, typer.Option(help="smoke, gate, standard or official.")]
OverrideFile = Annotated[
    Path | None,
    typer.Option(
        "--overrides",
        help="Negotiated prices and local inputs. [default: overrides.yaml in hardware_profiles]",
    ),
]
Input = Annotated[Path | None, typer.Option(help="A folder of your own inputs.")]
ScenarioFile = Annotated[Path, typer.Argument(help="A scenario file.")]
ProfilesKept = Annotated[
    Path | None,
    typer.Option(
        "--profiles", help="A folder of profiles, or a run with one. [default: those kept]"
    ),
]
AllowCode = Annotated[
    list[Path],
    typer.Option(help="A Python file that the run's records name, and may run; repeatable."),
]

# How a recording is read; each is an option of a trace, and means what it means there.
Column = Annotated[str | None, typer.Option(metavar="FIELD", help="With the time.")]
Sizes = Annotated[str | None, typer.Option(metavar="FIELD", help="With the sizes.")]
Took = Annotated[str | None, typer.Option(metavar="FIELD", help="With the response times.")]
Status = Annotated[str | None, typer.Option(metavar="FIELD", help="With the HTTP status.")]
Form = Annotated[str, typer.Option(help="Which it is in; auto: what it looks like.")]
TimeUnit = Annotated[str | None, typer.Option(help="s, ms, us or ns, of numbers.")]
StampOf = Annotated[str | None, typer.Option(help="Whether the time is the start, or the end.")]
Spread = Annotated[str | None, typer.Option(help="Within whole seconds: random, even or none.")]
OnlyPath = Annotated[str | None, typer.Option(help="Only requests to it, or as /v2/* to such.")]
Only = Annotated[
    list[str], typer.Option(metavar="FIELD=VALUE", help="Only such lines; repeatable.")
]
Failed = Annotated[bool, typer.Option("--failed", help="With those of status 400 and above.")]
TimeOfDay = Annotated[
    bool | None, typer.Option(help="Whether requests keep it. [default: where there are dates]")
]
Resampled = Annotated[str | None, typer.Option(help="Resample to this mean rate, as 5/s.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    if version:
        say(f"bench {__version__}")
        raise typer.Exit


@app.command()
def run(
    scenarios: Annotated[list[Path], typer.Argument(help="Scenario files.")] = [],  # noqa: B006
    out: Out = None,
    budget: Budget = None,
    engine: Engine = "local",
    resume: Annotated[Path | None, typer.Option(help="Go on with this incomplete run.")] = None,
    allow_code: AllowCode = [],  # noqa: B006
    overrides: OverrideFile = None,
    seed: Seed = 1,
    input: Input = None,  # noqa: A002
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if no deployment meets the objective.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure, simulate, cost, compare and report."""
    from bench import pipeline

    settings = _settings(
        seed, budget, engine, input, overrides=overrides, allow_code=tuple(allow_code)
    )
    if (resume is None) == (not scenarios):
        raise InputError("give scenario files, or --resume with a run", where="bench run")
    if out is not None and len(scenarios) > 1:
        raise InputError(
            "one folder cannot hold several runs", where="--out", allowed="one scenario"
        )
    if resume is not None and (out, budget, input, overrides, seed) != (None, None, None, None, 1):
        raise InputError(
            "a run goes on to what it was asked for",
            where="--resume",
            allowed="--allow-code, --engine, --strict, --json and --quiet beside it",
        )
    runs = []
    with progress(quiet or as_json) as notify:
        if resume is not None:
            runs.append(pipeline.resume(resume, settings, notify))
        for scenario in scenarios:
            runs.append(pipeline.run(scenario, out or new_folder(scenario.stem), settings, notify))
    summaries = [summary_of(run) for run in runs]
    if as_json:
        print_json(summaries[0] if len(summaries) == 1 else summaries)
    elif not quiet:
        for run_ in runs:
            tell(run_)
        for scenario, run_ in zip(scenarios, runs, strict=False):
            offer_validation(scenario, run_)
            offer_calibration(run_)
    for run_ in runs:
        _exit_if_invalid(run_)
    if strict and not all(summary.get("objective_met", True) for summary in summaries):
        raise typer.Exit(MISSED)


@app.command()
def measure(
    scenario: ScenarioFile,
    out: Out = None,
    budget: Budget = None,
    backend: Annotated[list[str], typer.Option(help="Only this backend; repeatable.")] = [],  # noqa: B006
    device: Annotated[list[str], typer.Option(help="Only this device; repeatable.")] = [],  # noqa: B006
    engine: MeasureEngine = "local",
    seed: Seed = 1,
    input: Input = None,  # noqa: A002
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure only: records, raw times and profiles."""
    from bench import pipeline

    settings = _settings(seed, budget, engine, input, tuple(backend), tuple(device))
    with progress(quiet or as_json) as notify:
        done, measurement = pipeline.measure_only(
            scenario, out or new_folder(scenario.stem), settings, notify
        )
    if as_json:
        print_json({**measurement.model_dump(mode="json"), "run": str(done.path)})
    elif not quiet:
        tell_measurement(done, measurement)
    _exit_if_invalid(done)


@app.command()
def simulate(
    scenario: ScenarioFile,
    profiles: ProfilesKept = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a run folder, with the sweep and the report.")
    ] = None,
    method: Method = "fast",
    engine: Engine = "local",
    overrides: OverrideFile = None,
    seed: Seed = 1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate, cost and compare from profiles that were measured before."""
    from bench.report.terminal import ranking_table

    settings = _settings(seed, None, engine, None, method=method, overrides=overrides)
    found = _simulated(scenario, profiles, out, settings, quiet or as_json)
    if as_json:
        print_json(found.document)
    elif not quiet:
        print_table(ranking_table(found.comparison))
        say(f"\n{found.verdict}")


@app.command()
def replay(
    scenario: ScenarioFile,
    trace: Annotated[Path, typer.Option(help="A log or a table of requests, packed (.gz) or not.")],
    form: Form = "auto",
    column: Column = None,
    unit: TimeUnit = None,
    sizes: Sizes = None,
    response: Took = None,
    response_unit: TimeUnit = None,
    stamp: StampOf = None,
    spread: Spread = None,
    path: OnlyPath = None,
    only: Only = [],  # noqa: B006
    status: Status = None,
    failed: Failed = False,
    time_of_day: TimeOfDay = None,
    rate: Resampled = None,
    deployment: Annotated[str | None, typer.Option(help="Only this one. [default: all]")] = None,
    profiles: ProfilesKept = None,
    out: Annotated[Path | None, typer.Option(help="Write a run folder, with the report.")] = None,
    method: Method = "fast",
    engine: Engine = "local",
    overrides: OverrideFile = None,
    seed: Seed = 1,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Simulate a scenario with the requests that some service has recorded."""
    from bench.report.terminal import ranking_table, response_table

    written = {
        "file": str(trace.resolve()), "form": form, "column": column, "unit": unit, "sizes": sizes,
        "response": response, "response_unit": response_unit, "stamp": stamp, "spread": spread,
        "path": path, "only": _fields(only), "status": status, "failed": failed,
        "time_of_day": time_of_day, "rate": rate,
    }  # fmt: skip
    settings = replace(
        _settings(seed, None, engine, None, method=method, overrides=overrides),
        recording={name: value for name, value in written.items() if value is not None},
        deployment=deployment,
    )
    said = _recorded(scenario, settings)
    found = _simulated(scenario, profiles, out, settings, quiet or as_json)
    if as_json:
        print_json({**found.document, "recorded": said.model_dump(mode="json")})
    elif not quiet:
        say(f"{said.in_words}\n")
        print_table(ranking_table(found.comparison))
        simulated = {one.deployment: one.response_s for one in found.simulation.deployments}
        say("\nresponse times, of the service that was recorded and of those simulated")
        print_table(response_table({"as recorded": said.response_s} | simulated))
        say(f"\n{found.verdict}")


@app.command()
def plan(
    scenario: ScenarioFile,
    profiles: Annotated[
        Path | None,
        typer.Option(help="A folder of profiles, or a run with one. [default: measure now]"),
    ] = None,
    out: Out = None,
    budget: Budget = None,
    engine: Engine = "local",
    overrides: OverrideFile = None,
    seed: Seed = 1,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if no deployment meets the objective.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search offers, batching and scaling for the cheapest deployments that meet the objective."""
    from bench import gather, pipeline

    settings = _settings(seed, budget, engine, None, overrides=overrides)
    known = gather.load_profiles(profiles) if profiles else None
    with progress(quiet or as_json) as notify:
        done, found = pipeline.plan(
            scenario, known, out or new_folder(scenario.stem, "plan"), settings, notify
        )
    if as_json:
        print_json(summary_of(done))
    elif not quiet:
        tell(done)
        offer_calibration(done)
    _exit_if_invalid(done)
    if strict and not found.objective_met:
        raise typer.Exit(MISSED)


@app.command()
def serve(
    scenario: ScenarioFile,
    deployment: Annotated[str, typer.Option(help="Which of its deployments.")],
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    replicas: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="[default: what its scaling keeps at the least]"),
    ] = None,
    input: Input = None,  # noqa: A002
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Answer real requests with the batching and the admission of a deployment, until Ctrl-C."""
    from bench.prepare import prepare
    from bench.serve import deployed

    asked = prepare(scenario, _settings(1, None, "local", input))

    def on_ready(address: str, model: str) -> None:
        if as_json:
            print_json({"address": address, "model": model})
        elif not quiet:
            say(f"serving {model!r} at {address}/v2/models/{model}/infer; Ctrl-C ends it")

    deployed.serve(deployed.served_of(asked, deployment, replicas), host, port, on_ready)


@app.command()
def validate(
    scenario: ScenarioFile,
    deployment: Annotated[
        str | None, typer.Option(help="Which of its deployments. [default: the first served here]")
    ] = None,
    levels: Annotated[
        str, typer.Option(help="Utilisations: shares of what it answers when batches are full.")
    ] = "0.3,0.6,0.8",
    minutes: Annotated[float, typer.Option(help="How long the service is asked.")] = 2.5,
    replicas: Annotated[int, typer.Option(min=1, max=256, help="Of the live server.")] = 1,
    out: Out = None,
    seed: Seed = 1,
    input: Input = None,  # noqa: A002
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 if the simulation is off.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Serve a deployment, drive it, simulate the same requests, and say how far off that is."""
    from bench import pipeline
    from bench.validate import session_of

    settings = _settings(seed, None, "local", input)
    session = session_of(deployment, _levels(levels), 60 * minutes, replicas)
    with progress(quiet or as_json) as notify:
        done, found = pipeline.validate(
            scenario, session, out or new_folder(scenario.stem, "validate"), settings, notify
        )
    if as_json:
        print_json(summary_of(done))
    elif not quiet:
        tell(done)
    if strict and found.verdict == "OFF":
        raise typer.Exit(MISSED)


@app.command()
def gate(
    file: Annotated[Path, typer.Argument(help="A gate's file.")],
    base: Annotated[
        str | None,
        typer.Option(help="A git revision. [default: where the other left the main branch]"),
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Held against it. [default: the files as they are]")
    ] = None,
    runs: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="BASE HEAD", help="Two runs that are there, to the last digit."),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="A folder of earlier gates: what changed over them.")
    ] = None,
    floor: Annotated[
        bool, typer.Option("--floor", help="One side twice: what this machine tells from nothing.")
    ] = False,
    minutes: Annotated[
        float | None, typer.Option(min=0.1, max=1440, help="At most. [default: the file's limit]")
    ] = None,
    out: Out = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the coin. [default: drawn]")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold two sides of a program against each other; the exit code is the verdict."""
    from bench import gating
    from bench.gate import Settings, progress_line, require_trend

    def look(judgement: Judgement, seconds: float) -> None:
        if not (as_json or quiet):
            say(progress_line(judgement, seconds), err=True)

    if history is not None:
        require_trend(history)
    coin = secrets.randbits(32) if seed is None else seed
    settings = Settings(base, head, minutes, coin, _command(), equal=floor, runs=runs)
    with progress(quiet or as_json) as notify:
        done, code = gating.play(file, settings, out or new_folder(file.stem, "gate"), look, notify)
    if as_json:
        print_json(summary_of(done))
    elif not quiet:
        tell(done)
    if history is not None and not (as_json or quiet or floor):
        tell_trend(history, done)
    raise typer.Exit(code)


@app.command()
def observe(
    url: Annotated[str, typer.Argument(help="Of a server that is up, as `bench serve` says it.")],
    scenario: Annotated[Path, typer.Option(help="Whose inputs, and whose arrivals.")],
    rate: Annotated[str | None, typer.Option(help="As 5/s. [default: the scenario's own]")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long to ask.")] = 60.0,
    model: Annotated[
        str | None, typer.Option(help="[default: that of the URL, or the scenario's task]")
    ] = None,
    out: Out = None,
    seed: Seed = 1,
    input: Input = None,  # noqa: A002
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Ask a live service what a scenario's sources would, and keep every request's row."""
    from bench import observing

    asked = observing.asking_of(url, scenario, rate, seconds, model)
    settings = _settings(seed, None, "local", input)
    with progress(quiet or as_json) as notify:
        done, found = observing.observe(
            scenario, asked, out or new_folder(scenario.stem, "observe"), settings, notify
        )
    if as_json:
        print_json(summary_of(done))
    elif not quiet:
        tell(done)
    if found.interrupted:
        raise Interrupted(f"interrupted; what was answered by then is in {done.path}.")


def _levels(text: str) -> list[float]:
    try:
        found = [float(one) for one in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < one <= 2 for one in found) or len(set(found)) < len(found):
        raise InputError(
            f"{text!r} is no list of utilisations", where="--levels",
            allowed="numbers above 0 and up to 2, each once, as 0.3,0.6,0.8",
        )  # fmt: skip
    return found


@app.command()
def prices(
    out: Annotated[
        Path | None, typer.Option(help="Write the patch here. [default: print it]")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare the catalogue with live prices, and make a patch of what differs, to be reviewed."""
    from bench import gather
    from bench.store import atomic_write

    seen, patch = gather.live_prices()
    if out is not None:
        with atomic_write(out) as file:
            file.write(patch.encode())
    if as_json:
        print_json({**seen.model_dump(mode="json"), "patch": patch})
    elif not quiet:
        for change in seen.changes:
            if change.jump:
                say(f"more than twofold: {change.offer} {change.old} → {change.new}", err=True)
        for provider, why in seen.failed.items():
            say(f"left as it is: {provider}: {why}", err=True)
        for row in seen.rejected:
            say(f"rejected: {row.row} ({row.offer}): {row.reason}", err=True)
        say(
            f"{len(seen.changes)} prices seen, {len(seen.rejected)} rows rejected, "
            f"{len(seen.unseen)} offers not among them.",
            err=True,
        )
        say(out or patch)


@app.command()
def trace(
    folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    deployment: Annotated[str, typer.Option(help="Whose events.")],
    start: Annotated[str, typer.Option(help="Time of day of the first request.")] = "12:00",
    length: Annotated[str, typer.Option(help="How long requests are followed.")] = "60 s",
    out: Annotated[Path | None, typer.Option(help="[default: trace.json in the run]")] = None,
    allow_code: AllowCode = [],  # noqa: B006
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Every event of a simulated minute, for Perfetto (ui.perfetto.dev) or chrome://tracing."""
    from bench import days
    from bench.store import atomic_write
    from bench.units import parse, parse_clock

    try:
        window = parse_clock(start), parse(length, "time")
    except ValueError as error:
        raise InputError(str(error), where="--start, --length") from error
    with prints_aside():
        events = days.trace(folder, deployment, *window, allow_code)
    path = out or folder / "trace.json"
    with atomic_write(path) as file:
        file.write(json.dumps(events).encode())
    if as_json:
        print_json({"file": str(path), "events": len(events["traceEvents"])})
    elif not quiet:
        say(path)


@app.command()
def keep(
    folder: Annotated[Path, typer.Argument(help="A run, or a folder of profiles.", metavar="RUN")],
    name: Annotated[str, typer.Option("--as", help="What this machine is called elsewhere.")],
    device: Annotated[str | None, typer.Option(help="Only the profiles of this device.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep measured profiles in hardware_profiles, for simulations on other machines."""
    from bench import gather

    files = [str(path) for path in gather.keep_profiles(folder, name, device)]
    if as_json:
        print_json({"device": name, "files": files})
    elif not quiet:
        say("\n".join(files))


@app.command()
def calibrate(
    runtime: Annotated[
        list[str],
        typer.Option(help="Only this backend; repeatable. [default: all that are ready]"),
    ] = [],  # noqa: B006
    name: Annotated[
        str | None,
        typer.Option("--as", help="What this machine is called elsewhere. [default: only for it]"),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=1, help="Seconds for each runtime, at most. [default: 280]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep it in this folder instead of the usual one.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Time a dozen-odd published networks here, so that this machine becomes a device of the table."""
    from bench.calibrating import calibrate as measured

    with progress(quiet or as_json) as notify:
        done = measured(runtime, name, out, budget, notify)
    if as_json:
        print_json(calibration_summary(done))
    elif not quiet:
        tell_calibration(done)
    if done.interrupted:
        raise Interrupted("interrupted; what was measured by then is kept.")
    if done.failed:
        raise typer.Exit(WorkerLost.exit_code)


@app.command()
def project(
    model: Annotated[
        str, typer.Argument(help="A published network, as resnet50@224, or an ONNX file.")
    ],
    on: Annotated[list[str], typer.Option("--on", help="A device; repeatable.")],
    runtime: Annotated[
        str | None,
        typer.Option(help="pytorch, tensorrt, openvino, … [default: what is known best]"),
    ] = None,
    shape: Annotated[
        list[str],
        typer.Option(metavar="NAME=1x3x224x224", help="Of an ONNX file's input; repeatable."),
    ] = [],  # noqa: B006
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What is published of a model on devices that are not here, or projected to them."""
    from bench import projecting

    found = projecting.project(model, on, runtime, projecting.shapes_of(shape))
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif not quiet:
        tell_projection(found)
    if not found.figures:
        raise typer.Exit(InputError.exit_code)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A run folder.", metavar="RUN")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rebuild report.json and report.html, or a plan's plan.html, from the records of a run."""
    from bench import pages

    opened, page = pages.report_again(folder)
    if as_json:
        print_json(summary_of(opened))
    elif not quiet:
        say(page)


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="backends | tasks | devices | offers | scenarios | sensors")
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What there is to choose from."""
    from bench import inventory

    rows = dict(sorted(inventory.listing(what).items()))
    if as_json:
        print_json(rows)
    else:
        width = max((len(name) for name in rows), default=0)
        for name, text in rows.items():
            say(f"{name:<{width}}  {text}".rstrip() if not quiet else name)


@app.command()
def doctor(as_json: Json = False, quiet: Quiet = False) -> None:
    """What this machine can measure, and what is missing for the rest."""
    from bench import inventory
    from bench.measure import environment

    facts: dict[str, Any] = {
        "environment": environment.describe(),
        "backends": inventory.listing("backends"),
        "sensors": inventory.listing("sensors"),
        "conflicts": inventory.conflicts(),
    }
    if as_json:
        print_json(facts)
        return
    if quiet:
        return
    environment_ = facts["environment"]
    say(f"{environment_['cpu']}, {environment_['cores_logical']} logical cores")
    say(f"{environment_['system']}, Python {environment_['python']}")
    if gpu := environment_["gpu"]:
        say(f"{gpu['gpu']}, driver {gpu['driver']}")
    width = max(len(name) for heading in ("backends", "sensors") for name in facts[heading])
    for heading in ("backends", "sensors"):
        say(f"\n{heading}")
        for name, text in facts[heading].items():
            say(f"  {name:<{width}}  {text}")
    for conflict in facts["conflicts"]:
        say(f"\n{conflict}")


def main() -> None:
    """Entry point: every error becomes one paragraph on stderr and its exit code."""
    prepare_streams()
    debug = "--debug" in sys.argv
    # --debug is understood anywhere on the line, as people type it last.
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        code = app(args=arguments, standalone_mode=False)
    except SystemExit:  # Typer's own end, where nobody reads its help
        code = OutputClosed.exit_code
    except Exception as error:
        if debug and not isinstance(error, OutputClosed):
            raise
        said = None if isinstance(error, BenchError) else own_fault(error)
        code = _complain(said or error)
    with contextlib.suppress(OutputClosed, InputError):  # it was complained of
        write("", sys.stdout)
    sys.exit(code if isinstance(code, int) else 0)


def _complain(error: Exception) -> int:
    """Say what is wrong, in one line; the exit code."""
    show, code = getattr(error, "format_message", None), getattr(error, "exit_code", None)
    if isinstance(error, OutputClosed):
        return error.exit_code
    if isinstance(error, BenchError):
        said, code = str(error), error.exit_code
    elif show is not None and code is not None:  # Typer's own, about options
        said = f"{show()} See `bench --help`."
    elif isinstance(error, OSError) and error.errno is not None:  # the disk, a permission, a name
        where = f"{error.filename}: " if error.filename else ""
        said, code = f"{where}the operating system refuses this ({error.strerror}).", 2
    elif isinstance(error, MemoryError):
        said, code = "there is not enough memory for this.", 2
    else:
        said = (
            f"unexpected {type(error).__name__}: {shorten(error, 300)}. "
            "This is a fault of the program; run again with --debug and report it."
        )
        code = FAULT
    with contextlib.suppress(OutputClosed):  # the code still tells
        say(f"bench: {masked(' '.join(said.splitlines()))}", err=True)
    return int(code)


def _settings(
    seed: int,
    budget: str | None,
    engine: str,
    input_: Path | None,
    backends: tuple[str, ...] = (),
    devices: tuple[str, ...] = (),
    method: str = "fast",
    overrides: Path | None = None,
    allow_code: tuple[Path, ...] = (),
) -> Settings:
    from bench.prepare import Settings
    from bench.scenario import BUDGET_NAMES
    from bench.simulate import METHODS

    if method not in METHODS:
        raise UnknownName("method", method, METHODS, where="--method")

    if budget is not None and budget not in BUDGET_NAMES:
        raise UnknownName("budget", budget, BUDGET_NAMES, where="--budget")
    return Settings(
        seed=seed,
        budget=budget,
        engine=engine,
        input=input_,
        backends=backends,
        devices=devices,
        method=method,
        overrides=overrides,
        allow_code=allow_code,
        command=_command(),
    )


def _command() -> str:
    """What was typed, for records: without secrets, and in characters that a file can hold."""
    typed = masked(shlex.join(["bench", *sys.argv[1:]]))
    return typed.encode(errors="backslashreplace").decode()


def _fields(only: list[str]) -> dict[str, str]:
    """``FIELD=VALUE`` each."""
    for one in only:
        if not one.partition("=")[1]:
            raise InputError(f"{one!r} has no value", where="--only", allowed="FIELD=VALUE")
    return {name: value for name, _, value in (one.partition("=") for one in only)}


def _recorded(scenario: Path, settings: Settings) -> Recorded:
    from bench.prepare import prepare
    from bench.recorded import recorded

    with prints_aside():
        return recorded(prepare(scenario, settings))


class _Simulated(NamedTuple):
    """What of a simulation is printed."""

    document: dict[str, Any]
    comparison: Comparison
    simulation: Simulation
    verdict: str


def _simulated(
    scenario: Path, profiles: Path | None, out: Path | None, settings: Settings, silent: bool
) -> _Simulated:
    """A scenario simulated, in a run folder where one is named."""
    from bench import at_once, gather, pipeline
    from bench.compare import Comparison
    from bench.prepare import prepare
    from bench.simulate import Simulation

    with progress(silent) as notify:
        known = (
            gather.load_profiles(profiles)
            if profiles
            else gather.kept_profiles(prepare(scenario, settings), settings.catalogue)
        )
        if out is not None:
            run_ = pipeline.simulate_into(scenario, known, out, settings, notify)
            comparison = run_.load("comparison.json", Comparison)
            report = f"\nreport: {run_.path / 'report.html'}"
            simulation = run_.load("simulation.json", Simulation)
            return _Simulated(summary_of(run_), comparison, simulation, comparison.verdict + report)
        _, simulation, costs, comparison = at_once.simulate_only(scenario, known, settings, notify)
    document = {
        **comparison.model_dump(mode="json"),
        "costs": costs.model_dump(mode="json"),
        "simulation": simulation.model_dump(mode="json"),
    }
    return _Simulated(document, comparison, simulation, comparison.verdict)


def _exit_if_invalid(run: Run) -> None:
    """Exit 5 where what was measured is broken; all that could be measured is kept and shown.

    A comparison and a plan rest on the service times of the arms and on none of their loads.
    """
    from bench.measure import Measurement

    if not run.has("measurement.json"):
        return
    all_there_is = not (run.has("comparison.json") or run.has("plan.json"))
    if run.load("measurement.json", Measurement).broken(loads=all_there_is):
        raise typer.Exit(MeasurementInvalid.exit_code)

"""The working sessions. ``python3 noxfile.py -s NAME`` needs nothing but Python ≥ 3.11."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = "constraints.txt"
# The converter to LiteRT holds other packages back.
CONSTRAINTS_LITERT = "tests/evidence/constraints.txt"
TORCH = "2.13.0"
TORCH_PYTHON = (3, 11)
ON_EVERY_CORE = ("--numprocesses=logical", "--dist=worksteal", "--benchmark-disable")
QUICK = "not (slow or alone or real or browser or evidence)"
OTAVA = "apache-otava==0.8.0"
# uv does not see that a release refuses newer Pythons.
HELD_BACK = ("backports-strenum<1.3",)

try:
    import nox
    import nox.command
except ModuleNotFoundError:
    # A machine without nox: make an environment that has it, and start again inside.
    # One for each Python, so that the sessions run on the one that was called.
    HOME = ROOT / ".nox" / f"bootstrap-{sys.version_info.major}.{sys.version_info.minor}"
    PYTHON = HOME / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if os.environ.get("BENCH_BOOTSTRAPPED"):
        sys.exit("nox could not be installed; remove the folder .nox and try again")
    if not PYTHON.exists():
        venv.create(HOME, with_pip=True)
    subprocess.run(
        [
            PYTHON,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--constraint",
            ROOT / CONSTRAINTS,
            "nox",
            "uv",
        ],
        check=True,
    )
    os.environ["BENCH_BOOTSTRAPPED"] = "1"
    sys.exit(subprocess.run([PYTHON, __file__, *sys.argv[1:]], check=False).returncode)

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests"]


def _install(session: nox.Session, *extras: str, constraints: str = CONSTRAINTS) -> None:
    """Install this project with extras, unless just that was installed before: pip would take 10 s
    to find that out. With uv where there is one, in seconds where pip takes minutes."""
    target = f".[{','.join(extras)}]" if extras else "."
    asked = (ROOT / "pyproject.toml").read_text() + (ROOT / constraints).read_text() + target
    done = Path(session.virtualenv.location) / "installed.sha256"
    digest = hashlib.sha256(asked.encode()).hexdigest()
    if done.exists() and done.read_text() == digest:
        return
    arguments = ("--quiet", "--constraint", constraints, "--editable", target)
    if not _install_by_uv(session, arguments):
        session.install(*arguments)
    done.write_text(digest)


def _install_by_uv(session: nox.Session, arguments: tuple[str, ...]) -> bool:
    """Whether uv is there, and could."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        return False
    # It reads no setting of pip's; where pip looks beside the index, a machine may have its own PyTorch.
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    places = {
        link
        for line in re.findall(r"find-links='(.*)'", told)
        for link in line.replace("\\n", " ").split()
    }
    links = {"UV_FIND_LINKS": ",".join(sorted(places))} if places else {}
    folder = session.virtualenv.location
    try:
        session.run(uv, "pip", "install", "--python", folder, *arguments, env=links, external=True)
    except nox.command.CommandFailed:
        session.log("uv could not install this; pip tries")
        return False
    return True


@nox.session
def demo(session: nox.Session) -> None:
    """Measure, simulate and report the quickstart."""
    _install(session, "onnxruntime")
    session.run("bench", "run", "scenarios/quickstart.yaml", *session.posargs)


def _tests(session: nox.Session) -> None:
    """What the tests need."""
    # They start some hundred processes, each of which would compile the whole program anew.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    extras = ["onnxruntime", "openvino", "litert", "peers", "dask", "serve", "dev"]
    # One Python tests with PyTorch; elsewhere its tests are skipped, and say so.
    if sys.version_info[:2] == TORCH_PYTHON:
        _install(session, *extras, "models")
    else:
        _install(session, *extras)
        session.install("--quiet", "--constraint", CONSTRAINTS, "onnx")
    # Its analysis alone, since what it needs beside that holds NumPy back.
    session.install("--quiet", "--no-deps", OTAVA)
    # Else every process that is the first to simulate compiles for a minute, several at once.
    session.run("python", "-c", "from bench.simulate.run import prepare; prepare()")


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests: those that measure time alone, the others on every core; and say how much of the
    program the quick ones see."""
    _tests(session)
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    session.run("pytest", *ON_EVERY_CORE, "--cov", "-m", QUICK)
    session.run("pytest", *ON_EVERY_CORE, "-m", f"not ({QUICK} or alone or evidence)")
    session.run("pytest", "-m", "alone and not evidence")


@nox.session
def quick(session: nox.Session) -> None:
    """Run what takes less than a minute, for the inner loop."""
    _tests(session)
    session.run("pytest", *ON_EVERY_CORE, "-m", QUICK, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Formatting, lint, types, and how large each package is."""
    _install(session, "onnxruntime", "dask", "serve", "dev")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("python", "-m", "tests.sizes")


@nox.session
def schema(session: nox.Session) -> None:
    """Write the JSON Schema that editors check scenario files with."""
    _install(session, "onnxruntime")
    session.run("python", "-m", "tests.write_schema")


@nox.session
def example(session: nox.Session) -> None:
    """Make the committed run anew, and show it in the README."""
    _install(session, "onnxruntime")
    session.run("bench", "run", "scenarios/quickstart.yaml", "--out", "reports/example")
    session.run("python", "-m", "tests.write_readme")


@nox.session
def peers(session: nox.Session) -> None:
    """Measure against other harnesses, and the load generator against a backend of no time."""
    _install(session, "onnxruntime", "openvino", "litert", "peers", "dev")
    session.install("--quiet", "--constraint", CONSTRAINTS, "onnx")
    session.run("python", "-m", "tests.evidence.peers")
    session.run("python", "-m", "tests.evidence.write_docs")
    session.run("pytest", "-m", "evidence", "tests/test_loadgen.py")


@nox.session
def parity(session: nox.Session) -> None:
    """One network on every backend, precision variants, and training against inference."""
    extras = ("onnxruntime", "openvino", "litert-models", "dev")
    _install(session, *extras, constraints=CONSTRAINTS_LITERT)
    # The anyio that goes with the converter knows an older pytest.
    session.run("pytest", "-p", "no:anyio", "tests/test_exports.py")
    session.run("python", "-m", "tests.evidence.parity")
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def plan(session: nox.Session) -> None:
    """How long the planner takes on the quickstart, and that it loses nothing."""
    _install(session, "onnxruntime", "dev")
    session.run("python", "-m", "tests.evidence.plan")
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Ten thousand mutated inputs: ``-- --count 500 --seed 2`` for others, ``--first`` for one."""
    _install(session, "dev")
    session.run("python", "-m", "tests.evidence.fuzz", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """A live server under load for ten minutes, and ten thousand malformed requests."""
    _install(session, "serve", "dev")
    session.env.setdefault("BENCH_SOAK_S", "600")
    session.env.setdefault("BENCH_MALFORMED", "10000")
    session.run("pytest", "-s", "-m", "evidence", "tests/test_soak.py")
    session.run("pytest", "-s", "-k", "books", "tests/test_hostile_clients.py")


@nox.session
def speed(session: nox.Session) -> None:
    """How fast the simulator is: against its reference, against others, and how its time grows."""
    _install(session, "dev")
    session.run("python", "-m", "tests.evidence.speed")
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def fidelity(session: nox.Session) -> None:
    """How far the simulator is from live servers on this machine: ``-- --minutes 3``, ``--planted 20``."""
    _install(session, "onnxruntime", "serve", "models", "dev")
    session.run("python", "-m", "tests.evidence.fidelity", *session.posargs)
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def fidelity_outside(session: nox.Session) -> None:
    """How far the simulator is from a real MLServer, seen from outside: ``-- --minutes 6``."""
    _install(session, "onnxruntime", "serve", "models", "dev")
    session.run("python", "-m", "tests.evidence.mlserver", *session.posargs)
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def gate(session: nox.Session) -> None:
    """Hold the files as they are against where they left the main branch: simulator and harness."""
    _install(session, "onnxruntime", "dev")
    session.run("bench", "gate", "gate.yaml", *session.posargs)


@nox.session
def gate_rule(session: nox.Session) -> None:
    """How often the gate's rule is wrong on machines that are made up: ``-- --gates 2000``."""
    _install(session, "dev")
    session.run("python", "-m", "tests.evidence.gate", *session.posargs)
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def gate_live(session: nox.Session) -> None:
    """Gates of a real scenario on this machine, beside what other rules say: ``-- --equal 30 --tenth 10``."""
    _install(session, "onnxruntime", "models", "dev")
    session.run("python", "-m", "tests.evidence.gate_live", *session.posargs)
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def projection(session: nox.Session) -> None:
    """How far projections are from published results that they were not made of."""
    _install(session, "dev")
    session.run("python", "-m", "tests.evidence.projection")
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session(venv_params=["--system-site-packages"])
def gpu(session: nox.Session) -> None:
    """Measure on this machine's NVIDIA GPU, and keep the profiles: ``-- --as NAME --budget smoke``.

    What the machine has of PyTorch, ONNX Runtime and TensorRT is used, and what can be installed is
    added; a backend that is missing costs its own figures only.
    """
    _install(session)
    for extra in ("models", "nvidia"):
        target = f".[{extra}]"
        session.install(
            "--quiet", "--constraint", CONSTRAINTS, "--editable", target, success_codes=[0, 1]
        )
    session.run("bench", "doctor")
    session.run("python", "-m", "tests.evidence.gpu", *session.posargs)
    session.run("python", "-m", "tests.evidence.write_docs")


@nox.session
def lock(session: nox.Session) -> None:
    """Write the constraints anew from the ranges in pyproject.toml."""
    session.install("uv")
    scratch = Path(session.create_tmp())
    (scratch / "held_back.in").write_text("\n".join(HELD_BACK))
    # Left out: the universal solution of PyTorch would pin gigabytes of CUDA packages.
    (scratch / "excluded.in").write_text("torch")
    for constraints, more in (
        (CONSTRAINTS, ("peers", "dask", "serve")),
        (CONSTRAINTS_LITERT, ("litert-models",)),
    ):
        extras = ("onnxruntime", "openvino", "litert", "models", "dev", *more)
        session.run(
            "uv", "pip", "compile", "pyproject.toml", str(scratch / "held_back.in"),
            f"--excludes={scratch / 'excluded.in'}", *(f"--extra={extra}" for extra in extras),
            "--universal", "--python-version=3.11", "--upgrade", "--no-annotate", "--no-header",
            "--no-emit-index-url", "--no-emit-find-links", "--output-file", constraints,
        )  # fmt: skip
        with (ROOT / constraints).open("a") as file:
            file.write(f"torch=={TORCH}\n")


if __name__ == "__main__":
    nox.main()

"""Files of a user's own: their faults are told with file and line, and their prints stay aside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bench import extensions
from bench.errors import InputError
from bench.executor import Inline, LocalProcesses, here, isolated
from bench.measure.clock import WallClock
from bench.measure.datasets import image_folder
from bench.measure.loader import build_task, own_faults
from bench.measure.recorder import Recorder
from bench.measure.reference import count_agreement, make_reference, read_reference
from bench.measure.tasks import Sample, names_of
from bench.measure.worker import serve, serve_or_fail
from bench.prepare import ROLES, Settings, prepare_measurement

pytestmark = pytest.mark.slow

TASKS = "bench.measure.tasks"
HEAD = """\
from bench.measure.tasks.synthetic import SyntheticTask
from bench.measure.tasks.synthetic import Options as Given
class Options(Given):
    samples: int = 4
    payload_bytes: int = 10
"""
TASK = """\
def build(options):
    return Own(options)
class Own(SyntheticTask):
    def preprocess(self, encoded):
        {line}
        return super().preprocess(encoded)
"""
SUITE = """\
schema_version: 1
name: own
task: {name: ./own.py}
measure: {budget: smoke, max_batch: 1}
arms:
  - {backend: fake, device: this-host-one-thread}
"""


def own_file(folder: Path, text: str) -> Path:
    path = folder / "own.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD.partition("from bench.measure.tasks.synthetic import Options")[0] + TASK, r"own\.py: the file has no Options.*class Options\(Record\)"),
        (HEAD, r"own\.py: the file has no build.*Options, build"),
        (HEAD.replace("(Given)", "") + TASK, r"own\.py: its Options is no record"),
        (HEAD + "def build(options):\n    pass\n", "build gave NoneType and no task"),
        (HEAD + "def build(options):\n    return options.side\n", r"own\.py:7: AttributeError"),
        (HEAD + "1/0\n", r"own\.py:6: the file cannot be imported \(ZeroDivisionError"),
        (HEAD + "raise SystemExit(0)\n", r"own\.py:6: the file cannot be imported \(SystemExit"),
        (HEAD + "def build(options:\n", r"own\.py.*SyntaxError.*line 6"),
    ],
    ids=[
        "no-options", "no-build", "plain-options", "nothing", "in-build", "import", "exit",
        "syntax",
    ],
)  # fmt: skip
def test_a_file_that_is_no_task_is_told_what_it_lacks(tmp_path: Path, text: str, said: str) -> None:
    path = own_file(tmp_path, text.replace("{line}", "pass"))
    with pytest.raises(InputError, match=said):
        build_task(str(path), {})


@pytest.mark.parametrize("missing", ["samples", "files"])
def test_a_task_without_samples_or_files(tmp_path: Path, missing: str) -> None:
    text = HEAD + TASK.replace("    def preprocess", f"    {missing} = ()\n    def preprocess")
    text = text.replace("return Own(options)", f"t = Own(options); t.{missing} = []; return t")
    with pytest.raises(InputError, match=f"the task has no {missing}"):
        build_task(str(own_file(tmp_path, text.format(line="pass"))), {})


def failing(path: str) -> None:
    task = build_task(path, {})
    task.preprocess(task.input(task.samples))


def failing_reporting(path: str, report: Callable[[str, float], None]) -> None:
    failing(path)


def test_a_fault_is_told_with_its_line_wherever_it_runs(tmp_path: Path) -> None:
    path = str(own_file(tmp_path, HEAD + TASK.format(line="encoded.nothing")))
    said = r"own\.py:10: AttributeError in preprocess: 'list' object has no attribute 'nothing'"
    with pytest.raises(InputError, match=said):
        here(failing_reporting, path, 60, lambda *_: None)
    with pytest.raises(InputError, match=said):
        isolated(failing_reporting, path, 120, lambda *_: None)
    for engine in (Inline(), LocalProcesses(1)):
        with pytest.raises(InputError, match=said):
            list(engine.each(failing, [path]))


def test_the_line_that_is_told_is_the_users_and_not_the_librarys(tmp_path: Path) -> None:
    line = "import numpy as np; np.stack([])"
    path = str(own_file(tmp_path, HEAD + TASK.format(line=line)))
    with pytest.raises(InputError, match=r"own\.py:10: ValueError in preprocess: need at least"):
        extensions.calling(failing, path)


def test_a_fault_under_load_is_told_with_its_line(tmp_path: Path) -> None:
    path = own_file(tmp_path, HEAD + TASK.format(line="encoded.nothing"))
    task = build_task(str(path), {})
    batch = serve_or_fail(task, {}, task.samples[:1], WallClock())
    assert f"{path}:10: AttributeError in preprocess" in (batch.error or "")


def loaded(tmp_path: Path, more: str) -> Any:
    """A task of one's own with ``more`` in its class, and the backend to serve it."""
    return build_task(str(own_file(tmp_path, HEAD + TASK.format(line="pass") + more)), {})


def test_an_answer_that_json_has_not_is_refused(tmp_path: Path) -> None:
    more = (
        "    def postprocess(self, prediction):\n"
        "        import numpy as np\n"
        "        return [{'value': np.float32(p)} for p in prediction]\n"
    )
    task = loaded(tmp_path, more)
    with pytest.raises(InputError, match=r"task Own: .*float32 is not JSON.*float\(x\)"):
        task.output(task.postprocess([1.0]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD + "def build():\n    pass\n", r"own\.py: TypeError: build\(\) takes 0"),
        (
            HEAD + TASK.format(line="pass") + "    def predict(self):\n        pass\n",
            r"own\.py: TypeError: Own\.predict\(\) takes 1 positional.*Allowed: the steps of",
        ),
    ],
)
def test_a_step_without_its_arguments_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        serve_own(str(own_file(tmp_path, text)))


def serve_own(path: str) -> None:
    with own_faults(path):
        task = build_task(path, {})
        fake = extensions.load("bench.measure.backends", "fake")
        clock = fake.ScriptedClock()
        session = fake.load(Path(), fake.Options(), 1, clock)
        serve(task, {"model": session}, task.samples[:1], clock)


def test_another_number_of_answers_is_refused(tmp_path: Path) -> None:
    task = loaded(tmp_path, "    def predict(self, outputs):\n        return [1]\n")
    fake = extensions.load("bench.measure.backends", "fake")
    session = fake.load(Path(), fake.Options(), 1, fake.ScriptedClock())
    with pytest.raises(InputError, match=r"2 inputs and 1 answers of a batch of 2.*largest_batch"):
        serve(task, {"model": session}, task.samples[:2], fake.ScriptedClock())


@pytest.mark.parametrize("engine", ["local", "inline"])
def test_prints_never_enter_the_answer(tmp_path: Path, engine: str) -> None:
    noise = "import os; print('from python'); os.write(1 if {local} else 2, b'from below\\n')"
    line = noise.format(local=engine == "local")
    own_file(tmp_path, "print('on import')\n" + HEAD + TASK.format(line=line))
    (tmp_path / "suite.yaml").write_text(SUITE)
    command = [sys.executable, "-m", "bench", "measure", str(tmp_path / "suite.yaml"), "--json"]
    done = subprocess.run(
        [*command, "--engine", engine, "--out", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arms"][0]["status"] == "valid"
    assert "from python" in done.stderr
    assert "from below" in done.stderr
    assert "on import" in done.stderr


# Samples of the same name in several folders.


def test_answers_are_known_by_the_path_of_their_sample(tmp_path: Path) -> None:
    folders = [tmp_path / "in" / name for name in ("a", "b")]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        (folder / "same.txt").write_text(str(number))
    text = HEAD + (
        "from pathlib import Path\n"
        "from bench.measure.tasks import Sample\n"
        "def build(options):\n"
        "    return Own(options)\n"
        "class Own(SyntheticTask):\n"
        "    def __init__(self, options):\n"
        "        super().__init__(options)\n"
        f"        paths = sorted(Path({str(tmp_path / 'in')!r}).rglob('*.txt'))\n"
        "        self.samples = [Sample(path, path.read_text(), 'own') for path in paths]\n"
        "    def input(self, samples):\n"
        "        return [sample.path.read_bytes() for sample in samples]\n"
    )
    task = build_task(str(own_file(tmp_path, text)), {})
    make_reference(task, tmp_path / "reference.json", lambda *_: None)
    reference, _ = read_reference(tmp_path / "reference.json")
    assert sorted(answer["value"] for answer in reference.answers.values()) == [0, 1]
    fake = extensions.load("bench.measure.backends", "fake")
    clock = fake.ScriptedClock()
    recorder = Recorder("arm", 0)
    session = fake.load(Path(), fake.Options(), 1, clock)
    recorder.keep("profile", serve(task, {"model": session}, task.samples, clock))
    agreement = count_agreement(task, recorder.answers(), reference)
    assert (agreement.agreeing, agreement.answered) == (2, 2)
    found = {Path(name).as_posix() for name in recorder.requests()["sample"]}
    assert found == {"a/same.txt", "b/same.txt"}


def test_names_of_samples() -> None:
    def named(*paths: str) -> list[str]:
        samples = [Sample(Path(path), None, "g") for path in paths]
        return [Path(name).as_posix() for name in names_of(samples).values()]

    assert named("/x/1.png", "/x/2.png") == ["1.png", "2.png"]
    assert named("/x/a/1.png", "/x/b/1.png", "/x/2.png") == ["a/1.png", "b/1.png", "2.png"]
    assert named("0", "1") == ["0", "1"]
    assert named("1.png", "/x/1.png") == ["1.png", "/x/1.png"]
    assert named(os.fsdecode(b"/x/caf\xe9.png")) == ["caf\\xe9.png"]


# labels.csv.


def labelled(folder: Path, content: bytes) -> list[Sample]:
    folder.mkdir(exist_ok=True)
    for name in ("x.png", "y.png"):
        Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(folder / name)
    (folder / "labels.csv").write_bytes(content)
    return image_folder(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"file,text\nx.png,caf\xc3\xa9\n",
        b"\xef\xbb\xbffile,text\r\nx.png,caf\xc3\xa9\r\n",
        b"text,file,note\ncaf\xc3\xa9,x.png,\n\n,,\n",
        b'file, text \n"x.png","caf\xc3\xa9"\nx.png,caf\xc3\xa9\n',
    ],
    ids=["plain", "excel", "other-columns", "quoted-twice"],
)
def test_labels_as_programs_write_them(tmp_path: Path, content: bytes) -> None:
    truths = {sample.path.name: sample.truth for sample in labelled(tmp_path, content)}
    assert truths == {"x.png": "café", "y.png": None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"file,text\ny.png,a\nx.png,caf\xe9\n", r":3: the labels are not in UTF-8 \(byte 0xe9\)"),
        ("file,text\nx.png,a\n".encode("utf-16"), ":1: the labels are not in UTF-8"),
        (b"file,text\nx.png," + b"a" * 200_000, r":2: .*field limit \(131072\)"),
        (b'file,text\nx.png,"' + b"a,\n" * 60_000, r"quotation mark left open"),
        (b"file,text\nx.png,a\n\nz.png,b\n", r":4: there is no image 'z.png'.*mean"),
        (b"file;text\nx.png;a\n", r":1: the first line names the columns file;text.*commas"),
        (b"file,text\nx.png\n", ":2: the row ends before the column text"),
        (b"file,text\nx.png,a\nx.png,b\n", ":3: 'x.png' has another text further above"),
    ],
    ids=["latin-1", "utf-16", "huge", "quote", "unknown", "semicolons", "short", "two-texts"],
)
def test_labels_that_cannot_be_used_are_told_with_their_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(InputError, match=rf"labels\.csv{said}" if said[0] == ":" else said):
        labelled(tmp_path, content)


def test_labels_that_are_a_folder_are_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").mkdir()
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"labels\.csv: this is a folder"):
        image_folder(tmp_path)


def test_a_name_that_is_not_utf8_can_be_measured(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    name = os.fsdecode(b"caf\xe9.png")
    Image.fromarray(np.zeros((2, 2), dtype=np.uint8)).save(folder / name)
    (sample,) = image_folder(folder)
    assert sample.group == "caf\\xe9"
    assert list(names_of([sample]).values()) == ["caf\\xe9.png"]


def test_a_folder_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE.replace("./own.py", "text-recognition"))
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    settings = Settings(engine="inline", input=folder)
    with pytest.raises(InputError, match=r"--input: .*caf\\udce9"):
        prepare_measurement(tmp_path / "suite.yaml", settings)


def test_every_contract_is_kept_by_what_comes_with_the_program() -> None:
    for folder in ROLES.values():
        contract = extensions.contract_of(folder)
        assert "Options" in contract
        for name in extensions.names(folder):
            module: Any = extensions.load(folder, name)
            assert not [member for member in contract if not hasattr(module, member)]

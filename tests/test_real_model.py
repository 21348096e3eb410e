"""The quickstart's model on its backend: fetched, loaded, run, and right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.errors import InputError
from bench.hardware import Catalogue
from bench.measure import STEPS, ArmRequest, measure_arm
from bench.measure.backends import onnxruntime_cpu, wall_clock
from bench.measure.models import fetch
from bench.measure.tasks import text_recognition
from bench.scenario import Arm, Part

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def model() -> Path:
    return fetch(text_recognition.MODEL)


def load(model: Path) -> onnxruntime_cpu.OnnxSession:
    return onnxruntime_cpu.load(model, onnxruntime_cpu.Options(), 1, wall_clock())


def test_photographed_words_are_read_right(model: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=12))
    session = load(model)
    task.prepare(session.metadata())
    samples = [s for s in task.samples if s.group == "photographed words"]
    outputs = session.run(task.preprocess(task.input(samples)))
    assert outputs[0].sum(axis=2) == pytest.approx(1, abs=1e-3)
    answers = task.postprocess(task.predict(outputs))
    assert [a["text"] for a in answers] == [s.truth for s in samples]


def test_a_batch_answers_as_its_items_do(model: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=6))
    session = load(model)
    task.prepare(session.metadata())
    feeds = task.preprocess(task.input(task.samples[:6]))
    together = session.run(feeds)[0]
    alone = [session.run({"x": feeds["x"][k : k + 1]})[0][0] for k in range(6)]
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_ctc_drops_blanks_and_repeats() -> None:
    task = text_recognition.TextRecognition(Path("none"), [])
    task.prepare({"character": "a\nb"})
    path = np.array([0, 1, 1, 0, 1, 2, 2, 3, 0])
    answer = task._decode_path(path, np.ones(9, dtype=np.float32))
    assert answer == {"text": "aab ", "confidence": 1.0}


def test_character_error_rate_by_hand() -> None:
    from bench.measure.tasks import Sample

    task = text_recognition.TextRecognition(Path("none"), [])
    pairs = [("abcd", "abed"), ("xy", "xyz")]
    answered = [
        (Sample(Path("f"), truth, "g"), json.dumps({"text": read}).encode())
        for truth, read in pairs
    ]
    assert task.score(answered)[0].value == pytest.approx(2 / 6)


def test_steps_add_up_to_the_service_time_of_a_real_run() -> None:
    request = ArmRequest(
        arm=Arm(
            name="real",
            backend=Part(name="onnxruntime-cpu"),
            device=Catalogue().device("this-host"),
        ),
        task=Part.model_validate({"name": "text-recognition", "labels": 24}),
        budget="smoke",
        max_batch=2,
        seed=3,
    )
    record, batches, requests = measure_arm(request)
    for row in record.steps:
        assert row.service.value is not None
        assert sum(row.steps.values()) == pytest.approx(row.service.value, rel=0.02)
    assert set(record.steps[0].steps) == set(STEPS)
    assert all(record.steps[0].steps[step] > 0 for step in STEPS)
    assert record.placement == ["CPUExecutionProvider"]
    assert record.single_stream["p99"].n >= 662
    assert 0 <= record.accuracy[0].value < 0.2
    assert len(requests["sample"]) == sum(batches["batch_size"])
    assert record.memory_peak_bytes >= record.memory_loaded_bytes > 0
    assert record.power.energy_per_inference_j is not None or record.power.reason


def test_a_folder_of_ones_own_images(tmp_path: Path) -> None:
    task = text_recognition.build(text_recognition.Options(labels=3))
    for number, sample in enumerate(task.samples[:3]):
        (tmp_path / f"{number}.jpg").write_bytes(sample.path.read_bytes())
    (tmp_path / "labels.csv").write_text(f"file,text\n0.jpg,{task.samples[0].truth}\n")
    own = text_recognition.build(text_recognition.Options(input=tmp_path))
    assert [s.truth for s in own.samples] == [task.samples[0].truth, None, None]


@pytest.mark.parametrize("content", [None, b"not an image"])
def test_a_folder_without_images(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match="image"):
        text_recognition.build(text_recognition.Options(input=tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x08\x07garbage", b"\x80\x04pickle"])
def test_a_broken_model_file_is_an_error_with_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.onnx"):
        load(path)


def test_a_model_file_that_was_changed_is_refused(tmp_path: Path, model: Path) -> None:
    changed = tmp_path / "changed.onnx"
    changed.write_bytes(model.read_bytes()[:-1])
    file = text_recognition.MODEL.model_copy(update={"origin": f"file:{changed}"})
    with pytest.raises(InputError, match="SHA-256"):
        fetch(file)

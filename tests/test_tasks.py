"""Every task: its answers, its score, and a batch that answers as its items do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import extensions
from bench.errors import InputError, MissingRequirement
from bench.measure.reference import plain_sessions, run_one
from bench.measure.tasks import (
    Sample,
    Task,
    face_detection,
    file_type,
    fraud,
    note_transcription,
    segmentation_3d,
    speech_detection,
    tensors,
)
from tests import models

TASKS = "bench.measure.tasks"
REAL = {
    "speech-detection": ("chunk_f1", 0.8, {}),
    "wake-word": ("false_alarm_rate", None, {}),
    "note-transcription": ("note_f1", 0.9, {"clips": 4}),
    "text-embedding": ("neighbour_accuracy", 0.8, {}),
    "file-type": ("accuracy", 0.8, {}),
    "face-detection": ("face_f1", 0.8, {"frames": 6}),
    "fraud": ("auc", 0.8, {"payments": 512}),
    "image-classification": (None, None, {"images": 4}),
    "segmentation-3d": (None, None, {"side": 32, "scans": 2}),
    "text-recognition": (None, None, {"labels": 4}),
}


def loaded(name: str, options: dict[str, Any]) -> tuple[Task, dict[str, Any]]:
    """A task with its sessions on the reference backend; skipped where that cannot run here."""
    module = extensions.load(TASKS, name)
    try:
        task: Task = module.build(module.Options(**options))
        sessions, _ = plain_sessions(task, 2)
    except MissingRequirement as error:
        pytest.skip(str(error))
    return task, sessions


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_a_task_answers_right_on_its_real_model(name: str) -> None:
    metric, floor, options = REAL[name]
    task, sessions = loaded(name, options)
    answered = []
    for sample in task.samples:
        answer = task.postprocess(task.predict(run_one(task, sessions, sample)))[0]
        again = json.loads(task.output([answer])[0])
        assert task.agrees(again, json.loads(json.dumps(answer)))
        answered.append((sample, again))
    scores = {score.metric: score.value for score in task.score(answered)}
    if metric is not None and floor is not None:
        assert scores[metric] >= floor
    if name == "wake-word":
        assert scores["false_alarm_rate"] <= 0.1
    if task.largest_batch is None:
        pair = task.samples[:2]
        feeds = task.preprocess(task.input(pair))
        together = task.postprocess(task.predict(task.execute(sessions, feeds)))
        assert all(
            task.agrees(one, json.loads(json.dumps(other)))
            for one, (_, other) in zip(together, answered, strict=False)
        )


@pytest.mark.parametrize("name", ["note-transcription", "wake-word"])
def test_a_wrong_answer_does_not_agree(name: str) -> None:
    module = extensions.load(TASKS, name)
    task = module.build(module.Options())
    right, wrong = {
        "note-transcription": ({"notes": [60]}, {"notes": [61]}),
        "wake-word": ({"said": False, "score": 0.1}, {"said": False, "score": 0.3}),
    }[name]
    assert task.agrees(right, right)
    assert not task.agrees(wrong, right)


def test_speech_begins_and_ends_at_their_own_thresholds() -> None:
    probabilities = np.array([0.1, 0.6, 0.4, 0.34, 0.45, 0.5, 0.9])
    chunk = speech_detection.CHUNK / speech_detection.SPEECH_RATE
    found = speech_detection.segments(probabilities)
    assert found == [[pytest.approx(chunk), pytest.approx(3 * chunk)],
                     [pytest.approx(5 * chunk), pytest.approx(7 * chunk)]]  # fmt: skip


def test_a_note_must_last() -> None:
    frames = np.zeros((172, 88), dtype=np.float32)
    frames[10 : 10 + note_transcription.LASTS_FROM, 39] = 0.9
    frames[10 : 10 + note_transcription.LASTS_FROM - 1, 41] = 0.9
    assert note_transcription.notes_in(frames) == [60]


def test_anchors_are_those_of_the_published_grid() -> None:
    anchors = face_detection.anchors()
    assert anchors.shape == (896, 2)
    assert anchors[0].tolist() == [0.5 / 16, 0.5 / 16]
    assert anchors[1].tolist() == anchors[0].tolist()
    assert anchors[2].tolist() == [1.5 / 16, 0.5 / 16]
    assert anchors[512].tolist() == [0.5 / 8, 0.5 / 8]
    assert anchors[-1].tolist() == [7.5 / 8, 7.5 / 8]


def test_overlap_and_suppression_by_hand() -> None:
    a, b = np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 0.0, 3.0, 2.0])
    assert face_detection.overlap(a, b) == pytest.approx(2 / 6)
    far = np.array([5.0, 5.0, 6.0, 6.0])
    kept = face_detection.suppressed(np.array([a, b, far]), np.array([0.6, 0.9, 0.7]))
    assert [score for _, score in kept] == [0.9, 0.7]
    assert face_detection.suppressed(np.array([a]), np.array([0.4])) == []


def test_area_under_roc_by_hand() -> None:
    truth = np.array([True, True, False, False])
    assert fraud.area_under_roc(truth, np.array([0.9, 0.8, 0.2, 0.1])) == 1
    assert fraud.area_under_roc(truth, np.array([0.9, 0.3, 0.4, 0.1])) == 0.75
    assert fraud.area_under_roc(truth, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5


def test_payments_are_the_same_for_the_same_seed() -> None:
    rows, labels = fraud.payments(2000, 5)
    again, _ = fraud.payments(2000, 5)
    np.testing.assert_array_equal(rows, again)
    assert 0.005 < labels.mean() < 0.15


def test_payments_of_one_request_are_judged_each() -> None:
    alone, together = (fraud.build(fraud.Options(payments=20, together=size)) for size in (1, 5))
    assert len(together.samples) == 4
    assert "".join(one.truth or "" for one in together.samples) == "".join(
        one.truth or "" for one in alone.samples
    )
    feeds = together.preprocess(together.input(together.samples[:2]))
    singly = alone.preprocess(alone.input(alone.samples[:10]))
    np.testing.assert_array_equal(feeds["payments"], singly["payments"])
    likely = np.linspace(0, 1, 10)
    answers = together.postprocess(together.predict([np.stack([1 - likely, likely], axis=1)]))
    each = alone.postprocess(alone.predict([np.stack([1 - likely, likely], axis=1)]))
    assert [one for answer in answers for one in answer["payments"]] == each
    assert together.agrees(answers[0], answers[0])
    assert not together.agrees(answers[0], answers[1])
    scored = together.score(list(zip(together.samples[:2], answers, strict=True)))
    assert scored == alone.score(list(zip(alone.samples[:10], each, strict=True)))
    with pytest.raises(ValueError, match="not 5"):
        together.preprocess(alone.input(alone.samples[:1]))


def test_bytes_of_a_short_file_are_padded() -> None:
    config = {"beg_size": 4, "end_size": 4, "padding_token": 256, "block_size": 4096}
    assert file_type.features(b"  ab\n", config).tolist() == [97, 98, 10, 256, 32, 32, 97, 98]


def test_voxels_are_counted_block_by_block() -> None:
    labels = np.zeros((16, 16, 16), dtype=np.int64)
    labels[8:, :8, :8] = 2
    blocks = np.array(segmentation_3d.counts(labels))
    assert blocks.shape == (segmentation_3d.CLASSES, 8)
    assert blocks.sum() == 16**3
    assert blocks[2].tolist() == [0, 0, 0, 0, 512, 0, 0, 0]


def own(tmp_path: Path, **options: Any) -> tuple[Task, dict[str, Any]]:
    pytest.importorskip("onnx", reason="onnx is not installed")
    path = models.onnx_model(tmp_path / "own.onnx")
    return loaded("tensors", {"file": path, **options})


def test_ones_own_model_with_drawn_inputs(tmp_path: Path) -> None:
    task, sessions = own(tmp_path, samples=3)
    feeds = task.preprocess(task.input(task.samples))
    sent = task.output(task.postprocess(task.predict(task.execute(sessions, feeds))))
    answers = [task.read(task.keep(output)) for output in sent]
    assert len(answers) == 3
    np.testing.assert_allclose(
        answers[0]["outputs"][0]["values"], models.expected(feeds["x"][:1])[0], rtol=1e-5
    )
    assert task.agrees(answers[0], answers[0])
    assert not task.agrees(answers[0], answers[1])


def test_ones_own_model_with_ones_own_inputs(tmp_path: Path) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    x = np.arange(4, dtype=np.float32)
    np.savez(folder / "a.npz", x=x)
    task, sessions = own(tmp_path, inputs=folder)
    assert isinstance(task, tensors.Tensors)
    (y,) = run_one(task, sessions, task.samples[0])
    np.testing.assert_allclose(y, models.expected(x[None]), rtol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": np.zeros(4, dtype=np.float32)}, "no array 'x'"),
        ({"x": np.zeros(4, dtype=np.float64)}, "float64"),
        ({"x": np.zeros((1, 4), dtype=np.float32)}, r"shape \(1, 4\)"),
        ({"x": np.zeros(3, dtype=np.float32)}, r"shape \(3,\)"),
    ],
)
def test_inputs_that_do_not_fit_the_model(
    tmp_path: Path, arrays: dict[str, np.ndarray[Any, Any]], said: str
) -> None:
    folder = tmp_path / "inputs"
    folder.mkdir()
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        own(tmp_path, inputs=folder)


def test_a_folder_without_inputs_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no inputs"):
        own(tmp_path, inputs=tmp_path / "nowhere")
    with pytest.raises(InputError, match="no such model file"):
        tensors.build(tensors.Options(file=tmp_path / "none.onnx"))


def test_a_task_in_a_file_of_ones_own(tmp_path: Path) -> None:
    own_file = tmp_path / "twice.py"
    own_file.write_text(
        '"""A task of my own."""\n'
        "from bench.measure.tasks.synthetic import Options, SyntheticTask\n"
        "def build(options):\n"
        "    return SyntheticTask(options)\n"
    )
    module = extensions.load(TASKS, str(own_file))
    task = module.build(module.Options(samples=2))
    assert [s.truth for s in task.samples] == ["0", "1"]
    (tmp_path / "bad.py").write_text("1/0\n")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        extensions.load(TASKS, str(tmp_path / "bad.py"))
    with pytest.raises(InputError, match="no such Python file"):
        extensions.load(TASKS, str(tmp_path / "none.py"))


def test_samples_have_names_of_their_own() -> None:
    """The reference is looked up by them."""
    for name in ("wake-word", "file-type", "fraud"):
        module = extensions.load(TASKS, name)
        samples: list[Sample] = module.build(module.Options()).samples
        assert len({s.path.name for s in samples}) == len(samples)

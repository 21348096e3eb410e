"""Wake word: does a clip say "Alexa"? Three networks in a chain, as voice assistants run them.

Sound → mel spectrogram → speech embedding of every 76 frames, 8 apart → the word's classifier
over 16 embeddings (openWakeWord, ``utils.py`` and ``model.py``; spectrogram ÷ 10 + 2 there too).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.measure.audio import read_wav, speech_clips
from bench.measure.backends import Feeds, Session
from bench.measure.models import ModelFile
from bench.measure.tasks import Sample, Score, Task
from bench.record import Record

CLIP_S = 2.5
FRAMES, FRAME_STEP, EMBEDDINGS = 76, 8, 16
SAID_FROM = 0.5
AGREES_WITHIN = 0.02
_WHEEL = "wheel:pyopen-wakeword==1.1.0!pyopen_wakeword/models"


class Options(Record):
    """None: the clips are those of a recorded conversation."""


def build(options: Options) -> WakeWord:
    return WakeWord(speech_clips(CLIP_S))


class WakeWord(Task):
    """A clip in, the highest score of the wake word in it out."""

    largest_batch = 1
    caveat = (
        "no clip says the wake word: only false alarms are scored, and nothing is known of misses"
    )

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = [Sample(s.path, "not said", s.group) for s in samples]
        self.files = {
            "spectrogram": [
                ModelFile(
                    name="mel spectrogram",
                    origin=f"{_WHEEL}/melspectrogram.tflite",
                    sha256="96fa0adccb6e8cf95cb14465409a1a2898ee4a96a85bb9ed3c7eb0e68bf163e8",
                    licence="Apache-2.0",
                    meaning="16-bit sound as floats [1, T] → [1, 1, frames, 32]",
                )
            ],
            "embedding": [
                ModelFile(
                    name="speech embedding",
                    origin=f"{_WHEEL}/embedding_model.tflite",
                    sha256="c0aea21eb84a4ce90a08c870da41b7a7173b45269e6a3207c71d67c40f3a59d8",
                    licence="Apache-2.0",
                    meaning="frames [N, 76, 32, 1] → [N, 1, 1, 96]",
                )
            ],
            "word": [
                ModelFile(
                    name="Alexa",
                    origin=f"{_WHEEL}/alexa.tflite",
                    sha256="7333a317a790070a7f3432b81d9439c779481cc4ebd67c73da7174ea3cf48397",
                    licence="Apache-2.0",
                    meaning="embeddings [1, 16, 96] → score [1, 1]",
                )
            ],
        }

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """One clip as ``sound [1, T]``, in the range of 16-bit integers."""
        return as_heard(read_wav(encoded[0], "clip")[0])

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The chain: scores of the word, one for every 16 embeddings in a row ``[S]``."""
        mel = _ask(sessions["spectrogram"], feeds["sound"])[0, 0] / np.float32(10) + np.float32(2)
        starts = range(0, len(mel) - FRAMES + 1, FRAME_STEP)
        windows = np.stack([mel[start : start + FRAMES, :, None] for start in starts])
        embedded = _ask(sessions["embedding"], windows)[:, 0, 0]
        scores = [
            _ask(sessions["word"], embedded[None, first : first + EMBEDDINGS])[0, 0]
            for first in range(len(embedded) - EMBEDDINGS + 1)
        ]
        return [np.array(scores, dtype=np.float32)]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return float(outputs[0].max())

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"said": prediction >= SAID_FROM, "score": round(prediction, 4)}]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The same decision, the score within 0.02."""
        near = abs(answer["score"] - reference["score"]) <= AGREES_WITHIN
        return bool(near and answer["said"] == reference["said"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        alarms = sum(answer["said"] for _, answer in answered)
        return [Score("false_alarm_rate", alarms / len(answered), "all", len(answered))]


def as_heard(sound: npt.NDArray[np.float32]) -> Feeds:
    """``sound [1, T]``, in the range of 16-bit integers, of sound in -1…1."""
    return {"sound": (sound * np.float32(32767))[None, :]}


def _ask(session: Session, array: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    feeds = {session.inputs[0].name: np.ascontiguousarray(array, dtype=np.float32)}
    return session.run(feeds)[0]

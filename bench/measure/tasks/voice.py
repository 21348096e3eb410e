"""Voice: is somebody speaking, and if so, is it the wake word?

A device listens all day, and mostly to nothing that is said: ``speech`` (Silero VAD) is asked about every
clip, ``word`` (openWakeWord) about those with speech in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.audio import SPEECH_RATE, read_wav, speech_clips, synthesised_notes, write_wav
from bench.measure.backends import Feeds, Session
from bench.measure.chain import (
    HANDED,
    Chain,
    First,
    Following,
    asked_about,
    handed_on,
    without,
)
from bench.measure.tasks import Sample, Score, Task
from bench.measure.tasks.speech_detection import CONTEXT, SpeechDetection
from bench.measure.tasks.wake_word import CLIP_S, WakeWord, as_heard
from bench.record import Record


class Options(Record):
    """Which part of the work, and how much of what is heard is not speech."""

    stage: Literal["all", "speech", "word"] = "all"
    music: int = Field(default=12, ge=0, le=1000)
    """Clips of music, beside the twelve of a conversation."""
    seed: int = 7


def build(options: Options) -> Task:
    music = synthesised_notes(options.music, options.seed, CLIP_S, SPEECH_RATE)
    clips = speech_clips(CLIP_S) + [Sample(clip.path, "", clip.group) for clip in music]
    speech = Speech(clips)
    if options.stage == "speech":
        return speech
    if options.stage == "word":
        return Word(handed_on(speech))
    return Chain({"speech": speech, "word": Word([])})


class Speech(First, SpeechDetection):
    """A clip in; its stretches of speech out, and the clip itself if there are any."""

    size_unit = None

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Probabilities ``[N, T]``, and the sound ``[N, 512 T]``."""
        (probabilities,) = super().execute(sessions, feeds)
        chunks = feeds["chunks"]
        return [probabilities, chunks[:, :, CONTEXT:].reshape(len(chunks), -1)]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        probabilities, sounds = prediction
        said = super().postprocess(probabilities)
        return [{**one, HANDED: sound} for one, sound in zip(said, sounds, strict=True)]

    def sent(self, handed: npt.NDArray[np.float32]) -> list[bytes]:
        return [write_wav(handed, SPEECH_RATE)]


class Word(Following, WakeWord):
    """A clip with speech in it in, the highest score of the wake word out.

    Args:
        messages: about each clip, what the detector of speech hands on.
    """

    def __init__(self, messages: Sequence[Sample]) -> None:
        self.skipped = without(messages)
        super().__init__(asked_about(messages, self.skipped))

    def received(self, files: Sequence[bytes]) -> npt.NDArray[np.float32]:
        return read_wav(files[0], "clip")[0]

    def tensors(self, handed: Sequence[npt.NDArray[np.float32]]) -> Feeds:
        return as_heard(handed[0])

    def nothing(self) -> dict[str, Any]:
        return {"said": False, "score": 0.0}

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """False alarms of all clips: without speech there is none."""
        share = len(self.samples) / max(len(self.samples) + len(self.skipped), 1)
        return [
            Score(one.metric, one.value * (share or 1.0), one.group, one.samples)
            for one in super().score(answered)
        ]

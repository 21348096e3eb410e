"""Speech detection: Silero VAD says for every 32 ms of a clip whether somebody speaks.

The network sees 512 new samples after 64 old ones and carries its state from chunk to chunk
(Silero VAD 6, ``utils_vad.py``); a batch is several clips side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bench.errors import InputError
from bench.measure.audio import SPEECH_RATE, read_wav, speech_clips
from bench.measure.backends import Feeds, Session
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

CHUNK, CONTEXT, STATE = 512, 64, (2, 128)
STARTS_AT, ENDS_AT = 0.5, 0.35
"""Speech begins above the one probability and ends below the other, as Silero's defaults have it."""
AGREES_WITHIN = 0.05
LENGTHS = 12
"""Of clips, where they are of many."""

MODEL = ModelFile(
    name="Silero VAD 6.2.3",
    origin="wheel:silero-vad==6.2.3!silero_vad/data/silero_vad_op18_ifless.onnx",
    sha256="7671cd04b004e9076da0d4a7b1a5aec36adf161c39230c1cb94a4fd5db6bbd28",
    licence="MIT",
    meaning="sound [N, 576], state [2, N, 128], rate → probability of speech [N, 1], state",
)


class Options(Record):
    """Length of a clip, which is one request."""

    clip_s: float = Field(default=2.0, ge=0.5, le=15)
    longest_s: float | None = Field(default=None, ge=0.5, le=15)
    """Clips of many lengths, from ``clip_s`` to this; by default all are of one."""

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.longest_s is not None and self.longest_s < self.clip_s:
            raise ValueError("longest_s is below clip_s: give the longer one as longest_s")
        return self


def build(options: Options) -> SpeechDetection:
    longest = options.longest_s or options.clip_s
    lengths = np.unique(np.linspace(options.clip_s, longest, LENGTHS))
    return SpeechDetection([clip for length in lengths for clip in speech_clips(float(length))])


class SpeechDetection(Task):
    """A clip in, its stretches of speech out."""

    size_unit: str | None = "s of sound"

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [MODEL]}

    def size(self, sample: Sample) -> float:
        """How long the clip is."""
        sound, rate = read_wav(sample.path.read_bytes(), str(sample.path))
        return len(sound) / rate

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Clips as chunks with their context: ``chunks [N, T, 576]``, padded with silence."""
        clips = [read_wav(item, "clip")[0] for item in encoded]
        count = max(-(-len(clip) // CHUNK) for clip in clips)
        sound = np.zeros((len(clips), CONTEXT + count * CHUNK), dtype=np.float32)
        for row, clip in zip(sound, clips, strict=True):
            row[CONTEXT : CONTEXT + len(clip)] = clip
        windows = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + CHUNK, axis=1)
        return {"chunks": np.ascontiguousarray(windows[:, ::CHUNK])}

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The network once per chunk, its state carried over: probabilities ``[N, T]``."""
        session, chunks = sessions[ONE_STAGE], feeds["chunks"]
        state = np.zeros((STATE[0], len(chunks), STATE[1]), dtype=np.float32)
        rate = np.array(SPEECH_RATE, dtype=np.int64)
        probabilities = np.empty(chunks.shape[:2], dtype=np.float32)
        for index in range(chunks.shape[1]):
            now, state = session.run({"input": chunks[:, index], "state": state, "sr": rate})
            probabilities[:, index] = now[:, 0]
        return [probabilities]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [
            {"speech": segments(row), "probabilities": [round(float(p), 3) for p in row]}
            for row in prediction
        ]

    def found(self, answer: Mapping[str, Any]) -> int:
        """Stretches of speech."""
        return len(answer["speech"])

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The probability of every chunk within 0.05."""
        ours, theirs = answer["probabilities"], reference["probabilities"]
        return len(ours) == len(theirs) and bool(
            np.abs(np.subtract(ours, theirs)).max() <= AGREES_WITHIN
        )

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """F1 of the chunks called speech, by whether somebody speaks at their middle."""
        hits = misses = alarms = 0
        for sample, answer in answered:
            turns = read_truth(sample.truth or "")
            middles = (np.arange(len(answer["probabilities"])) + 0.5) * CHUNK / SPEECH_RATE
            spoken = inside(middles, turns)
            called = inside(middles, answer["speech"])
            hits += int((spoken & called).sum())
            misses += int((spoken & ~called).sum())
            alarms += int((~spoken & called).sum())
        return [
            Score("chunk_f1", 2 * hits / max(2 * hits + misses + alarms, 1), "all", len(answered))
        ]


def segments(probabilities: npt.NDArray[np.float32]) -> list[list[float]]:
    """Start and end in seconds of each stretch of speech."""
    found: list[list[float]] = []
    speaking = False
    for index, probability in enumerate(probabilities):
        at = round(index * CHUNK / SPEECH_RATE, 3)
        if not speaking and probability >= STARTS_AT:
            found.append([at, at])
            speaking = True
        elif speaking and probability < ENDS_AT:
            speaking = False
        if speaking:
            found[-1][1] = round((index + 1) * CHUNK / SPEECH_RATE, 3)
    return found


def read_truth(text: str) -> list[tuple[float, float]]:
    """``"0.100-1.250;1.500-2.000"`` as pairs of seconds."""
    try:
        pairs = [part.split("-") for part in text.split(";") if part]
        return [(float(start), float(end)) for start, end in pairs]
    except ValueError as error:
        raise InputError(f"no stretches of speech: {text!r}") from error


def inside(times: npt.NDArray[np.float64], turns: Sequence[Sequence[float]]) -> npt.NDArray[Any]:
    """For each time, whether it lies in one of the stretches."""
    result = np.zeros(len(times), dtype=bool)
    for start, end in turns:
        result |= (times >= start) & (times < end)
    return result

"""Note transcription: Spotify's basic-pitch hears which notes a piece of sound has.

The same network comes as ONNX and as LiteRT, with the same names of inputs and outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.audio import read_wav, synthesised_notes
from bench.measure.backends import Feeds, Session
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

RATE, LENGTH = 22_050, 43_844
"""Two seconds, as the network takes them."""
LOWEST_NOTE = 21
NOTES, ONSETS, CONTOURS = (f"StatefulPartitionedCall:{k}" for k in (1, 2, 0))
HEARD_FROM, LASTS_FROM = 0.5, 11
"""Probability, and frames in a row (of 172 in two seconds), as basic-pitch's defaults have it."""
_WHEEL = "wheel:basic-pitch==0.4.0!basic_pitch/saved_models/icassp_2022"
_MEANING = (
    "sound [N, 43844, 1] at 22,050 Hz → onsets and notes [N, 172, 88], contours [N, 172, 264]"
)

ONNX = ModelFile(
    name="basic-pitch, ICASSP 2022",
    origin=f"{_WHEEL}/nmp.onnx",
    sha256="2c3c1d144bfa61ad236e92e169c13535c880469a12a047d4e73451f2c059a0ec",
    licence="Apache-2.0",
    meaning=_MEANING,
)
LITERT = ModelFile(
    name="basic-pitch, ICASSP 2022",
    origin=f"{_WHEEL}/nmp.tflite",
    sha256="3db297d54af8e01c6e5618245c956b1d71b6a2b978cb2dedb527173186552676",
    licence="Apache-2.0",
    meaning=_MEANING,
)


class Options(Record):
    """Clips of synthesised notes."""

    clips: int = Field(default=24, ge=1, le=1000)
    seed: int = 7


def build(options: Options) -> NoteTranscription:
    return NoteTranscription(synthesised_notes(options.clips, options.seed, LENGTH / RATE, RATE))


class NoteTranscription(Task):
    """Two seconds of sound in, the MIDI numbers of the notes in it out."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self.files = {ONE_STAGE: [ONNX, LITERT]}
        self._input = ""
        self._places: list[int] = []

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        """Runtimes list the outputs in their own order; the names are the same."""
        session = sessions[ONE_STAGE]
        self._input = session.inputs[0].name
        names = [spec.name for spec in session.outputs]
        self._places = [names.index(name) for name in (NOTES, ONSETS, CONTOURS)]

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        batch = np.zeros((len(encoded), LENGTH, 1), dtype=np.float32)
        for row, item in zip(batch, encoded, strict=True):
            sound = read_wav(item, "clip")[0][:LENGTH]
            row[: len(sound), 0] = sound
        return {self._input: batch}

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """Notes, onsets, contours."""
        outputs = sessions[ONE_STAGE].run(feeds)
        return [outputs[place] for place in self._places]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"notes": notes_in(frames)} for frames in prediction]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The same notes."""
        return bool(answer["notes"] == reference["notes"])

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """F1 over all notes."""
        hits = extra = missed = 0
        for sample, answer in answered:
            played, heard = set(map(int, (sample.truth or "").split())), set(answer["notes"])
            hits += len(played & heard)
            extra += len(heard - played)
            missed += len(played - heard)
        f1 = 2 * hits / max(2 * hits + extra + missed, 1)
        return [Score("note_f1", f1, "all", len(answered))]


def notes_in(frames: npt.NDArray[np.float32]) -> list[int]:
    """MIDI numbers that sound long enough in ``frames [172, 88]``."""
    heard = []
    for place, probabilities in enumerate(frames.T):
        run = longest = 0
        for probability in probabilities:
            run = run + 1 if probability >= HEARD_FROM else 0
            longest = max(longest, run)
        if longest >= LASTS_FROM:
            heard.append(LOWEST_NOTE + place)
    return heard

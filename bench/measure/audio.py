"""Sound: real speech with known speakers' turns, synthesised notes, and WAV files in memory."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.measure.datasets import keep_input
from bench.measure.models import ModelFile, fetch
from bench.measure.tasks import Sample

Floats = npt.NDArray[np.float32]

SPEECH = ModelFile(
    name="a recorded conversation",
    origin="wheel:pyannote-audio==4.0.7!pyannote/audio/sample/sample.wav",
    sha256="c319b4abca767b124e41432d364fd7df006cb26bb79d09326c487d606a134e6e",
    licence="MIT (pyannote.audio's sample)",
    meaning="30 s of two people talking on the telephone, 16 kHz, one channel",
)
TURNS = ModelFile(
    name="the turns of that conversation",
    origin="wheel:pyannote-audio==4.0.7!pyannote/audio/sample/sample.rttm",
    sha256="d78fe62c69d8e6dcbb42c26adfce83faccb374c5a1e6d987fe37f85f1c173c87",
    licence="MIT (pyannote.audio's sample)",
    meaning="who speaks when, by hand: start and length in seconds",
)
SPEECH_RATE = 16_000
HIGHEST = 0.5
"""Loudness of synthesised sound, of full scale."""


def speech_clips(length_s: float) -> list[Sample]:
    """The conversation in clips of ``length_s``; the truth has the seconds somebody speaks in."""
    sound, rate = read_wav(fetch(SPEECH).read_bytes(), "sample.wav")
    turns = read_turns(fetch(TURNS).read_text())
    size = round(length_s * rate)
    samples = []
    for first in range(0, len(sound) - size + 1, size):
        start, end = first / rate, (first + size) / rate
        inside = [(max(a, start) - start, min(b, end) - start) for a, b in turns]
        spoken = ";".join(f"{a:.3f}-{b:.3f}" for a, b in inside if b > a)
        path = keep_input("speech", write_wav(sound[first : first + size], rate), "wav")
        samples.append(Sample(path, spoken, "recorded conversation"))
    return samples


def read_turns(rttm: str) -> list[tuple[float, float]]:
    """Start and end in seconds of every turn in an RTTM file."""
    rows = [line.split() for line in rttm.splitlines() if line.startswith("SPEAKER")]
    return [(float(row[3]), float(row[3]) + float(row[4])) for row in rows]


def synthesised_notes(count: int, seed: int, length_s: float, rate: int) -> list[Sample]:
    """Chords of one to three plucked notes with harmonics; the truth has their MIDI numbers."""
    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        pitches = sorted(rng.choice(np.arange(48, 80), rng.integers(1, 4), replace=False))
        sound = sum(note(int(pitch), length_s, rate, rng) for pitch in pitches)
        sound = np.asarray(sound / np.abs(sound).max() * HIGHEST, dtype=np.float32)
        path = keep_input("notes", write_wav(sound, rate), "wav")
        samples.append(Sample(path, " ".join(map(str, pitches)), "synthesised notes"))
    return samples


def note(pitch: int, length_s: float, rate: int, rng: np.random.Generator) -> Floats:
    """A plucked tone: ten harmonics that fade, the higher the sooner (A4 = 440 Hz = MIDI 69)."""
    time = np.arange(round(length_s * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    tone = np.zeros_like(time)
    for harmonic in range(1, 11):
        if harmonic * frequency < rate / 2:
            phase = rng.uniform(0, 2 * np.pi)
            fade = np.exp(-time * (0.8 + 0.5 * harmonic)) / harmonic
            tone += fade * np.sin(2 * np.pi * harmonic * frequency * time + phase)
    return tone.astype(np.float32)


def read_wav(encoded: bytes, name: str) -> tuple[Floats, int]:
    """Samples in -1…1 (16-bit PCM, first channel) and their rate.

    Raises:
        InputError: no such WAV file.
    """
    try:
        with wave.open(io.BytesIO(encoded)) as file:
            if file.getsampwidth() != 2:
                raise InputError("not 16-bit sound", where=name, allowed="16-bit PCM WAV")
            frames = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            channels, rate = file.getnchannels(), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise InputError(f"not a WAV file ({error})", where=name) from error
    return (frames[::channels] / np.float32(32768)).astype(np.float32), rate


def write_wav(sound: Sequence[float] | Floats, rate: int) -> bytes:
    """A WAV file of one channel, 16-bit PCM."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.asarray(sound).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()

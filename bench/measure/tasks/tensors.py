"""A model of your own with plain tensors in and out; no code needed.

The inputs are a folder of ``.npz`` files (one request each: an array per input of the model,
without the batch dimension), or are drawn at random from what the model says of its inputs. Either way
they are made before anything is timed, and a request weighs what its tensors do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bench.errors import InputError
from bench.measure import message
from bench.measure.backends import Feeds, RequestFailed, Session, TensorSpec
from bench.measure.backends._signature import refused
from bench.measure.models import ModelFile, built
from bench.measure.tasks import ONE_STAGE, Sample, Task, printable
from bench.measure.tasks._tensor_inputs import (
    MOST_BYTES,
    UNBATCHED,
    Array,
    Dtype,
    Wanted,
    draw_request,
    read_request,
    wanted_inputs,
)
from bench.record import Record

OWN = "the user's own"
SHOWN = 64
"""Values of each output that are compared, evenly spread over it."""
KEPT_WHOLE = 4096
"""Bytes of an answer that is kept as it is; of a longer one the values that are compared."""


RAISED = (RuntimeError, TypeError, ValueError, IndexError)
"""What a runtime raises of inputs that a model does not take, where the backend does not tell."""

SAID = 150
"""Characters of each end of what a runtime says."""


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
    shape: dict[str, list[Annotated[int, Field(ge=1)]]] = Field(default={})
    """By input: its shape without the batch, where the model leaves dimensions open."""
    types: dict[str, Dtype] = Field(default={})
    """By input: its type, where the model does not say it (TorchScript); by default float32."""
    range: dict[str, tuple[float, float]] = Field(default={})
    """By input: the lowest and the highest number drawn; by default standard normal."""
    samples: int = Field(default=16, ge=1, le=10_000)
    seed: int = Field(default=7, ge=0)
    integers_below: int | None = Field(default=None, ge=1)
    """Drawn integers lie from 0 to below it; by default 100, and all values of an 8-bit type."""
    tolerance: float = Field(default=0.01, gt=0, le=1)
    """Relative error (Euclidean) at which an answer still agrees."""
    batched: bool = True
    """Whether the first dimension of every input and output is the batch; else one request is one
    call."""

    @model_validator(mode="after")
    def _one_model(self) -> Options:
        if sum((self.file is not None, bool(self.files), self.origin is not None)) > 1:
            raise ValueError(
                "give one of file, files and origin; none where a server has the model"
            )
        if (self.origin is None) != (self.sha256 is None):
            raise ValueError(
                "origin and sha256 go together: a file is verified before it is used. `sha256sum "
                "FILE` prints it, and the Hugging Face hub shows it on the page of the file"
            )
        if self.side_files and self.origin is None:
            raise ValueError("side_files go with origin; those of a local file are found beside it")
        return self

    @model_validator(mode="after")
    def _ranges(self) -> Options:
        if wrong := [name for name, (low, high) in self.range.items() if low > high]:
            raise ValueError(f"the range of {wrong[0]!r} ends below its start")
        return self

    @property
    def models(self) -> list[ModelFile]:
        """The model in every format there is; none where only a server has it."""
        if self.origin and self.sha256:
            origin, sha256 = self.origin, self.sha256
            return [
                ModelFile(
                    name=origin, origin=origin, sha256=sha256, licence="", meaning=OWN,
                    side_files=self.side_files,
                )
            ]  # fmt: skip
        return [_entry(path) for path in (*filter(None, [self.file]), *self.files.values())]


def build(options: Options) -> Tensors:
    return Tensors(options)


class Tensors(Task):
    """Arrays in, arrays out."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.files = {ONE_STAGE: options.models}
        self.samples = _npz_files(options.inputs) if options.inputs else _numbers(options.samples)
        self.largest_batch = None if options.batched else 1
        self._specs: Sequence[TensorSpec] = ()
        self._wanted: list[Wanted] = []
        self._messages: dict[Path, bytes] = {}

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        """Learn the model's inputs, and make every request; nothing of it is timed.

        Raises:
            InputError: options or files do not fit the model.
        """
        specs = list(sessions[ONE_STAGE].inputs)
        if self._messages and specs == self._specs:
            return
        self._specs = specs
        self._wanted = wanted_inputs(specs, self._options, self._where)
        if any(spec.shape and spec.shape[0] == 1 for spec in specs):
            self.largest_batch = 1
        self._make_requests()

    def input(self, samples: Sequence[Sample]) -> list[bytes]:
        return [self._messages[sample.path] for sample in samples]

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Arrays by input name, stacked to a batch."""
        requests = [message.unpack(item) for item in encoded]
        if not self._options.batched:
            return {w.name: np.array(a) for w, a in zip(self._wanted, requests[0], strict=True)}
        return {
            one.name: np.array(requests[0][place])
            if one.shared
            else np.stack([request[place] for request in requests])
            for place, one in enumerate(self._wanted)
        }

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The call into the backend.

        Raises:
            InputError: the model refuses its inputs, or an output does not hold one item per request.
        """
        try:
            outputs = sessions[ONE_STAGE].run(feeds)
        except InputError as error:
            if isinstance(error, RequestFailed) and error.passing:
                raise
            raise self._refusal(error, feeds) from error
        except RAISED as error:
            said = " ".join(str(error).split()) or type(error).__name__
            if len(said) > 2 * SAID:  # TorchScript says why at the end, others at the start
                said = f"{said[:SAID]} … {said[-SAID:]}"
            fault = refused("The backend", Path(self._where), feeds, said)
            raise self._refusal(fault, feeds) from error
        if self.largest_batch != 1:
            self._require_items(feeds, outputs)
        return outputs

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        if self.largest_batch == 1:
            return [{"outputs": prediction}]
        return [{"outputs": [o[k] for o in prediction]} for k in range(len(prediction[0]))]

    def output(self, answers: Sequence[Mapping[str, Any]]) -> list[bytes]:
        return [message.pack(answer["outputs"]) for answer in answers]

    def weight(self, encoded: bytes) -> int:
        return message.weight(encoded)

    def keep(self, output: bytes) -> bytes:
        """The answer, or of a long one what :meth:`read` makes of it."""
        return output if len(output) <= KEPT_WHOLE else json.dumps(self.read(output)).encode()

    def read(self, kept: bytes) -> dict[str, Any]:
        if kept.startswith(b"{"):
            shown: dict[str, Any] = json.loads(kept)
            return shown
        return {"outputs": [digest(array) for array in message.unpack(kept)]}

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The values shown of every output are near the reference's."""
        pairs = list(zip(answer["outputs"], reference["outputs"], strict=True))
        return all(near(ours, theirs, self._options.tolerance) for ours, theirs in pairs)

    def _refusal(self, error: InputError, feeds: Feeds) -> InputError:
        """The fault of a model that does not take its inputs, with what may mend it."""
        if self.largest_batch != 1 and self._count(feeds) > 1:
            todo = "If it takes one request alone, set measure.max_batch: 1. " + UNBATCHED
        elif self._options.inputs is None:
            todo = (
                "The inputs are drawn: say what they must be with shape, types, range or "
                "integers_below, or give your own with inputs: FOLDER"
            )
            if self._options.batched:
                todo += ". If it takes no batch of one, set batched: false and give its whole shape"
        else:
            return error
        return InputError(error.what, where=error.where, allowed=error.allowed, todo=todo)

    def _count(self, feeds: Feeds) -> int:
        """Requests in a batch."""
        return next(len(feeds[one.name]) for one in self._wanted if not one.shared)

    @property
    def _where(self) -> str:
        named = [file.origin.removeprefix("file:") for file in self.files[ONE_STAGE]]
        return named[0] if named else "the server's model"

    def _make_requests(self) -> None:
        """Encode every sample; what does not fit into memory is left out, and that is said."""
        notes, requests, taken = [], [], 0
        for number, sample in enumerate(self.samples):
            request = self._request(number, sample)
            taken += message.array_bytes(request)
            if taken > MOST_BYTES and number:
                self._require_files(number)
                notes.append(
                    f"{number} of {len(self.samples)} inputs are used: no more fit into "
                    f"{MOST_BYTES >> 20} MiB"
                )
                self.samples = self.samples[:number]
                break
            self._messages[sample.path] = message.pack(request)
            requests.append(
                [
                    (a.shape, a.tobytes() if w.shared else b"")
                    for w, a in zip(self._wanted, request, strict=True)
                ]
            )
        if self.largest_batch != 1 and any(request != requests[0] for request in requests):
            self.largest_batch = 1
            notes.append(
                "the inputs are not alike in shape (or in what has no dimension for a batch), so "
                "that one request is one call"
            )
        self.caveat = "; ".join(notes) or None

    def _request(self, number: int, sample: Sample) -> list[Array]:
        if self._options.inputs is None:
            return draw_request(self._wanted, self._options, number)
        return read_request(sample.path, self._wanted, self._options)

    def _require_files(self, number: int) -> None:
        if self._options.inputs is None:
            raise InputError(
                f"{len(self.samples)} drawn inputs take more than {MOST_BYTES >> 20} MiB",
                where="task.samples", allowed=f"1 to {number}",
            )  # fmt: skip

    def _require_items(self, feeds: Feeds, outputs: Sequence[Array]) -> None:
        count = self._count(feeds)
        for place, output in enumerate(outputs):
            if output.ndim == 0 or len(output) != count:
                raise InputError(
                    f"output {place} has the shape {output.shape} in a batch of {count}, so that it "
                    "does not hold one item for each request",
                    where=self._where, todo=UNBATCHED,
                )  # fmt: skip


def digest(output: Array) -> dict[str, Any]:
    """Shape, and values evenly spread over an output; infinities in words, as JSON has none."""
    flat = output.ravel()
    places = np.unique(np.linspace(0, max(flat.size - 1, 0), SHOWN).astype(int))
    shown = flat[places] if flat.size else flat
    if message.is_text(output):
        return {"shape": list(output.shape), "text": message.as_text(shown).tolist()}
    values = shown.astype(np.float64).tolist()
    return {
        "shape": list(output.shape),
        "values": [value if np.isfinite(value) else str(value) for value in values],
    }


def near(ours: Mapping[str, Any], theirs: Mapping[str, Any], tolerance: float) -> bool:
    """Whether two digests say the same: text to the letter, numbers within ``tolerance``."""
    if ours["shape"] != theirs["shape"] or "text" in theirs:
        return ours == theirs
    found, wanted = (np.array([float(v) for v in side["values"]]) for side in (ours, theirs))
    finite = np.isfinite(wanted)
    if not np.array_equal(found[~finite], wanted[~finite]) or not np.isfinite(found[finite]).all():
        return False
    apart = float(np.linalg.norm(found[finite] - wanted[finite]))
    return apart <= tolerance * max(float(np.linalg.norm(wanted[finite])), 1e-9)


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
    return [Sample(path, None, printable(folder.name)) for path in paths]


def _numbers(count: int) -> list[Sample]:
    return [Sample(Path(str(number)), None, "drawn inputs") for number in range(count)]

"""Segmentation in three dimensions: a 3-D U-Net labels every voxel of a scan; seeded weights.

The network is MONAI's ``UNet`` as in its spleen tutorial. The weights are random and fixed by a
seed, the scans are made of ellipsoids: the work is that of the real network, the labels mean nothing.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from bench.measure.backends import Feeds, Session
from bench.measure.datasets import keep_input
from bench.measure.exports import Recipe, exported
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Task
from bench.record import Record

SEED = 20_260_101
CLASSES = 4
COARSE = 8
"""Answers say how many voxels of each class lie in each block of so many voxels a side."""
AGREES_FROM = 0.99


class Options(Record):
    """Voxels along each side of a scan, and how many scans there are."""

    side: int = Field(default=64, ge=32, le=256, multiple_of=16)
    scans: int = Field(default=8, ge=1, le=500)
    seed: int = 7


def build(options: Options) -> Segmentation:
    return Segmentation(options.side, phantoms(options.scans, options.side, options.seed))


class Segmentation(Task):
    """A scan in, the volume of each class in each of its blocks out."""

    caveat = "seeded weights: compute shape only, the labels mean nothing"
    files: Mapping[str, Sequence[ModelFile]] = {ONE_STAGE: ()}

    def __init__(self, side: int, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self._side = side
        self._input = ""

    def formats(self, stage: str) -> tuple[str, ...]:
        return ("onnx", "torch-export")

    def model(self, stage: str, format_: str) -> ModelFile:
        return exported(recipe(self._side), format_)

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        self._input = sessions[ONE_STAGE].inputs[0].name

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Scans ``[N, 1, S, S, S]``, each with mean 0 and deviation 1."""
        scans = [np.load(io.BytesIO(item), allow_pickle=False) for item in encoded]
        normal = [(scan - scan.mean()) / max(scan.std(), 1e-6) for scan in scans]
        return {self._input: np.stack(normal)[:, None].astype(np.float32)}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """The likeliest class of every voxel ``[N, S, S, S]``."""
        return outputs[0].argmax(axis=1)

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"blocks": counts(labels)} for labels in prediction]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """Dice of the volumes, block by block, at least 0.99."""
        ours, theirs = np.array(answer["blocks"]), np.array(reference["blocks"])
        return bool(2 * np.minimum(ours, theirs).sum() >= AGREES_FROM * (ours.sum() + theirs.sum()))


def counts(labels: npt.NDArray[np.int64]) -> list[list[int]]:
    """Voxels of each class in each block."""
    blocks = labels.shape[0] // COARSE
    cut = labels.reshape(blocks, COARSE, blocks, COARSE, blocks, COARSE)
    return [
        (cut == kind).sum(axis=(1, 3, 5)).ravel().tolist() for kind in range(CLASSES)
    ]  # fmt: skip


def phantoms(count: int, side: int, seed: int) -> list[Sample]:
    """Scans of four to eight ellipsoids of their own brightness, with noise, as ``.npy`` files."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij"))
    samples = []
    for _ in range(count):
        scan = rng.normal(0, 0.05, (side,) * 3)
        for _ in range(rng.integers(4, 9)):
            centre, radius = (
                rng.uniform(-0.6, 0.6, (3, 1, 1, 1)),
                rng.uniform(0.1, 0.5, (3, 1, 1, 1)),
            )
            scan[(((grid - centre) / radius) ** 2).sum(axis=0) < 1] += rng.uniform(0.2, 1)
        buffer = io.BytesIO()
        np.save(buffer, scan.astype(np.float16), allow_pickle=False)
        samples.append(Sample(keep_input("scans", buffer.getvalue(), "npy"), None, "phantoms"))
    return samples


def recipe(side: int) -> Recipe:
    """How the network is made."""
    return Recipe(
        name=f"unet-3d,{side},seed {SEED},1",
        packages=("torch", "monai", "onnx", "onnxscript"),
        module=_module,
        example=functools.partial(_example, side),
        dynamic={"scan": (0,)},
        outputs=("logits",),
        licence="none: seeded weights",
        meaning=f"scans [N, 1, {side}, {side}, {side}] → logits [N, {CLASSES}, …]; compute shape only",
    )


def _module() -> Any:
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(SEED)
    return UNet(
        spatial_dims=3, in_channels=1, out_channels=CLASSES, channels=(16, 32, 64, 128),
        strides=(2, 2, 2), num_res_units=2, norm="INSTANCE",
    )  # fmt: skip


def _example(side: int) -> Mapping[str, Any]:
    import torch

    return {"scan": torch.zeros(2, 1, side, side, side)}

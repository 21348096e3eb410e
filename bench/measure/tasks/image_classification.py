"""Image classification on a well-known architecture, ResNet-50 or ViT-Base, with seeded weights.

The weights are random and fixed by a seed: the classes mean nothing, the work is that of the real
network. Batch-normalisation statistics are set from random images, so that activations stay small.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from bench.measure.backends import Feeds, Session
from bench.measure.datasets import photographs
from bench.measure.exports import Recipe, exported
from bench.measure.models import ModelFile
from bench.measure.tasks import ONE_STAGE, Sample, Task
from bench.record import Record

SIDE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TOP = 5
AGREES_WITHIN = 0.02
SEED = 20_260_101

Architecture = Literal["resnet-50", "vit-base"]


class Options(Record):
    """The network, and how many crops of photographs it sees."""

    architecture: Architecture = "resnet-50"
    images: int = Field(default=32, ge=1, le=10_000)
    seed: int = 7


def build(options: Options) -> ImageClassification:
    return ImageClassification(options.architecture, photographs(options.images, options.seed))


class ImageClassification(Task):
    """A photograph in, five classes with their probabilities out."""

    caveat = "seeded weights: compute shape only, the classes mean nothing"
    files: Mapping[str, Sequence[ModelFile]] = {ONE_STAGE: ()}

    def __init__(self, architecture: Architecture, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self._architecture = architecture
        self._input = ""

    def formats(self, stage: str) -> tuple[str, ...]:
        # LiteRT's interpreter can resize a convolutional network to other batches, a ViT it cannot.
        lite = ("tflite",) if self._architecture == "resnet-50" else ()
        return ("onnx", "torch-export", *lite)

    def model(self, stage: str, format_: str) -> ModelFile:
        return exported(recipe(self._architecture), format_)

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        self._input = sessions[ONE_STAGE].inputs[0].name

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Decoded, resized, cut to 224 by 224, normalised as ImageNet's: ``[N, 3, 224, 224]``."""
        return {self._input: np.stack([_decode(item) for item in encoded])}

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        """Logits → probabilities."""
        raised = np.exp(outputs[0] - outputs[0].max(axis=1, keepdims=True))
        return raised / raised.sum(axis=1, keepdims=True)

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        best = np.argsort(-prediction, axis=1)[:, :TOP]
        return [
            {"classes": [[int(k), round(float(row[k]), 5)] for k in order]}
            for order, row in zip(best, prediction, strict=True)
        ]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The reference's first class among the five, with nearly its probability.

        Untrained networks give near ties, so that the order of the first five says little.
        """
        wanted, probability = reference["classes"][0]
        ours = dict(map(tuple, answer["classes"]))
        return wanted in ours and abs(ours[wanted] - probability) <= AGREES_WITHIN


def _decode(encoded: bytes) -> npt.NDArray[np.float32]:
    with Image.open(io.BytesIO(encoded)) as image:
        scale = 256 / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        resized = image.convert("RGB").resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    pixels = np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)), dtype=np.float32)
    normal = (pixels / 255 - np.array(MEAN)) / np.array(DEVIATION)
    return np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32)


def recipe(architecture: Architecture) -> Recipe:
    """How the network is made."""
    return Recipe(
        name=f"{architecture},seed {SEED},1",
        packages=("torch", "transformers", "onnx", "onnxscript"),
        module=functools.partial(_module, architecture),
        example=_example,
        dynamic={"pixels": (0,)},
        outputs=("logits",),
        licence="none: seeded weights",
        meaning="images [N, 3, 224, 224] → logits [N, 1000]; compute shape only",
    )


def _module(architecture: Architecture) -> Any:
    import torch
    from transformers import (
        ResNetConfig,
        ResNetForImageClassification,
        ViTConfig,
        ViTForImageClassification,
    )

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, pixels: Any) -> Any:
            return self.network(pixel_values=pixels).logits

    torch.manual_seed(SEED)
    if architecture == "vit-base":
        return Logits(ViTForImageClassification(ViTConfig(num_labels=1000)))
    network = ResNetForImageClassification(ResNetConfig(num_labels=1000))
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the plain average of what it sees
    network.train()
    with torch.no_grad():
        network(pixel_values=torch.randn(16, 3, SIDE, SIDE))
    return Logits(network.eval())


def _example() -> Mapping[str, Any]:
    import torch

    return {"pixels": torch.zeros(2, 3, SIDE, SIDE)}

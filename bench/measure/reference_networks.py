"""Networks that other people have timed on many devices, to be timed on this machine as well.

Each is the published architecture with weights of its own, drawn from a seed: what a network answers
means nothing, what it computes is that of its name. They are built by ``transformers``, but for one.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from bench.errors import InputError
from bench.executor import Report, signs_of_life
from bench.measure.backends import Feeds, TensorSpec
from bench.measure.exports import Recipe, exported, place_of
from bench.measure.squeezenet import squeezenet

SEED = 20_260_301
WORDS = 30_000
"""Fewer than any vocabulary has, so that every number is a word."""
FORMATS = ("onnx", "torch-export")
"""What they can be exported to."""


class Reference(NamedTuple):
    """A network at one input, by its name in the published table."""

    name: str
    input: int
    """Side of an image in pixels, or length of a text in tokens."""
    architecture: str
    """The class of ``transformers``, or of this program."""
    options: Mapping[str, Any]
    """Where it differs from the defaults of its configuration."""
    parameters: int
    """As the published table counts them, which may leave out or add a table of positions."""
    operations: int
    """Multiply-accumulates of a sample, as the published table counts them."""

    @property
    def kind(self) -> Literal["image", "text"]:
        return "text" if self.architecture.endswith("Model") else "image"


_RESNET, _REGNET = "ResNetForImageClassification", "RegNetForImageClassification"
_VIT = "ViTForImageClassification"
_MINI = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
_SMALL_RESNET = {
    "layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512],
}  # fmt: skip
_REGNETY_004 = {"depths": [1, 3, 6, 6], "hidden_sizes": [48, 104, 208, 440], "groups_width": 8}
_REGNETX_008 = {
    "layer_type": "x", "depths": [1, 3, 7, 5], "hidden_sizes": [64, 128, 288, 672],
    "groups_width": 16,
}  # fmt: skip
_EFFICIENTNET_B0 = {
    "image_size": 224, "width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280,
}  # fmt: skip
_VIT_TINY = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}
_VIT_SMALL = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536}
_LEVIT_256 = {
    "hidden_sizes": [256, 384, 512], "num_attention_heads": [4, 6, 8], "depths": [4, 4, 4],
    "key_dim": [32, 32, 32],
}  # fmt: skip
_AS_TIMM = {"tf_padding": False}

NETWORKS = (
    Reference("squeezenet1_1", 227, "SqueezeNet", {}, 1_235_496, 387_747_520),
    Reference("mobilenetv2_100", 224, "MobileNetV2ForImageClassification", _AS_TIMM, 3_504_872, 300_774_272),
    Reference("resnet18", 224, _RESNET, _SMALL_RESNET, 11_689_512, 1_814_073_344),
    Reference("efficientnet_b0", 224, "EfficientNetForImageClassification", _EFFICIENTNET_B0, 5_288_548, 385_814_752),
    Reference("minilm-l6", 128, "BertModel", _MINI, 22_910_592, 1_434_599_424),
    Reference("regnety_004", 224, _REGNET, _REGNETY_004, 4_344_144, 401_842_848),
    Reference("vit_tiny_patch16_224", 224, _VIT, _VIT_TINY, 5_717_416, 1_253_683_200),
    Reference("resnet50", 224, _RESNET, {}, 25_557_032, 4_089_184_256),
    Reference("mobilenetv1_100", 224, "MobileNetV1ForImageClassification", _AS_TIMM, 4_231_976, 568_740_352),
    Reference("convnext_tiny", 224, "ConvNextForImageClassification", {}, 28_589_128, 4_455_531_264),
    Reference("regnetx_008", 224, _REGNET, _REGNETX_008, 7_259_656, 799_699_712),
    Reference("levit_256", 224, "LevitForImageClassificationWithTeacher", _LEVIT_256, 18_893_876, 1_127_257_344),
    Reference("poolformer_s12", 224, "PoolFormerForImageClassification", {}, 11_915_176, 1_812_267_008),
    Reference("mobilevit_s", 256, "MobileViTForImageClassification", {}, 5_578_632, 2_000_831_488),
    Reference("vit_small_patch16_224", 224, _VIT, _VIT_SMALL, 22_050_664, 4_598_882_304),
    Reference("swin_tiny_patch4_window7_224", 224, "SwinForImageClassification", {}, 28_288_354, 4_490_566_656),
    Reference("bert-base", 128, "BertModel", {}, 109_876_992, 11_174_215_680),
)  # fmt: skip
"""Those first that most devices were timed with, in case there is no time for all."""


def recipe_of(reference: Reference) -> Recipe:
    """How the network is made and exported."""
    fed = "words" if reference.kind == "text" else "pixels"
    return Recipe(
        name=f"{reference.name}-{reference.input},seed {SEED},1",
        packages=("torch", "transformers", "onnx", "onnxscript"),
        module=functools.partial(_settled_network, reference, fed),
        example=functools.partial(_example, reference, fed),
        dynamic={fed: (0,)},
        outputs=("answer",),
        licence="none: seeded weights",
        meaning=f"{fed}, [N, …] at {reference.input} → an answer; compute shape only",
    )


def unmade(references: Sequence[Reference], format_: str) -> list[Reference]:
    """Those that have to be exported first."""
    return [one for one in references if not place_of(recipe_of(one), format_).is_file()]


class Making(NamedTuple):
    """What is to be exported: for :func:`make`."""

    references: Sequence[Reference]
    format: str
    seconds: float
    """After which no other is begun."""


def make(item: Making, report: Report) -> dict[str, str]:
    """Export one network after another; the names of those that cannot be, and why.

    For a process of its own: it has every logger hold its tongue.

    Raises:
        MissingRequirement: a package to make them is not installed.
    """
    logging.disable(logging.WARNING)  # the exporters' notes to their own authors
    references, format_, seconds = item
    end, failed = time.monotonic() + seconds, {}
    for reference in references:
        if time.monotonic() > end:
            break
        with signs_of_life(report, reference.name):
            try:
                exported(recipe_of(reference), format_)
            except InputError as error:
                failed[reference.name] = str(error)
    return failed


def feeds_of(reference: Reference, spec: TensorSpec, batch: int, rng: np.random.Generator) -> Feeds:
    """A batch of inputs that no call has seen before."""
    if reference.kind == "text":
        return {spec.name: rng.integers(1, WORDS, (batch, reference.input))}
    shape = (batch, 3, reference.input, reference.input)
    return {spec.name: rng.standard_normal(shape, np.float32)}


def built_network(reference: Reference) -> Any:
    """The ``torch.nn.Module``, in evaluation mode: one tensor in, one tensor out."""
    import torch
    import transformers

    class Plain(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network

        def forward(self, fed: Any) -> Any:
            return self.network(fed)[1 if reference.kind == "text" else 0]  # an encoder's pooled

    torch.manual_seed(SEED)
    if reference.architecture == "SqueezeNet":
        return squeezenet().eval()
    network = getattr(transformers, reference.architecture)
    classes = {} if reference.kind == "text" else {"num_labels": 1000}
    made = network(network.config_class(**classes, **reference.options))
    if hasattr(made, "efficientnet"):  # an average over more than there is, which OpenVINO refuses
        made.efficientnet.pooler = torch.nn.AdaptiveAvgPool2d(1)
    return Plain(made).eval()


def with_even_signals(network: Any, example: Any) -> Any:
    """The network with the statistics of batch normalisation as ``example`` has them.

    Untrained, signals fade from layer to layer to numbers so small that processors compute with
    them many times slower.
    """
    import torch

    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            layer.reset_parameters()  # some architectures draw its scale as if it were a weight
            layer.momentum = None  # the plain average of what it sees
            layer.train()
    with torch.no_grad():
        network(example)
    return network.eval()


def _settled_network(reference: Reference, fed: str) -> Any:
    return with_even_signals(built_network(reference), _example(reference, fed, 8)[fed])


def _example(reference: Reference, fed: str, batch: int = 2) -> Mapping[str, Any]:
    import torch

    feeds = feeds_of(reference, TensorSpec(fed, "", ()), batch, np.random.default_rng(SEED))
    return {name: torch.from_numpy(array) for name, array in feeds.items()}

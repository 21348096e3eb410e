"""What published networks compute and write, counted from their own definitions with weights of no value.

``python -m tests.evidence.networks FILE`` builds every network of timm, torchvision, transformers and
ultralytics (which are no dependencies of this project) on PyTorch's ``meta`` device, which computes
shapes and nothing else, sends one sample through it, and adds up what each operation does. The file
is what ``tests/evidence/timings.py`` takes. It runs for half an hour.
"""

from __future__ import annotations

import csv
import math
import re
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.counts import COUNTS

TV_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "ps_roi_align", "_ps_roi_align_backward", "roi_pool",
    "_roi_pool_backward", "ps_roi_pool", "_ps_roi_pool_backward", "qroi_align", "deform_conv2d",
    "_deform_conv2d_backward",
)  # fmt: skip
"""Of torchvision's compiled part, which is not there for every build of PyTorch and which nobody calls here."""
SIZES = (224, 320, 416, 480, 513, 520, 640)
TEXTS = (128, 177, 256, 384, 512)
ENCODERS: dict[str, dict[str, Any]] = {
    "bert-base": {},
    "bert-large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
    "distilbert-base": {"num_hidden_layers": 6},
    "minilm-l6": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "minilm-l12": {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 1536},
    "bert-tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 512},
}  # fmt: skip

Build = Callable[[], torch.nn.Module]


@dataclass(frozen=True)
class Network:
    """One to be counted: whose it is, its name, the side of its image or the length of its text."""

    source: str
    name: str
    input: int
    build: Build


class Counting(TorchDispatchMode):
    """Adds up what every operation does that is called meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.found = dict.fromkeys(COUNTS, 0)

    def __torch_dispatch__(
        self, called: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = called(*args, **(kwargs or {}))
        written = out[0] if isinstance(out, tuple | list) and out else out
        name = called.overloadpacket.__name__
        kind, products = products_of(name, args, written)
        if kind is not None:
            self.found[kind] += products
            self.found["layers"] += 1
            self.found["written"] += 0 if kind == "attention" else written.numel()
        return out


def products_of(name: str, args: Any, written: Any) -> tuple[str | None, int]:
    """The kind of layer that an operation is, and its multiply-accumulates."""
    if name == "convolution":
        weight, transposed, groups = args[1], args[6], args[8]
        each = math.prod(weight.shape[1:])
        kind = "convolution" if groups == 1 else "depthwise" if weight.shape[1] == 1 else "grouped"
        return kind, (args[0] if transposed else written).numel() * each
    if name in ("addmm", "mm"):
        return "linear", written.numel() * args[name == "addmm"].shape[-1]
    if name in ("bmm", "baddbmm"):
        return "attention", written.numel() * args[name == "baddbmm"].shape[-1]
    if "scaled_dot_product" in name:
        batch, heads, steps, width = args[0].shape
        return "attention", 2 * batch * heads * steps * args[1].shape[2] * width
    return None, 0


def main() -> None:
    without_compiled_part_of_torchvision()
    rows: dict[tuple[str, str, int], list[int]] = {}
    for network in (
        *of_timm(),
        *of_torchvision(),
        *detector(),
        *of_transformers(),
        *of_ultralytics(),
    ):
        try:
            found = counted(network)
        except Exception as error:  # whatever a network does not take
            print(f"{network.source} {network.name} {network.input}: {error}", file=sys.stderr)
            continue
        rows[network.name, network.input, network.source] = [found[key] for key in COUNTS]
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["network", "input", "origin", *COUNTS])
        writer.writerows([*key, *rows[key]] for key in sorted(rows))


def counted(network: Network) -> dict[str, int]:
    with torch.device("meta"), torch.no_grad():
        built = network.build().eval()
        if network.source == "ultralytics" and "cls" not in network.name:
            built.model[-1].training = True  # boxes are not decoded, which needs values
        text = network.source == "transformers"
        shape = (1, network.input) if text else (1, 3, network.input, network.input)
        sample = torch.empty(shape, dtype=torch.long if text else torch.float32)
        with Counting() as counting:
            built(sample)
    weights = sum(parameter.numel() for parameter in built.parameters())
    return {**counting.found, "parameters": weights}


def of_timm() -> Iterator[Network]:
    import timm

    def build(name: str, side: int) -> Build:
        def make() -> Any:
            try:
                return timm.create_model(name, img_size=side)
            except TypeError:  # any side will do
                return timm.create_model(name)

        return make

    for name in timm.list_models():
        configured = timm.get_pretrained_cfg(name)
        sides = {224} | {getattr(configured, key)[-1] for key in ("input_size", "test_input_size")
                         if getattr(configured, key, None)}  # fmt: skip
        for side in sorted(sides):
            yield Network("timm", name, side, build(name, side))


def of_torchvision() -> Iterator[Network]:
    from torchvision import models

    for module in (models, models.segmentation):
        for name in models.list_models(module=module):
            own = {"inception_v3": (299,)}.get(name, SIZES[:1] if module is models else SIZES[3:6])
            options = {} if module is models else {"weights_backbone": None}
            if name in ("googlenet", "inception_v3"):
                options["init_weights"] = False
            for side in own:
                build = _of(models.get_model, name, weights=None, **options)
                yield Network("torchvision", name, side, build)


def detector() -> Iterator[Network]:
    """The benchmark's RetinaNet, without the choice among its boxes, which needs values."""
    from torchvision.models import resnext50_32x4d
    from torchvision.models.detection import RetinaNet
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.ops.feature_pyramid_network import LastLevelP6P7

    class Plain(RetinaNet):
        def forward(self, images: torch.Tensor) -> Any:
            return self.head(list(self.backbone(images).values()))

    def make() -> torch.nn.Module:
        pyramid = LastLevelP6P7(256, 256)
        stages = {"returned_layers": [2, 3, 4], "extra_blocks": pyramid}
        return Plain(_resnet_fpn_extractor(resnext50_32x4d(weights=None), 5, **stages), 264)

    yield Network("torchvision", "retinanet_resnext50_32x4d_fpn", 800, make)


def of_transformers() -> Iterator[Network]:
    from transformers import BertConfig, BertModel

    for name, options in ENCODERS.items():
        config = BertConfig(**options, max_position_embeddings=1024, attn_implementation="sdpa")
        for length in TEXTS:
            yield Network("transformers", name, length, _of(BertModel, config))


def of_ultralytics() -> Iterator[Network]:
    import ultralytics
    from ultralytics.nn import tasks

    kinds = {
        "seg": tasks.SegmentationModel, "pose": tasks.PoseModel, "cls": tasks.ClassificationModel,
        "obb": tasks.OBBModel, "rtdetr": tasks.RTDETRDetectionModel,
    }  # fmt: skip

    def build(path: Path, kind: Any) -> Build:
        def make() -> Any:
            with torch.device("cpu"):  # strides are worked out from values
                return kind(tasks.yaml_model_load(str(path)), verbose=False).to("meta")

        return make

    folder = Path(ultralytics.__file__).parent / "cfg" / "models"
    for path in sorted(folder.rglob("*.yaml")):
        if re.search("yoloe|world|depth|sem|ghost|p2|cls-res", path.stem):
            continue
        kind = next((made for key, made in kinds.items() if key in path.stem), tasks.DetectionModel)
        alone = re.search(r"v9|v10|rtdetr-|spp|tiny", path.stem)
        for scale in ("",) if alone else "nsmlx":
            name = re.sub(r"(yolov?\d+)", rf"\g<1>{scale}", path.stem, count=1)
            sides = {"cls": (224,), "obb": (1024,), "p6": (1280,)}
            own = next((side for key, side in sides.items() if key in name), (320, 416, 640))
            for side in own:
                yield Network("ultralytics", name, side, build(path.with_stem(name), kind))


def _of(make: Callable[..., Any], *arguments: Any, **options: Any) -> Build:
    return lambda: make(*arguments, **options)


def without_compiled_part_of_torchvision() -> None:
    sys.modules["torchvision._meta_registrations"] = types.ModuleType("_meta_registrations")
    library = torch.library.Library("torchvision", "DEF")
    for name in TV_OPERATORS:
        library.define(f"{name}(Tensor a) -> Tensor")


if __name__ == "__main__":
    main()

"""What the PyTorch backends share: safe loading, one synchronised step on a device."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.errors import InputError
from bench.measure.backends import BackendOptions, Feeds, Placement, TensorSpec
from bench.measure.backends._torch_load import load_program

FORMATS = ("torch-export", "torchscript")
AUTOCAST = {"bf16": "bfloat16", "fp16": "float16"}
LEARNING_RATE = 1e-6
"""Small, so that many timed steps leave the network what it is."""


class Options(BackendOptions):
    """Precision (by autocast), and whether an inference or a training step is one call."""

    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # type: ignore[assignment]
    step: Literal["inference", "training"] = "inference"
    """A training step: forward, mean square of the outputs as the loss, backward, SGD update."""


def torch_missing() -> str | None:
    if importlib.util.find_spec("torch") is None:
        return 'the package torch; install it with: pip install "inference-testbed[torch]"'
    return None


def cuda_missing() -> str | None:
    """Why CUDA cannot be used by PyTorch here, or ``None``."""
    if reason := torch_missing():
        return reason
    import torch

    if torch.version.cuda is None:
        return "a PyTorch build with CUDA; the installed one is for the CPU only"
    return None if torch.cuda.is_available() else "an NVIDIA GPU with its driver"


def compiler_missing() -> str | None:
    """torch.compile writes C++ (and, for a GPU, Triton) and has it compiled."""
    if any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl")):
        return None
    return "a C++ compiler (g++ or clang++), which torch.compile calls"


class TorchSession:
    """A loaded program on one device; a call copies in, runs, synchronises and copies out.

    Raises:
        InputError: the file cannot be loaded, or only by unpickling.
    """

    def __init__(
        self,
        model: Path,
        options: Options,
        threads: int,
        device: str,
        wrap: Callable[[Any], Any] = lambda module: module,
    ) -> None:
        import torch

        _limit_threads(threads)
        self._torch, self._device, self._options = torch, device, options
        self._model = model
        if not model.is_file() or model.stat().st_size == 0:
            raise InputError("there is no such model file, or it is empty", where=str(model))
        program = load_program(model, device)
        self._module, self.inputs, self._arguments = (
            program.module, program.inputs, program.arguments,
        )  # fmt: skip
        self._module.to(device)
        self._call = wrap(self._module)
        self._optimiser = _optimiser(self._module, model) if options.step == "training" else None
        self.outputs: Sequence[TensorSpec] = []
        self._output_devices: list[str] = []
        self._copies_inputs = True
        """Until the first call has shown that the program leaves its inputs as they are."""

    def run(self, feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        torch = self._torch
        tensors = {name: self._tensor(array) for name, array in feeds.items()}
        on_device = {name: tensor.to(self._device) for name, tensor in tensors.items()}
        optimiser = self._optimiser
        leaves = self._train(on_device, optimiser) if optimiser else self._infer(on_device)
        if not self._output_devices:
            self._look_at_first_call(on_device, leaves)
        arrays = [_to_numpy(leaf) for leaf in leaves]
        if self._device != "cpu":
            torch.cuda.synchronize()
        if not self.outputs:
            self.outputs = [
                TensorSpec(f"output {k}", array.dtype.name, array.shape)
                for k, array in enumerate(arrays)
            ]
        return arrays

    def placement(self) -> Placement:
        devices = [str(p.device) for p in [*self._module.parameters(), *self._module.buffers()]]
        kinds = Counter(name.partition(":")[0] for name in [*devices, *self._output_devices])
        wanted = self._device.partition(":")[0]
        return Placement(
            wanted=wanted,
            nodes=dict(kinds),
            elsewhere=sorted(f"tensors on {name}" for name in kinds if name != wanted),
            proof="the devices of all parameters, buffers and outputs",
        )

    def metadata(self) -> dict[str, str]:
        return {}

    def _tensor(self, array: npt.NDArray[Any]) -> Any:
        copied = self._copies_inputs or not array.flags.writeable
        array = np.array(array, order="C") if copied else np.ascontiguousarray(array)
        return self._torch.from_numpy(array)

    def _look_at_first_call(self, fed: dict[str, Any], leaves: list[Any]) -> None:
        if not leaves:
            raise InputError("the model returns no tensor", where=str(self._model))
        self._output_devices = [str(leaf.device) for leaf in leaves]
        # The arrays belong to the caller, who may feed them again.
        self._copies_inputs = any(tensor._version > 0 for tensor in fed.values())

    def _infer(self, feeds: dict[str, Any]) -> list[Any]:
        with self._torch.inference_mode(), self._autocast():
            return self._leaves(feeds)

    def _train(self, feeds: dict[str, Any], optimiser: Any) -> list[Any]:
        optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            leaves = self._leaves(feeds)
            losses = [leaf.float().square().mean() for leaf in leaves if leaf.requires_grad]
        if not losses:
            raise InputError("no output depends on the weights", allowed="step: inference")
        sum(losses).backward()
        optimiser.step()
        return [leaf.detach() for leaf in leaves]

    def _leaves(self, feeds: dict[str, Any]) -> list[Any]:
        positional, named = self._arguments(feeds)
        result = self._call(*positional, **named)
        leaves = self._torch.utils._pytree.tree_leaves(result)
        return [leaf for leaf in leaves if isinstance(leaf, self._torch.Tensor)]

    def _autocast(self) -> Any:
        if self._options.precision == "fp32":
            return nullcontext()
        dtype = getattr(self._torch, AUTOCAST[self._options.precision])
        return self._torch.autocast(self._device.partition(":")[0], dtype=dtype)


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        with suppress(RuntimeError):  # too late: something in this process ran in parallel
            torch.set_num_interop_threads(1)


def _optimiser(module: Any, model: Path) -> Any:
    import torch

    weights = [weight for weight in module.parameters() if weight.requires_grad]
    if not weights:
        raise InputError(
            "the model has no weights that can be trained",
            where=str(model),
            allowed="step: inference",
        )
    return torch.optim.SGD(weights, lr=LEARNING_RATE)


def _to_numpy(leaf: Any) -> npt.NDArray[Any]:
    """An output on the host; what NumPy has no type for, and half precision, as float32."""
    if leaf.is_quantized:
        leaf = leaf.dequantize()
    narrow = leaf.dtype.is_floating_point and leaf.dtype.itemsize < 4
    array: npt.NDArray[Any] = (leaf.float() if narrow else leaf).cpu().resolve_conj().numpy()
    return array

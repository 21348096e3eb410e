"""Networks built from code, exported once to a format that a backend reads, and kept in the cache."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import InputError, MissingRequirement
from bench.folders import cache_folder
from bench.measure.models import ModelFile, built

SUFFIX = {"onnx": ".onnx", "torch-export": ".pt2", "tflite": ".tflite"}
EXPORTERS = {"tflite": ("litert_torch", "litert-models")}
"""The package that an export needs beside the recipe's own, and the extra that brings it."""
OPSET = 20


@dataclass(frozen=True)
class Recipe:
    """How to make a network, and what it is fed with."""

    name: str
    """Changes whenever the result does: it is the key of the cache."""
    packages: Sequence[str]
    module: Callable[[], Any]
    """A ``torch.nn.Module`` in evaluation mode, with its weights."""
    example: Callable[[], Mapping[str, Any]]
    """Input tensors by name, in the order of the arguments; at least two items each."""
    dynamic: Mapping[str, Sequence[int]]
    """By input: the dimensions that may vary."""
    outputs: Sequence[str]
    licence: str
    meaning: str


def exported(recipe: Recipe, format_: str) -> ModelFile:
    """The network in ``format_``, made on first use.

    Raises:
        MissingRequirement: it is not in the cache, and a package to make it is not installed.
        InputError: the export fails.
    """
    path = place_of(recipe, format_)
    if not path.is_file():
        _require(recipe, format_)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / path.name
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the exporters' notes to their own authors
                    _export(recipe, format_, made)
            except Exception as error:  # the exporters raise whatever they meet
                raise InputError(
                    f"the network {recipe.name!r} cannot be exported to {format_} "
                    f"({type(error).__name__}: {' '.join(str(error).split())[:200]})"
                ) from error
            os.replace(made, path)
    return built(path, recipe.name, recipe.licence, recipe.meaning)


def place_of(recipe: Recipe, format_: str) -> Path:
    """Where the network in ``format_`` is, once it was made."""
    folder = cache_folder() / "exports" / hashlib.sha256(recipe.name.encode()).hexdigest()[:16]
    return folder / f"{recipe.name.partition(',')[0]}{SUFFIX[format_]}"


def _require(recipe: Recipe, format_: str) -> None:
    needed = [(name, "models") for name in recipe.packages]
    if format_ in EXPORTERS:
        needed.append(EXPORTERS[format_])
    absent = [(name, extra) for name, extra in needed if importlib.util.find_spec(name) is None]
    if absent:
        extras = ",".join(dict.fromkeys(extra for _, extra in absent))
        raise MissingRequirement(
            f"The network {recipe.name!r} is made on first use, and that needs the Python "
            f"package(s) {', '.join(name for name, _ in absent)}. Install them once with: "
            f'pip install "inference-testbed[{extras}]".'
        )


def _export(recipe: Recipe, format_: str, target: Path) -> None:
    import torch

    module, example = recipe.module().eval(), dict(recipe.example())
    shapes = {
        name: dict.fromkeys(recipe.dynamic[name], torch.export.Dim.DYNAMIC) for name in example
    }
    with torch.no_grad():
        if format_ == "torch-export":
            program = torch.export.export(
                module, tuple(example.values()), dynamic_shapes=tuple(shapes.values())
            )
            torch.export.save(program, str(target))
        elif format_ == "tflite":
            _export_tflite(module, example, target)
        else:
            torch.onnx.export(
                module,
                tuple(example.values()),
                str(target),
                input_names=list(example),
                output_names=list(recipe.outputs),
                dynamic_shapes=tuple(shapes.values()),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )


def _export_tflite(module: Any, example: Mapping[str, Any], target: Path) -> None:
    """The graph is made for the example's batch; LiteRT's interpreter resizes it to others."""
    import litert_torch

    with redirect_stdout(io.StringIO()):  # where the converter shows its progress
        converted = litert_torch.convert(module, (), sample_kwargs=dict(example))
        converted.export(str(target))

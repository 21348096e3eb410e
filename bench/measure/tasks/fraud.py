"""Fraud detection: gradient-boosted trees say how likely a card payment is fraudulent.

The payments are made by the project: amounts, hours, distances and habits drawn from plain
distributions, and fraud by a rule with noise. They resemble real ones in form only. The trees are
trained once on payments that the measurement never sees, and exported to ONNX.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from bench.errors import MissingRequirement
from bench.folders import cache_folder
from bench.measure.backends import Feeds, Session
from bench.measure.datasets import keep_input
from bench.measure.models import ModelFile, built
from bench.measure.tasks import ONE_STAGE, Sample, Score, Task
from bench.record import Record
from bench.store import atomic_write

FEATURES = (
    "amount", "hour", "distance_km", "payments_last_hour", "days_since_new_device",
    "merchant_risk", "abroad", "amount_over_usual",
)  # fmt: skip
TRAINING_ROWS, TRAINING_SEED = 40_000, 1
TREES, DEPTH = 200, 4
DECIDES_AT, AGREES_WITHIN = 0.5, 0.02
NAME = f"fraud-trees-{TREES}-{DEPTH}-2.onnx"


class Options(Record):
    """Payments to be judged, none of which the trees were trained on."""

    payments: int = Field(default=512, ge=8, le=100_000)
    seed: int = Field(default=7, ge=2)
    together: int = Field(default=1, ge=1, le=1000)
    """Payments in one request, as on a card's statement."""

    @model_validator(mode="after")
    def _fills_a_request(self) -> Options:
        if self.together > self.payments:
            raise ValueError(f"{self.together} payments together are more than there are")
        return self


def build(options: Options) -> Fraud:
    rows, labels = payments(options.payments, options.seed)
    lines = [",".join(f"{value:.6g}" for value in row) + "\n" for row in rows]
    truths = ["01"[int(label)] for label in labels]
    samples, size = [], options.together
    for first in range(0, len(lines) - size + 1, size):
        text = ",".join(FEATURES) + "\n" + "".join(lines[first : first + size])
        path = keep_input("payments", text.encode(), "csv")
        samples.append(Sample(path, "".join(truths[first : first + size]), "made payments"))
    return Fraud(samples, size)


class Fraud(Task):
    """A payment in, or several together; the probability of fraud out, of each."""

    caveat = "made data: the accuracy says nothing of real payments"
    files: Mapping[str, Sequence[ModelFile]] = {ONE_STAGE: ()}

    def __init__(self, samples: Sequence[Sample], together: int) -> None:
        self.samples, self._together = samples, together

    def formats(self, stage: str) -> tuple[str, ...]:
        return ("onnx",)

    def model(self, stage: str, format_: str) -> ModelFile:
        return trained()

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        rows = [row for item in encoded for row in self._read(item)]
        values = [[float(row[name]) for name in FEATURES] for row in rows]
        return {"payments": np.array(values, dtype=np.float32)}

    def _read(self, encoded: bytes) -> list[dict[str, str]]:
        rows = list(csv.DictReader(io.StringIO(encoded.decode())))
        if len(rows) != self._together:
            raise ValueError(f"{len(rows)} payments, and not {self._together}")
        return rows

    def execute(self, sessions: Mapping[str, Session], feeds: Feeds) -> Sequence[npt.NDArray[Any]]:
        """The probabilities ``[N, 2]``; the label that the model gives too is not needed."""
        return [sessions[ONE_STAGE].run(feeds)[1]]

    def predict(self, outputs: Sequence[npt.NDArray[Any]]) -> Any:
        return outputs[0][:, 1].reshape(-1, self._together)

    def postprocess(self, prediction: Any) -> list[dict[str, Any]]:
        judged = [
            [{"fraud": bool(p >= DECIDES_AT), "probability": round(float(p), 5)} for p in request]
            for request in prediction
        ]
        return [{"payments": each} if self._together > 1 else each[0] for each in judged]

    def agrees(self, answer: Mapping[str, Any], reference: Mapping[str, Any]) -> bool:
        """The same decision, the probability within 0.02."""
        return all(
            abs(one["probability"] - other["probability"]) <= AGREES_WITHIN
            and one["fraud"] == other["fraud"]
            for one, other in zip(_each(answer), _each(reference), strict=True)
        )

    def score(self, answered: Sequence[tuple[Sample, Mapping[str, Any]]]) -> list[Score]:
        """Share of wrong decisions, and the area under the ROC curve."""
        truth = np.array([one == "1" for sample, _ in answered for one in sample.truth or ""])
        found = [one for _, answer in answered for one in _each(answer)]
        decided = np.array([one["fraud"] for one in found])
        scores = [Score("error_rate", float((truth != decided).mean()), "all", len(found))]
        if 0 < truth.sum() < len(truth):
            judged = np.array([one["probability"] for one in found])
            scores.append(Score("auc", area_under_roc(truth, judged), "all", len(found)))
        return scores


def _each(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What was said of each payment of a request."""
    found: Sequence[Mapping[str, Any]] = answer.get("payments", [answer])
    return found


def area_under_roc(truth: npt.NDArray[np.bool_], judged: npt.NDArray[np.float64]) -> float:
    """Probability that a fraud is judged likelier than an honest payment (Mann–Whitney's U)."""
    _, place, ties = np.unique(judged, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    frauds, honest = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - frauds * (frauds + 1) / 2) / (frauds * honest))


def payments(count: int, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Payments ``[count, 8]`` and which of them are fraud, about one in twenty."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3.5, 1.1, count)
    hour = rng.normal(14, 5, count) % 24
    distance = rng.exponential(12, count) * np.where(rng.uniform(size=count) < 0.05, 40, 1)
    recent = rng.poisson(0.6, count)
    new_device = rng.exponential(200, count)
    merchant = rng.beta(2, 8, count)
    abroad = rng.uniform(size=count) < 0.08
    over_usual = amount / rng.lognormal(3.5, 0.4, count)
    night = (hour < 5) | (hour > 23)
    logit = (
        -10.2 + 1.1 * np.log1p(over_usual) + 3.2 * night + 1.6 * np.minimum(recent, 5)
        + 9.0 * merchant + 3.0 * (abroad & (new_device < 60)) + 0.025 * np.minimum(distance, 150)
        + 3.0 * ((amount > 120) & (new_device < 60))
    )  # fmt: skip
    fraud = rng.uniform(size=count) < 1 / (1 + np.exp(-logit))
    rows = [amount, hour, distance, recent, new_device, merchant, abroad, over_usual]
    return np.column_stack(rows).astype(float), fraud


def trained() -> ModelFile:
    """The trees as ONNX, trained on first use.

    Raises:
        MissingRequirement: they are not in the cache, and scikit-learn or skl2onnx is not there.
    """
    path = cache_folder() / "exports" / NAME
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _train()
        with atomic_write(path) as file:
            file.write(content)
    return built(
        path, "gradient-boosted trees", "Apache-2.0 (this project)",
        f"payments [N, {len(FEATURES)}] → label [N], probabilities [N, 2]",
    )  # fmt: skip


def _train() -> bytes:
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.ensemble import GradientBoostingClassifier
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            f"The trees of the task 'fraud' are trained on first use, and that needs the Python "
            f"package {error.name!r}. Install it once with: "
            'pip install "inference-testbed[models]".'
        ) from error
    rows, labels = payments(TRAINING_ROWS, TRAINING_SEED)
    trees = GradientBoostingClassifier(
        n_estimators=TREES,
        max_depth=DEPTH,
        learning_rate=0.05,
        subsample=0.5,
        random_state=TRAINING_SEED,
    ).fit(rows.astype(np.float32), labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter's notes to its own authors
        model = convert_sklearn(
            trees,
            initial_types=[("payments", FloatTensorType([None, len(FEATURES)]))],
            options={id(trees): {"zipmap": False}},
            target_opset=17,
        )
    content: bytes = model.SerializeToString()
    return content

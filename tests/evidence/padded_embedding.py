"""The embedding model with every sentence filled up to one length: MLServer merges requests of one shape only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.measure.backends import Feeds
from bench.measure.tasks import text_embedding
from bench.measure.tasks.text_embedding import Options

__all__ = ["LENGTH", "Options", "build"]

LENGTH = 128
"""Word pieces, as many as the model reads: a worker then has more to do with a request than the server around
it, which is what is forecast."""


def build(options: Options) -> Padded:
    return Padded(text_embedding.build(options).samples)


class Padded(text_embedding.TextEmbedding):
    size_unit = None

    def preprocess(self, encoded: Sequence[bytes]) -> Feeds:
        feeds = super().preprocess(encoded)
        return {
            name: np.pad(pieces, ((0, 0), (0, LENGTH - pieces.shape[1])))
            for name, pieces in feeds.items()
        }

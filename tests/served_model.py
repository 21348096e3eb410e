"""The runtime that MLServer runs in the tests: an ONNX model through ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

KINDS = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


class OnnxModel(MLModel):
    async def load(self) -> bool:
        path = Path(self.settings.parameters.uri)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1  # whoever asks it runs on the same machine
        self._session = ort.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        kinds = {entry.name: KINDS[entry.type] for entry in self._session.get_inputs()}
        feeds = {
            entry.name: NumpyCodec.decode_input(entry).astype(kinds[entry.name])
            for entry in payload.inputs
        }
        outputs = self._session.run(None, feeds)
        names = [entry.name for entry in self._session.get_outputs()]
        encoded = [
            NumpyCodec.encode_output(name, output)
            for name, output in zip(names, outputs, strict=True)
        ]
        return InferenceResponse(model_name=self.name, outputs=encoded)

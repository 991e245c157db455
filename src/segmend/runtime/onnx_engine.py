"""Run an exported network by onnxruntime, in float32, where OpenVINO has no build or is not wanted."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from segmend.errors import ModelError


class OnnxSession:
    """One network; safe to call from several threads."""

    def __init__(self, path: str, name: str) -> None:
        onnxruntime.disable_telemetry_events()  # Windows builds would tell Microsoft
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it raises classes of its own that share no base
            first = str(error).strip().splitlines()[0]
            raise ModelError(f"The weights {name} could not be read: {first}.") from None
        self.version = str(onnxruntime.__version__)
        self.inputs = [port.name for port in self._session.get_inputs()]
        self.outputs = [port.name for port in self._session.get_outputs()]

    def run(self, arrays: dict[str, NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        """Return the outputs in their order."""
        given = {name: np.ascontiguousarray(arrays[name], np.float32) for name in self.inputs}
        return [np.asarray(value, np.float32) for value in self._session.run(None, given)]

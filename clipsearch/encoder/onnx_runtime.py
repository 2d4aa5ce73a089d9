"""A compiled tower in ONNX Runtime, on the CPU. The only module here that runs onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from clipsearch.encoder.towers import TowerOutOfMemory, Vectors
from clipsearch.errors import EncoderError

OUTPUT = "unscaled_vector"  # the one output of our exports


class OnnxTower:
    """One compiled tower. Safe to call from several threads."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """threads: 0 or None for one a core. Raises EncoderError if the file cannot be loaded."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        # spinning threads take the cores from decoding, and gain nothing at these sizes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as exc:  # onnxruntime raises classes of its own, one per status
            raise EncoderError(
                f"the compiled model {path} cannot be loaded ({str(exc).splitlines()[0]}); "
                "delete its folder, and indexing makes it anew"
            ) from exc
        self._input: str = self._session.get_inputs()[0].name

    def run(self, batch: NDArray[Any]) -> Vectors:
        """Token ids (B, L) or normalised pixels (B, 3, H, W) -> vectors (B, D)."""
        try:
            vectors: Vectors = self._session.run([OUTPUT], {self._input: batch})[0]
        except Exception as exc:  # as above
            message = str(exc).splitlines()[0]
            if "bad_alloc" in message or "allocate memory" in message:
                raise TowerOutOfMemory(message) from exc
            raise EncoderError(f"ONNX Runtime failed on this batch: {message}") from exc
        return vectors

"""A model's compiled towers, opened once each. Knows where they lie, and neither makes nor chooses them."""

from __future__ import annotations

import threading
from pathlib import Path

from clipsearch.encoder.compiled import CompiledFolder, TowerName, cache_key
from clipsearch.encoder.onnx_runtime import OnnxTower
from clipsearch.errors import EncoderError


class OpenedTowers:
    """The towers shipped in the model's folder or made in the cache. Safe to use from several threads."""

    def __init__(self, model: Path, weights_sha256: str, cache: Path, *, threads: int | None) -> None:
        """model: the folder of its weights; threads: of each tower, None for one a core."""
        self._model, self._sha, self._cache, self._threads = model, weights_sha256, cache, threads
        self._lock = threading.RLock()
        self._towers: dict[TowerName, OnnxTower | None] = {}
        self.prefers_torch = False  # for batches of pictures in float32, where it measured faster

    def get(self, name: TowerName) -> OnnxTower | None:
        """The tower, or None if there is none that works."""
        with self._lock:
            if name not in self._towers:
                self._towers[name] = self._opened(name)
            return self._towers[name]

    def cached_folder(self) -> CompiledFolder:
        """Where this machine's own towers are made."""
        return CompiledFolder(self._cache / "compiled" / cache_key(self._sha), self._sha, self._cache)

    def is_settled(self, name: TowerName) -> bool:
        """Whether the tower is there, or was refused for good."""
        return any(folder.is_settled(name) for folder in self._folders())

    def refusal(self, name: TowerName) -> str:
        """Why the tower was refused; empty if it was not."""
        return next(filter(None, (folder.refusal(name) for folder in self._folders())), "")

    def clear(self) -> None:
        """Close them; get() opens them again."""
        with self._lock:
            self._towers.clear()

    def _opened(self, name: TowerName) -> OnnxTower | None:
        for folder in self._folders():
            path = folder.tower(name)
            if path is None:
                continue
            try:
                tower = OnnxTower(path, threads=self._threads)
            except EncoderError:  # shipped for another ONNX Runtime: PyTorch can still do it
                continue
            if name == "image":
                self.prefers_torch = folder.faster() == "torch"
            return tower
        return None

    def _folders(self) -> list[CompiledFolder]:
        return [CompiledFolder(self._model / "compiled", self._sha, self._cache), self.cached_folder()]

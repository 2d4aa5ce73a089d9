"""Which shapes come in which surfaces, and which of these pairs a model may be trained on."""

from __future__ import annotations

import hashlib
from typing import Literal

from clipsearch.demo.parts import TYPES
from clipsearch.demo.words import NAMES
from clipsearch.demo.words.materials import GROUPS

Split = Literal["train", "val", "test"]


def combinations() -> dict[str, dict[str, Split]]:
    """Type -> surface -> split, the same on every machine.

    62 % of a shape's surfaces are for training, 12 % for validation, the rest is never trained on. The
    order is by hash of shape and surface, so types that differ only by their drive are split alike.
    """
    return {key: _split(key) for key in TYPES}


def _split(key: str) -> dict[str, Split]:
    name = NAMES[key]

    def order(surface: str) -> str:
        return hashlib.sha256(f"{name.shape}|{surface}".encode()).hexdigest()

    surfaces = sorted(GROUPS[name.looks], key=order)
    n_train = max(2, round(len(surfaces) * 0.62))
    n_seen = n_train + max(1, round(len(surfaces) * 0.12))
    splits: dict[str, Split] = {}
    for i, surface in enumerate(surfaces):
        splits[surface] = "train" if i < n_train else "val" if i < n_seen else "test"
    return splits

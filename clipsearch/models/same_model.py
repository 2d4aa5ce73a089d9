"""Whether vectors of two makers can be compared."""

from __future__ import annotations

from clipsearch.errors import ModelMismatch
from clipsearch.types import Fingerprint


def require_same_model(collection: str, stored: Fingerprint, current: Fingerprint) -> None:
    """Raises ModelMismatch, naming both, unless vectors of the two can be compared."""

    def essence(fingerprint: Fingerprint) -> tuple[object, ...]:
        return (fingerprint.weights_sha256, fingerprint.preprocessing, fingerprint.tokenizer_sha256)

    if essence(stored) == essence(current) and stored.dim == current.dim:
        return
    what = "model" if stored.weights_sha256 != current.weights_sha256 else "preprocessing or tokenizer"
    raise ModelMismatch(
        f"collection {collection!r} was indexed with {stored.model} ({_version(stored)}, {stored.dim} dims), "
        f"but {current.model} ({_version(current)}, {current.dim} dims) is another {what}. "
        "Search with the first, or index again into another collection: "
        f"clipsearch index … --collection {collection}-2 --model {current.model}"
    )


def _version(fingerprint: Fingerprint) -> str:
    return fingerprint.revision[:8] or f"weights {fingerprint.weights_sha256[:8]}"

"""How to run: what `index`, `encode` and `--plan` have in common, checked against the collection."""

from __future__ import annotations

from dataclasses import dataclass

from clipsearch.errors import SettingsError
from clipsearch.types import Fingerprint


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run. batch_size: pictures a call of the model; workers: threads that decode (None: cores)."""

    model: str | None = None  # None: the collection's own, or the settings' for a new one
    batch_size: int | None = None  # None: what suits the device
    workers: int | None = None
    exact: bool = False
    gpu_decode: bool = False  # small JPEGs on the GPU
    precision: str | None = None  # None: the collection's int8, else the device's best
    sync: bool = False
    retry_failed: bool = False


def precision_for(options: RunOptions, made: Fingerprint | None, collection: str) -> str | None:
    """The precision to encode at: a collection of int8 vectors goes on with them."""
    if made is None:
        return options.precision
    wanted = options.precision or ("int8" if made.precision == "int8" else None)
    if wanted is not None and (wanted == "int8") != (made.precision == "int8"):
        raise SettingsError(
            f"collection {collection!r} was made at {made.precision}; --precision {wanted} is for another "
            f"collection: --collection {collection}-{wanted}"
        )
    return wanted


def check_exact(options: RunOptions, made: Fingerprint | None, collection: str) -> None:
    """Refuse exact vectors for a collection of others. Raises SettingsError."""
    if options.exact and made is not None and made.decode != "exact":
        raise SettingsError(
            f"collection {collection!r} was made without --exact, which is for new collections; "
            f"leave it out, or index into another collection: --collection {collection}-exact"
        )

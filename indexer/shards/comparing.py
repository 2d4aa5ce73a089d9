"""Which vectors can stand in one collection: fingerprints of shards and collections. Opens no model."""

from __future__ import annotations

from collections.abc import Sequence

from clipsearch.errors import ModelMismatch, SourceError
from clipsearch.models import require_same_model
from clipsearch.shards import Shard
from clipsearch.store.spec import from_json
from clipsearch.types import CollectionSpec, FieldKind, Fingerprint


def spec_of(shard: Shard) -> CollectionSpec:
    """The spec of the collection that the shard is of."""
    return from_json(shard.header.spec, where=str(shard.path))


def essence(made: Fingerprint) -> tuple[object, ...]:
    """What must be equal for vectors to be of one kind; fp32, bf16 and fp16 differ by noise only."""
    model = (made.weights_sha256, made.preprocessing, made.tokenizer_sha256, made.dim)
    return (*model, made.decode, made.precision == "int8")


def merged_spec(shards: Sequence[Shard]) -> CollectionSpec:
    """One spec for all shards. ModelMismatch or SourceError names two files that do not go together."""
    first = spec_of(shards[0])
    fields: dict[str, FieldKind] = {}
    declared_by: dict[str, Shard] = {}
    for shard in shards:
        spec = spec_of(shard)
        if essence(spec.fingerprint) != essence(first.fingerprint):
            raise ModelMismatch(
                f"{shards[0].path} was encoded with {described(first.fingerprint)}, but {shard.path} with "
                f"{described(spec.fingerprint)}; their vectors cannot be compared. Keep the shards of each "
                "in a folder of its own, and load them into two collections"
            )
        for name, kind in spec.fields.items():
            if fields.setdefault(name, kind) != kind:
                raise SourceError(
                    f"field {name!r} holds {fields[name]} values in {declared_by[name].path}, but {kind} "
                    f"values in {shard.path}; load them into two collections, or encode one of them anew"
                )
            declared_by.setdefault(name, shard)
    return CollectionSpec(first.fingerprint, fields, first.title)


def require_comparable(collection: str, stored: Fingerprint, loaded: Fingerprint) -> None:
    """Raise ModelMismatch unless the shards' vectors may stand in the collection."""
    require_same_model(collection, stored, loaded)
    if essence(stored) != essence(loaded):
        raise ModelMismatch(
            f"collection {collection!r} was made with {described(stored)}, the shards with "
            f"{described(loaded)}; load them into another collection: --collection {collection}-2"
        )


def described(made: Fingerprint) -> str:
    """The model and how it was run, for messages."""
    weights = made.weights_sha256[:8] or "unknown"
    return f"{made.model} ({made.dim} dims, weights {weights}, {made.precision}, {made.decode} decoding)"

"""The values that travel through clipsearch. Plain data: no I/O, no vendor types, no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Embeddings: TypeAlias = NDArray[np.float32]
"""float32 of shape (N, D), every row of length 1: a dot product is the cosine."""

Scalar: TypeAlias = str | int | float | bool
PayloadValue: TypeAlias = Scalar | list[Scalar] | None
Payload: TypeAlias = Mapping[str, PayloadValue]

FieldKind: TypeAlias = Literal["keyword", "integer", "float", "bool", "datetime", "text"]
"""How a payload field is stored and filtered. keyword: exact words; text: free words, full-text."""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """A sparse vector: indices[i] has the weight values[i]."""

    indices: Sequence[int]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One picture to index, found but not yet opened.

    key is unique inside its source: the path relative to the folder, or the catalogue's id.
    path: where it is, for people: a file, archive.tar/member, or a URL. read: its bytes, where path
    is not a file to be opened; from any thread, raises ImageError. None: path is such a file.
    """

    source: str
    key: str
    path: str
    n_bytes: int
    mtime_ns: int
    metadata: Payload = field(default_factory=dict)
    read: Callable[[], bytes] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What made a collection's vectors; two collections with equal fingerprints are comparable."""

    model: str  # as the user names it: a table name, a hub id or local-dir:PATH
    revision: str  # hub commit, or "" for a folder
    weights_sha256: str
    preprocessing: str  # canonical JSON of size, crop, mean, std, resampling
    tokenizer_sha256: str
    dim: int
    decode: str = "scaled"  # "scaled": JPEGs at reduced DCT scale; "exact": full decode
    precision: str = "fp32"  # fp32 | bf16 | fp16 | int8


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What a collection is made of: the vectors' maker and the payload's declared fields."""

    fingerprint: Fingerprint
    fields: Mapping[str, FieldKind] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What a collection holds now."""

    name: str
    spec: CollectionSpec
    n_points: int
    location: str  # folder, or the server's address
    n_indexed: int = 0  # points behind an HNSW graph; the rest are scanned exactly


@dataclass(frozen=True, slots=True)
class Point:
    """One record as stored. id is a UUID string; vectors["image"] is dense (D,), float32."""

    id: str
    vectors: Mapping[str, NDArray[np.float32] | SparseVector]
    payload: Payload


# --- models ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From an upright RGB picture to a model's pixels; read from preprocessor_config.json.

    Resize (shortest edge to `shortest_edge`, or both sides to `size`), then centre-crop to `crop`,
    then (x * rescale - mean) / std per channel. The result is (3, height, width).
    """

    height: int  # of the model's input
    width: int
    shortest_edge: int | None  # None: both sides are resized to height x width, aspect not kept
    crop: bool  # centre-crop to height x width after the resize
    resample: Literal["bicubic", "bilinear", "lanczos", "nearest"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rescale: float = 1 / 255


# --- filters -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Match:
    """field equals one of values (a list field: contains one of them)."""

    field: str
    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """field lies between bounds; numbers, or ISO-8601 strings for datetime fields."""

    field: str
    gt: float | str | None = None
    gte: float | str | None = None
    lt: float | str | None = None
    lte: float | str | None = None


@dataclass(frozen=True, slots=True)
class And:
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    filter: Filter


Filter: TypeAlias = Match | Range | And | Or | Not


# --- search ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query: words or a picture, with a weight (negative: away from it)."""

    kind: Literal["text", "image"]
    value: str
    weight: float = 1.0
    position: int = 0  # offset in the query's text, for messages


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: terms to be near to or away from, an exact id, and a filter."""

    terms: tuple[Term, ...]
    filter: Filter | None = None
    text: str = ""  # as typed
    record_id: str | None = None  # a record's key typed exactly: comes first


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. score is the cosine of query and picture; why names what found it."""

    id: str
    score: float
    payload: Payload
    why: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The record's key: relative path, or the catalogue's id."""
        return str(self.payload.get("_key", self.id))

    @property
    def path(self) -> str:
        """The picture's path as indexed."""
        return str(self.payload.get("_path", ""))


@dataclass(frozen=True, slots=True)
class Page:
    """A page of hits, best first. confident_until: how many of them calibration vouches for."""

    hits: tuple[Hit, ...]
    offset: int
    limit: int
    has_more: bool
    confident_until: int | None = None
    query: Query | None = None

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a picture with its confidence (0 to 1)."""

    name: str
    confidence: float

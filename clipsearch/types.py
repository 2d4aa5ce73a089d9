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

FieldKind: TypeAlias = Literal["keyword", "integer", "float", "bool", "datetime", "text", "geo"]
"""How a payload field is stored and filtered. keyword: exact words; text: free words, full-text; geo: a
place, written "latitude,longitude" in degrees."""


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
    hnsw_ef: int = 0  # candidates that a search by graph keeps; 0: the engine's own number
    lexical: int = field(default=0, compare=False)  # version of the records' words; 0: some have none


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


@dataclass(frozen=True, slots=True)
class Prefix:
    """A keyword field's value begins with value; letter case counts."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Phrase:
    """The record's own words (see clipsearch.lexical) hold these tokens, next to each other in this order."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """A geo field lies within radius_m metres of a place in degrees."""

    field: str
    latitude: float
    longitude: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Within:
    """A geo field lies in a box, in degrees; west may be greater than east (across the 180th meridian)."""

    field: str
    south: float
    west: float
    north: float
    east: float


@dataclass(frozen=True, slots=True)
class Ids:
    """The point's id is one of ids."""

    ids: tuple[str, ...]


Filter: TypeAlias = Match | Range | Prefix | Phrase | Near | Within | Ids | And | Or | Not


# --- search ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query: words, a picture (a path or URL) or a record (its key), with a weight.

    A negative weight means away from it. quoted: the record's words must hold these words, as they
    stand (negative: must not), where the collection has words at all.
    """

    kind: Literal["text", "image", "id"]
    value: str
    weight: float = 1.0
    position: int = 0  # offset in the query's text, for messages
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked: terms to be near to or away from, an exact id, and a filter."""

    terms: tuple[Term, ...]
    filter: Filter | None = None
    text: str = ""  # as typed
    record_id: str | None = None  # a record's key typed exactly, or its beginning: comes first


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. why names what found it: each channel's part of the score.

    score orders the hits of one query: the cosine where pictures alone were compared, else the fused
    score of the channels (1.0: first in each of them). confidence: how sure calibration is that the hit
    is what was asked for, from 0 to 1; None where nothing was compared.
    """

    id: str
    score: float
    payload: Payload
    why: Mapping[str, float] = field(default_factory=dict)
    cosine: float | None = None  # of the query's vector and the picture's
    confidence: float | None = None
    others: tuple[str, ...] = ()  # keys of the hits that this row stands for, best first

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
    """A page of hits, best first.

    confident_until: how many hits from the beginning of the whole ranking calibration vouches for; 0:
    nothing certain. None: nothing was compared (a filter alone).
    """

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
class SearchOptions:
    """How a query is answered; the same for Python, the command line and HTTP."""

    top: int = 10
    offset: int = 0
    like: tuple[str, ...] = ()  # keys of records to be nearer to
    unlike: tuple[str, ...] = ()  # keys of records to be farther from
    group_by: str | None = None  # a field; records with one value are one row
    diversity: float = 0.0  # 0: best first; 1: as different as can be
    unique: bool = False  # pictures that look alike are one row
    min_confidence: float | None = None  # leave out hits below it
    sort: str | None = None  # a field to sort the confident hits by; "-price": falling
    exact: bool = False  # scan everything, use no graph


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a picture with its confidence (0 to 1).

    paths: the names from the root of its hierarchy to the tag's own, one for each broader label it has.
    implied: given because a narrower tag was.
    """

    name: str
    confidence: float
    id: str = ""  # of the label in its vocabulary
    paths: tuple[tuple[str, ...], ...] = ()
    implied: bool = False


@dataclass(frozen=True, slots=True)
class Tagged:
    """A record of a collection with its tags, the most confident first; none: nothing certain."""

    id: str
    payload: Payload
    tags: tuple[Tag, ...]

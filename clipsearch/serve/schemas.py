"""What goes over the wire, for checking requests and for the OpenAPI. Data only.

pydantic is loaded here at module level: this module is imported only where the application is built.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from clipsearch.query import MAX_QUERY_CHARS
from clipsearch.types import SearchOptions

MAX_TOP = 1000  # hits in one answer: about half a megabyte
MAX_OFFSET = 100_000
MAX_LABELS = 256
MAX_VOCABULARY_CHARS = 100_000  # 2,000 labels with words in two languages

_Scalar = str | int | float | bool
_Key = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
_Condition = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Label = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Vocabulary = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VOCABULARY_CHARS)]
_Template = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Unit = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")  # a misspelt option is pointed at, not passed over


class SearchRequest(_Strict):
    """A query and how to answer it; the same names as on the command line and in Python."""

    q: str = Field(
        "", max_length=MAX_QUERY_CHARS, description="The query language: `brass hex bolt -washer`, `id:KEY`."
    )
    filter: list[_Condition] = Field(
        [], max_length=32, description="Conditions that must all hold: `material=brass`, `price<=5`."
    )
    collection: _Name | None = Field(
        None, description="Needed where several are served and none is the default."
    )
    top: int = Field(10, ge=1, le=MAX_TOP, description="How many hits.")
    offset: int = Field(0, ge=0, le=MAX_OFFSET, description="Hits to pass over: the next page.")
    like: list[_Key] = Field([], max_length=64, description="Keys of records to be nearer to.")
    unlike: list[_Key] = Field([], max_length=64, description="Keys of records to be farther from.")
    group_by: _Key | None = Field(None, description="A field; records with one value are one row.")
    diversity: _Unit = Field(0.0, description="0: best first; 1: as different as can be.")
    unique: bool = Field(False, description="Pictures that look alike are one row.")
    min_confidence: _Unit | None = Field(None, description="Leave out hits below it.")
    sort: _Key | None = Field(None, description="A field to sort the confident hits by; `-price`: falling.")
    exact: bool = Field(False, description="Scan everything, use no graph.")

    def options(self) -> dict[str, Any]:
        """Searcher.search's options."""
        return {option.name: getattr(self, option.name) for option in dataclasses.fields(SearchOptions)}


class _Tagging(_Strict):
    labels: list[_Label] = Field(
        [],
        min_length=1,
        max_length=MAX_LABELS,
        description="What the picture may show: plain words, all of which are given with their shares.",
        examples=[["gear", "六角ボルト"]],
    )
    template: str = Field(
        "{}",
        max_length=500,
        description="The prompt; `{}` stands for the label.",
        examples=["a photo of a {}"],
    )
    vocabulary: _Vocabulary | None = Field(
        None,
        description="Instead of labels: a vocabulary file's text, of 2,000 labels at most. Given are the "
        "tags that are certain, with confidences by the collection's own background and kept answers.",
        examples=["material: [brass, steel]\nshape:\n- gear\n- hex bolt: {ja: 六角ボルト}\n"],
    )
    vocabulary_format: Literal["yaml", "text"] = Field(
        "yaml", description="yaml (JSON is YAML, too), or text: a tag a line, below others by indentation."
    )
    templates: list[_Template] = Field(
        [],
        max_length=16,
        description="For a vocabulary: names of template sets (general, product, part, document), or own "
        "templates with {}. None: the vocabulary's own.",
    )
    threshold: _Unit | None = Field(
        None, description="For a vocabulary: give a tag from this confidence on. Null: 0.5, or fitted."
    )
    collection: _Name | None = Field(None, description="Whose model is asked.")


class TagRequest(_Tagging):
    """A record and the labels to choose from."""

    key: _Key = Field(description="The record's key.")


class TagImageForm(_Tagging):
    """The form's fields beside the picture."""


class HitOut(BaseModel):
    """One result."""

    rank: int
    key: str
    score: float = Field(description="Orders the hits of one query.")
    cosine: float | None = Field(description="Of the query's vector and the picture's.")
    confidence: float | None = Field(description="From 0 to 1; null where nothing was compared.")
    why: dict[str, float] = Field(description="Each channel's part of the score.")
    others: list[str] = Field(description="Keys of the hits this row stands for.")
    path: str
    id: str
    payload: dict[str, _Scalar | list[_Scalar] | None]


class PageOut(BaseModel):
    """A page of hits, best first."""

    query: str
    collection: str
    model: str
    offset: int
    limit: int
    has_more: bool
    confident_until: int | None = Field(
        description="So many hits from the ranking's beginning are vouched for."
    )
    hits: list[HitOut]


class TagOut(BaseModel):
    """One label with how well it fits."""

    label: str
    probability: float = Field(description="Among these labels: softmax over the model's scale times cosine.")
    cosine: float


class TagsOut(BaseModel):
    """The labels, best first."""

    collection: str
    model: str
    template: str
    logit_scale: float
    tags: list[TagOut]


class VocabularyTagOut(BaseModel):
    """A tag that is certain enough to be given."""

    label: str = Field(description="The tag's name.")
    id: str = Field(description="Its id in the vocabulary.")
    confidence: float = Field(description="From 0 to 1.")
    paths: list[list[str]] = Field(description="Names from the hierarchy's root to the tag, each way there.")
    implied: bool = Field(description="Given because a narrower tag was.")


class VocabularyTagsOut(BaseModel):
    """The tags of a vocabulary, surest first; none: nothing is certain."""

    collection: str
    model: str
    n_labels: int
    n_background: int = Field(description="Pictures of the collection that scores were compared with.")
    fitted_on: Literal["background", "labels"] = Field(description="What confidences follow from.")
    tags: list[VocabularyTagOut]


class CollectionOut(BaseModel):
    """What a collection holds."""

    name: str
    title: str
    n_points: int
    n_indexed: int = Field(description="Behind a graph; the rest are scanned exactly.")
    model: str
    dim: int
    fields: dict[str, str] = Field(description="The payload's fields and their kinds.")


class CollectionsOut(BaseModel):
    """The collections served."""

    collections: list[str]
    default: str | None = Field(description="Asked where a request names none.")


class HealthOut(BaseModel):
    """Whether the server is there, and whether its models are loaded."""

    alive: bool
    ready: bool


class ErrorDetail(BaseModel):
    """What was wrong."""

    code: str = Field(description="Stable, for programs; a picture's is a reason code such as `truncated`.")
    message: str = Field(description="For people: what, why, what next.")
    position: int | None = Field(None, description="Offset of the mistake in the query or filter.")
    line: int | None = Field(None, description="Line of the mistake in the vocabulary, from 1.")


class ErrorOut(BaseModel):
    """Every error has this shape."""

    error: ErrorDetail

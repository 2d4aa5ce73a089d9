"""Every error clipsearch raises, as one tree. Knows nothing of how they are shown.

ClipSearchError
├── SettingsError        a setting or option has a value that cannot be used
├── SourceError          the folder or catalogue to index is missing, empty or malformed
├── ImageError           one picture cannot be used; .reason is a stable code
├── ModelError           a model's name, files or weights
│   ├── ModelNotFound    nowhere to be had; says where it looked
│   └── ModelMismatch    the collection was made by another model
├── EncoderError         the encoder failed on good input (memory, runtime)
├── QueryError           a query cannot be parsed; .position points at the mistake
├── StoreError           the vector store
│   ├── CollectionNotFound
│   ├── CollectionLocked another process owns the embedded collection
│   ├── UnknownField     a filter names a field the collection does not have
│   └── StoreUnavailable the server does not answer
├── TableError           a CSV or Parquet file
├── TaggingError         a vocabulary, labels or a sidecar
│   └── VocabularyError  .line is where
└── TuningError          training data or settings

A message says what happened (with the value), why, and what to do next.
"""

from __future__ import annotations


class ClipSearchError(Exception):
    """Any error a user can do something about. str(error) is one clear sentence or two."""


class SettingsError(ClipSearchError):
    """A setting, environment variable or option that cannot be used."""


class SourceError(ClipSearchError):
    """What was to be indexed cannot be read; raised before the run begins."""


class ImageError(ClipSearchError):
    """One picture that cannot be used.

    `reason` is a stable code for reports, such as truncated, corrupt, not-an-image or too-large;
    `clipsearch.images.REASONS` has them all.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(ClipSearchError):
    """A model's name, files or weights."""


class ModelNotFound(ModelError):
    """A model that is neither in the table, nor cached, nor a folder, nor reachable."""


class ModelMismatch(ModelError):
    """A collection made by one model was asked to work with another."""


class EncoderError(ClipSearchError):
    """The encoder failed on input that should have worked."""


class QueryError(ClipSearchError):
    """A query that cannot be parsed. `position` is the offset of the mistake in `text`."""

    def __init__(self, message: str, *, text: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.position = position


class StoreError(ClipSearchError):
    """The vector store refused or failed."""


class CollectionNotFound(StoreError):
    """No collection of that name; the message lists those that exist."""


class CollectionLocked(StoreError):
    """Another process owns the embedded collection. `holder` describes it (pid, command)."""

    def __init__(self, message: str, *, holder: str = "") -> None:
        super().__init__(message)
        self.holder = holder


class UnknownField(StoreError):
    """A filter names a payload field the collection does not have. `position`: where in a query's `text`."""

    def __init__(self, message: str, *, text: str = "", position: int = 0) -> None:
        super().__init__(message)
        self.text = text
        self.position = position


class StoreUnavailable(StoreError):
    """The server does not answer."""


class TableError(ClipSearchError):
    """A CSV or Parquet file that cannot be read or written as asked."""


class TaggingError(ClipSearchError):
    """Labels, a run's journal or a sidecar that cannot be used."""


class VocabularyError(TaggingError):
    """A vocabulary that cannot be used. `line`: where in its file, from 1; 0 where that is not known."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class TuningError(ClipSearchError):
    """Training data or settings that cannot be used."""

"""What a refusal looks like: one JSON shape, {"error": {"code", "message", "position"?, "line"?}}.

Owns which error has which status and code. Knows no framework.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from clipsearch.errors import (
    ClipSearchError,
    CollectionLocked,
    CollectionNotFound,
    ImageError,
    QueryError,
    SettingsError,
    SourceError,
    StoreUnavailable,
    UnknownField,
    VocabularyError,
)

_BUSY_S = 1  # what Retry-After says where nothing better is known


@dataclass(frozen=True, slots=True)
class Reply:
    """An error as it goes to the client.

    position: of the mistake in the query's or filter's text. line: of the mistake in a vocabulary.
    """

    status: int
    code: str
    message: str
    position: int | None = None
    headers: tuple[tuple[str, str], ...] = field(default_factory=tuple)
    line: int | None = None

    def body(self) -> bytes:
        """The JSON."""
        error: dict[str, str | int] = {"code": self.code, "message": self.message}
        if self.position is not None:
            error["position"] = self.position
        if self.line is not None:
            error["line"] = self.line
        return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "replace")

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Content type and length, and its own."""
        named = [
            ("content-type", "application/json"),
            ("content-length", str(len(self.body()))),
            *self.headers,
        ]
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in named]


class Refusal(Exception):
    """Raised by the server's own checks; .reply goes to the client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.message)
        self.reply = reply


def refusal(status: int, code: str, message: str, **headers: str) -> Refusal:
    """A Refusal; headers by name with _ for -."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Refusal(Reply(status, code, message, headers=named))


def busy(message: str, code: str = "busy") -> Refusal:
    """503: nothing is wrong with the request, and it may come again in a moment."""
    return refusal(503, code, message, retry_after=str(_BUSY_S))


def reply_to(error: ClipSearchError) -> Reply:
    """The library's error as a reply."""
    message = str(error)
    match error:
        case QueryError():
            return Reply(400, "bad-query", message, error.position)
        case UnknownField():
            return Reply(400, "unknown-field", message, error.position)
        case ImageError():
            return Reply(422, error.reason, message)
        case VocabularyError():
            return Reply(422, "bad-vocabulary", message, line=error.line or None)
        case SourceError() | SettingsError():
            return Reply(400, "bad-request", message)
        case CollectionNotFound():
            return Reply(404, "no-collection", message)
        case CollectionLocked():
            return Reply(503, "collection-locked", message, headers=(("retry-after", str(_BUSY_S)),))
        case StoreUnavailable():
            return Reply(503, "store-unavailable", message, headers=(("retry-after", str(_BUSY_S)),))
        case _:
            return Reply(500, "failed", message)

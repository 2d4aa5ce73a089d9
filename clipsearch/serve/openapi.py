"""The OpenAPI document: FastAPI's, with our errors and the key. Knows no route by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clipsearch.serve.schemas import ErrorOut

if TYPE_CHECKING:
    from fastapi import FastAPI

_MEANINGS = {
    400: "Malformed: the query, a filter, an option or the JSON; position points at the mistake.",
    401: "The key is missing or wrong.",
    403: "Asked from a web page, or by a host name, that is not allowed.",
    404: "No such collection, record or route.",
    408: "The request came too slowly.",
    413: "The body is larger than the server takes.",
    422: "The picture cannot be used, and code is the reason; or the vocabulary, and line is where.",
    429: "Too many requests from one address; Retry-After says when to come again.",
    500: "The server failed.",
    503: "Full, starting, or the collection is in use elsewhere; Retry-After says when to come again.",
}

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut, "description": meaning} for status, meaning in _MEANINGS.items()
}
"""For a route's `responses`."""


def describe(app: FastAPI, *, needs_key: bool) -> dict[str, Any]:
    """The document, made once."""
    from fastapi.openapi.utils import get_openapi

    if app.openapi_schema is None:
        document = get_openapi(
            title="clipsearch",
            version=app.version,
            summary="Search pictures by words or by example.",
            description=(
                'Every error has one shape: `{"error": {"code", "message", "position"?, "line"?}}`. '
                "A query over HTTP opens no file and no address: upload the picture to `/search/image`."
            ),
            routes=app.routes,
        )
        if needs_key:
            document["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            document["security"] = [{"bearer": []}, {"header": []}]
            document["paths"]["/healthz"]["get"]["security"] = []
        app.openapi_schema = document
    return app.openapi_schema

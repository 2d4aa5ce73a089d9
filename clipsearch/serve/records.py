"""Answers as plain data for JSON: pages, hits, tags, collections. Knows no framework."""

from __future__ import annotations

import json
import math
from typing import Any

from clipsearch.types import CollectionInfo, Hit, Page


def hit_record(hit: Hit, rank: int) -> dict[str, Any]:
    """A hit, with the user's own columns as payload."""
    return {
        "rank": rank,
        "key": hit.key,
        "score": round(hit.score, 6),
        "cosine": _rounded(hit.cosine),
        "confidence": _rounded(hit.confidence),
        "why": {name: round(value, 6) for name, value in hit.why.items()},
        "others": list(hit.others),
        "path": hit.path,
        "id": hit.id,
        "payload": {name: value for name, value in hit.payload.items() if not name.startswith("_")},
    }


def page_record(page: Page, collection: str, model: str) -> dict[str, Any]:
    """A page of hits; ranks count from the ranking's beginning."""
    return {
        "query": page.query.text if page.query else "",
        "collection": collection,
        "model": model,
        "offset": page.offset,
        "limit": page.limit,
        "has_more": page.has_more,
        "confident_until": page.confident_until,
        "hits": [hit_record(hit, page.offset + i) for i, hit in enumerate(page, start=1)],
    }


def collection_record(info: CollectionInfo) -> dict[str, Any]:
    """What a collection holds, without where it lies."""
    made = info.spec.fingerprint
    return {
        "name": info.name,
        "title": info.spec.title,
        "n_points": info.n_points,
        "n_indexed": info.n_indexed,
        "model": made.model,
        "dim": made.dim,
        "fields": {name: kind for name, kind in info.spec.fields.items() if not name.startswith("_")},
    }


def to_json(record: dict[str, Any]) -> bytes:
    """UTF-8; a number that JSON cannot say becomes null, half of a surrogate pair a question mark."""
    try:
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_sayable(record), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _sayable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sayable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_sayable(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Filters in Qdrant Edge's own objects. What a filter means is clipsearch.store.filters' business."""

from __future__ import annotations

from typing import Any

from clipsearch.store.filters import Bounds
from clipsearch.types import Near, Within


class EdgeDialect:
    """Filters in Qdrant Edge's objects."""

    def all_of(self, conditions: list[Any]) -> Any:
        """Every condition."""
        return _edge().Filter(must=conditions)

    def any_of(self, conditions: list[Any]) -> Any:
        """At least one condition."""
        return _edge().Filter(should=conditions)

    def none_of(self, conditions: list[Any]) -> Any:
        """None of the conditions."""
        return _edge().Filter(must_not=conditions)

    def nothing(self) -> Any:
        """No point."""
        return _edge().Filter(must=[_edge().HasIdCondition(set())])

    def equals(self, path: str, values: list[str] | list[int] | list[bool]) -> Any:
        """One of the values."""
        plain = [int(v) if isinstance(v, bool) else v for v in values]
        edge = _edge()
        match = edge.MatchValue(plain[0]) if len(plain) == 1 else edge.MatchAny(plain)
        return edge.FieldCondition(path, match=match)

    def words(self, path: str, text: str) -> Any:
        """All of the words."""
        return _edge().FieldCondition(path, match=_edge().MatchText(text))

    def contains(self, path: str, text: str) -> Any:
        """The text, anywhere."""
        return _edge().FieldCondition(path, match=_edge().MatchSubstring(text))

    def begins(self, path: str, text: str) -> Any:
        """The text, at the beginning of a keyword."""
        return _edge().FieldCondition(path, match=_edge().MatchPrefix(text))

    def phrase(self, path: str, text: str) -> Any:
        """The words, next to each other in this order."""
        return _edge().FieldCondition(path, match=_edge().MatchPhrase(text))

    def near(self, path: str, place: Near) -> Any:
        """A place inside a circle."""
        middle = _edge().GeoPoint(lat=place.latitude, lon=place.longitude)
        return _edge().FieldCondition(path, geo_radius=_edge().GeoRadius(middle, place.radius_m))

    def within(self, path: str, box: Within) -> Any:
        """A place inside a box."""
        top_left = _edge().GeoPoint(lat=box.north, lon=box.west)
        bottom_right = _edge().GeoPoint(lat=box.south, lon=box.east)
        return _edge().FieldCondition(path, geo_bounding_box=_edge().GeoBoundingBox(top_left, bottom_right))

    def ids(self, ids: list[str]) -> Any:
        """One of these points."""
        return _edge().HasIdCondition(set(ids))

    def numbers(self, path: str, bounds: Bounds) -> Any:
        """A number between bounds."""
        span = _edge().RangeFloat(gt=bounds.gt, gte=bounds.gte, lt=bounds.lt, lte=bounds.lte)
        return _edge().FieldCondition(path, range=span)

    def dates(self, path: str, bounds: Bounds) -> Any:
        """A moment between bounds."""
        sides = {side: getattr(bounds, side) for side in ("gt", "gte", "lt", "lte")}
        span = _edge().RangeDateTime(**{k: v.isoformat() for k, v in sides.items() if v is not None})
        return _edge().FieldCondition(path, range=span)


def _edge() -> Any:
    import qdrant_edge

    return qdrant_edge

"""Filters in qdrant-client's models. What a filter means is clipsearch.store.filters' business."""

from __future__ import annotations

from typing import Any

from clipsearch.store.filters import Bounds
from clipsearch.types import Near, Within


class ServerDialect:
    """Filters in qdrant-client's models."""

    def all_of(self, conditions: list[Any]) -> Any:
        """Every condition."""
        return _models().Filter(must=conditions)

    def any_of(self, conditions: list[Any]) -> Any:
        """At least one condition."""
        return _models().Filter(should=conditions)

    def none_of(self, conditions: list[Any]) -> Any:
        """None of the conditions."""
        return _models().Filter(must_not=conditions)

    def nothing(self) -> Any:
        """No point."""
        return _models().Filter(must=[_models().HasIdCondition(has_id=[])])

    def equals(self, path: str, values: list[str] | list[int] | list[bool]) -> Any:
        """One of the values."""
        m = _models()
        if len(values) > 1 and not isinstance(values[0], bool):
            return m.FieldCondition(key=path, match=m.MatchAny(any=values))
        each = [m.FieldCondition(key=path, match=m.MatchValue(value=value)) for value in values]
        return each[0] if len(each) == 1 else m.Filter(should=each)  # a list of booleans has no "any"

    def words(self, path: str, text: str) -> Any:
        """All of the words."""
        return _models().FieldCondition(key=path, match=_models().MatchText(text=text))

    def contains(self, path: str, text: str) -> Any:
        """The text, anywhere."""
        return _models().FieldCondition(key=path, match=_models().MatchSubstring(substring=text))

    def begins(self, path: str, text: str) -> Any:
        """The text, at the beginning of a keyword."""
        return _models().FieldCondition(key=path, match=_models().MatchPrefix(prefix=text))

    def phrase(self, path: str, text: str) -> Any:
        """The words, next to each other in this order."""
        return _models().FieldCondition(key=path, match=_models().MatchPhrase(phrase=text))

    def near(self, path: str, place: Near) -> Any:
        """A place inside a circle."""
        middle = _models().GeoPoint(lat=place.latitude, lon=place.longitude)
        circle = _models().GeoRadius(center=middle, radius=place.radius_m)
        return _models().FieldCondition(key=path, geo_radius=circle)

    def within(self, path: str, box: Within) -> Any:
        """A place inside a box."""
        m = _models()
        top_left = m.GeoPoint(lat=box.north, lon=box.west)
        bottom_right = m.GeoPoint(lat=box.south, lon=box.east)
        sides = m.GeoBoundingBox(top_left=top_left, bottom_right=bottom_right)
        return m.FieldCondition(key=path, geo_bounding_box=sides)

    def ids(self, ids: list[str]) -> Any:
        """One of these points."""
        return _models().HasIdCondition(has_id=ids)

    def numbers(self, path: str, bounds: Bounds) -> Any:
        """A number between bounds."""
        span = _models().Range(gt=bounds.gt, gte=bounds.gte, lt=bounds.lt, lte=bounds.lte)
        return _models().FieldCondition(key=path, range=span)

    def dates(self, path: str, bounds: Bounds) -> Any:
        """A moment between bounds."""
        span = _models().DatetimeRange(gt=bounds.gt, gte=bounds.gte, lt=bounds.lt, lte=bounds.lte)
        return _models().FieldCondition(key=path, range=span)


def _models() -> Any:
    from qdrant_client import models

    return models

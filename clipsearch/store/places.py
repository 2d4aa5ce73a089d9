"""Places on earth as payload values: "35.68,139.76" outside, {"lat": …, "lon": …} inside an engine.

Knows no engine and no filter.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clipsearch.errors import StoreError


def stored_place(value: Any, field: str) -> dict[str, float] | None:
    """ "latitude,longitude" in degrees as engines want it; blank text is None.

    Raises StoreError for anything else.
    """
    text = value if isinstance(value, str) else ""
    if isinstance(value, str) and not text.strip():
        return None
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        latitude = longitude = math.nan
    if not is_place(latitude, longitude):
        raise StoreError(
            f"field {field!r} holds places, and {value!r} is none; write latitude,longitude in degrees, "
            'like "35.68,139.76", or declare the field as a keyword'
        )
    return {"lat": latitude, "lon": longitude}


def shown_place(stored: Any) -> str:
    """The text that stored_place was given: the shortest digits that mean the same."""
    return ",".join(np.format_float_positional(stored[side], trim="-") for side in ("lat", "lon"))


def is_place(latitude: float, longitude: float) -> bool:
    """Whether the degrees are on earth; NaN is not."""
    return -90 <= latitude <= 90 and -180 <= longitude <= 180

"""What a part's builder returns. Knows no part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from numpy.random import Generator

from clipsearch.demo.render.sdf import Shape

Facts: TypeAlias = dict[str, float | int | str]
"""What a buyer can see of a part beyond its type: holes, teeth, thread (fully | partially), length."""

Built: TypeAlias = tuple[Shape, Facts]
Builder: TypeAlias = Callable[[Generator], Built]
"""Draws a part's proportions and returns its shape, with z as its axis, and its facts."""

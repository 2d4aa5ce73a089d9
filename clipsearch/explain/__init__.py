"""Why this picture for these words: a map of the picture, each word's share, and whether to believe the map.

Knows encoders and pictures; neither collections nor what else the words could have found.
"""

from clipsearch.explain.checking import Check, check
from clipsearch.explain.drawing import overlay
from clipsearch.explain.explaining import Explanation, explain
from clipsearch.explain.words import WordShare

__all__ = ["Check", "Explanation", "WordShare", "check", "explain", "overlay"]

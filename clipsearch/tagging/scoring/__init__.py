"""From cosines to confidences: the collection's own background, curves fitted to labels, thresholds.

Knows no words and no files.
"""

from clipsearch.tagging.scoring.scorer import Scorer

__all__ = ["Scorer"]

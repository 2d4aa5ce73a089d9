"""From cosines to confidences: the collection's own background, curves fitted to labels, thresholds.

    units       cosines made comparable between labels by the background
    curves      from units to logits, fitted to labelled pictures
    thresholds  from which confidence on a label is given
    promise     thresholds that keep a precision, and labels that cannot
    scorer      what is left of all this: one matrix product, few numbers

Knows no words and no files.
"""

from clipsearch.tagging.scoring.fit import Examples, Fit, fitted, folds_of, unlabelled
from clipsearch.tagging.scoring.promise import LeftOff, fewest
from clipsearch.tagging.scoring.scorer import Scorer

__all__ = ["Examples", "Fit", "LeftOff", "Scorer", "fewest", "fitted", "folds_of", "unlabelled"]

"""What is well and what is not: the installation, and one collection with the model that made it.

Owns what counts as a warning or a problem, and what to do about it. Changes nothing and prints nothing.
"""

from clipsearch.health.collection import examine_collection
from clipsearch.health.drift import Drift, Limits, drift_of, limits_for
from clipsearch.health.findings import Finding, State
from clipsearch.health.installation import examine_installation

__all__ = [
    "Drift",
    "Finding",
    "Limits",
    "State",
    "drift_of",
    "examine_collection",
    "examine_installation",
    "limits_for",
]

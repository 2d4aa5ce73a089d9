"""What people said of pictures: labels read from tables and fields, answers kept beside a collection.

    said      what is known of one picture, and what follows from it
    words     which label a word means
    reading   labels from a table
    fields    labels from a field of the collection
    answers   answers kept beside the collection
    gathered  labels from all these places together
    truth     labels and the collection's vectors, put together for the fit

Knows no model and fits nothing.
"""

from clipsearch.tagging.labels.answers import Answer, Answers
from clipsearch.tagging.labels.fields import labels_from_field
from clipsearch.tagging.labels.gathered import gathered
from clipsearch.tagging.labels.reading import read_labels
from clipsearch.tagging.labels.said import Labels, Rules, Said
from clipsearch.tagging.labels.truth import Found, examples, said_of

__all__ = [
    "Answer",
    "Answers",
    "Found",
    "Labels",
    "Rules",
    "Said",
    "examples",
    "gathered",
    "labels_from_field",
    "read_labels",
    "said_of",
]

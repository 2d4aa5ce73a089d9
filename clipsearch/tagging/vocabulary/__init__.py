"""Vocabularies: the labels that pictures may be given, read from text, CSV, YAML and SKOS.

Knows no model and no collection.
"""

from clipsearch.tagging.vocabulary.model import Label, Vocabulary

__all__ = ["Label", "Vocabulary"]

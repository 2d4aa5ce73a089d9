"""Vocabularies: the labels that pictures may be given, read from text, CSV, YAML and SKOS.

    model      Label, Vocabulary: what the rest of clipsearch sees
    reading    read_vocabulary: which format a file is in
    text, tabular, yaml_file, skos    the formats, each filling a draft
    draft      entries as a file has them
    finish     relations checked: a draft becomes a Vocabulary
    words, languages, source    what a word, a language's code and a file may be

Knows no model and no collection.
"""

from clipsearch.tagging.vocabulary.model import Label, Vocabulary
from clipsearch.tagging.vocabulary.reading import SUFFIXES, read_vocabulary
from clipsearch.tagging.vocabulary.text import vocabulary_of

__all__ = ["SUFFIXES", "Label", "Vocabulary", "read_vocabulary", "vocabulary_of"]

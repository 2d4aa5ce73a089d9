"""read_vocabulary: a file's vocabulary, whichever of the formats it is in.

Knows which suffix is which format; the formats have their own modules.
"""

from __future__ import annotations

from pathlib import Path

from clipsearch.tagging.vocabulary.model import Vocabulary
from clipsearch.tagging.vocabulary.source import Origin, text_of
from clipsearch.tagging.vocabulary.tabular import read_csv
from clipsearch.tagging.vocabulary.text import read_text

_TEXT, _TABLES, _YAML = (".txt", ""), (".csv", ".tsv"), (".yaml", ".yml")
_SKOS = (".rdf", ".ttl", ".nt", ".jsonld", ".xml", ".skos")
SUFFIXES = (".txt", *_TABLES, *_YAML, *_SKOS)

_ADVICE = {
    ".xlsx": "save it from Excel as CSV UTF-8",
    ".xls": "save it from Excel as CSV UTF-8",
    ".ods": "save it as CSV, UTF-8",
    ".numbers": "export it as CSV, UTF-8",
    ".docx": "save it as plain text, UTF-8",
    ".rtf": "save it as plain text, UTF-8",
    ".json": "a list of tags in JSON is YAML too, so name it .yaml; SKOS in JSON is .jsonld",
}


def read_vocabulary(path: str | Path) -> Vocabulary:
    """The vocabulary in a file, by its suffix; one without a suffix is plain text.

    Raises VocabularyError, which says the file, the line, what is wrong there and what to do.
    """
    path = Path(path)
    origin, suffix = Origin(str(path)), path.suffix.lower()
    if path.is_dir():
        raise origin.error(0, "is a folder; give the vocabulary's file")
    if suffix in _TEXT:
        return read_text(text_of(path, origin), origin)
    if suffix in _TABLES:
        return read_csv(path, origin)
    if suffix in _YAML:
        from clipsearch.tagging.vocabulary.yaml_file import read_yaml

        return read_yaml(text_of(path, origin), origin)
    if suffix in _SKOS:
        from clipsearch.tagging.vocabulary.skos import read_skos

        return read_skos(path, origin)
    advice = _ADVICE.get(suffix, "plain text is .txt")
    raise origin.error(
        0, f"is no vocabulary by its name ({advice}); known are {', '.join(SUFFIXES)} and no suffix at all"
    )

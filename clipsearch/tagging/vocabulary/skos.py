"""SKOS vocabularies (IPTC Media Topics, museum and library thesauri): concepts become labels.

Knows SKOS. `skos_file` reads the files. hiddenLabel is left out: misspellings would be embedded as prompts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipsearch.tagging.vocabulary.draft import Draft
from clipsearch.tagging.vocabulary.finish import finished
from clipsearch.tagging.vocabulary.languages import tag_of
from clipsearch.tagging.vocabulary.model import Vocabulary
from clipsearch.tagging.vocabulary.skos_file import graph_of
from clipsearch.tagging.vocabulary.source import Origin

_ABOUT = re.compile(  # where a concept's own statements begin, in the four syntaxes
    r"""rdf:about=["']([^"']*)|"@id"\s*:\s*"([^"]*)|^<([^>]*)>|^([\w.-]*:[\w.-]+)\s"""
)
_SKOS = "http://www.w3.org/2004/02/skos/core#"
_OTHERS = ("ConceptScheme", "Collection", "OrderedCollection")
_TERMS = ("Concept", "prefLabel", "altLabel", "broader", "narrower")
_GONE = ("deprecated", "retired")  # owl:deprecated, and IPTC's and others' own words for it


def read_skos(path: Path, origin: Origin) -> Vocabulary:
    """The vocabulary; a concept's URI is its label's id. Raises VocabularyError."""
    graph, text = graph_of(path, origin)
    return _Concepts(graph, text, Draft(origin)).vocabulary()


class _Concepts:
    """A graph's concepts on their way into a draft."""

    def __init__(self, graph: Any, text: str, draft: Draft) -> None:
        from rdflib import RDF, URIRef

        self._graph, self._draft = graph, draft
        self._lines = _lines(text)
        self._type = RDF.type
        self._term = {name: URIRef(_SKOS + name) for name in (*_OTHERS, *_TERMS)}
        self._places: dict[Any, int] = {}

    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the concepts that are in use."""
        concepts = self._concepts()
        names = {concept: self._words(concept, "prefLabel") for concept in concepts}
        language = _main_language(names.values())
        for concept in concepts:
            self._places[concept] = self._add(concept, names[concept], language)
        for concept in concepts:
            self._relate(concept)
        return finished(self._draft)

    def _concepts(self) -> list[Any]:
        """The concepts in use, by their URIs, so that the order is the same every time."""
        graph, term = self._graph, self._term
        found = set(graph.subjects(self._type, term["Concept"]))
        others = {s for kind in _OTHERS for s in graph.subjects(self._type, term[kind])}
        found |= set(graph.subjects(term["prefLabel"], None)) - others
        if not found:
            raise self._draft.origin.error(
                0, "has no skos:Concept and no skos:prefLabel, so it is RDF, but no SKOS vocabulary"
            )
        gone = {p for p in set(graph.predicates()) if _local(str(p)).lower() in _GONE}
        retired = {
            s for p in gone for s, o in graph.subject_objects(p) if str(o).lower() not in ("false", "0", "")
        }
        return sorted(found - retired, key=str)

    def _add(self, concept: Any, names: Mapping[str, Sequence[str]], language: str) -> int:
        from rdflib import URIRef

        draft, line = self._draft, self._line(concept)
        chosen = _chosen(names, language)
        if not isinstance(concept, URIRef):
            known = names[chosen][0] if chosen is not None else concept
            raise draft.origin.error(0, f"the concept {known!r} has no URI; give it one (rdf:about, or @id)")
        if chosen is None:
            raise draft.origin.error(
                line, f"the concept {concept} has no skos:prefLabel; every one needs a name"
            )
        place = draft.add(names[chosen][0], line, id=str(concept))
        for spoken, words in (*names.items(), *self._words(concept, "altLabel").items()):
            is_own = spoken in (chosen, "")
            for word in words:
                if word != names[chosen][0]:
                    draft.say(place, word, line, language=None if is_own else spoken)
        return place

    def _relate(self, concept: Any) -> None:
        here = self._places[concept]
        for parent in sorted(self._graph.objects(concept, self._term["broader"]), key=str):
            self._under(here, parent, concept)
        for child in sorted(self._graph.objects(concept, self._term["narrower"]), key=str):
            if child in self._places:
                self._under(self._places[child], concept, child)

    def _under(self, child: int, parent: Any, concept: Any) -> None:
        if parent not in self._places:
            raise self._draft.origin.error(
                self._line(concept),
                f"{self._draft.entries[child].name!r} ({concept}) has the broader concept {parent}, which is "
                "not in the file, or is retired. Add it, or take that skos:broader away",
            )
        parents = self._draft.entries[child].parents
        if self._places[parent] not in parents:
            parents.append(self._places[parent])

    def _words(self, concept: Any, term: str) -> dict[str, list[str]]:
        """Language ("" where none is said) -> the words, in alphabetical order."""
        found: dict[str, list[str]] = {}
        from rdflib import Literal

        for literal in self._graph.objects(concept, self._term[term]):
            if isinstance(literal, Literal):
                language = tag_of(literal.language) if literal.language else ""
                found.setdefault(language, []).append(str(literal))
        return {language: sorted(found[language]) for language in sorted(found)}

    def _line(self, concept: Any) -> int:
        """The line where the concept is first spoken of; 0 where that is not found."""
        return self._lines.get(_local(str(concept)), 0)


def _lines(text: str) -> dict[str, int]:
    """The last part of a concept's URI -> the line where its statements begin, for messages."""
    found: dict[str, int] = {}
    for line, content in enumerate(text.split("\n"), start=1):
        for match in _ABOUT.finditer(content):
            found.setdefault(_local(match[match.lastindex or 0]), line)
    return found


def _local(uri: str) -> str:
    return re.split("[/#:]", uri)[-1]


def _main_language(all_names: Iterable[Mapping[str, Sequence[str]]]) -> str:
    """English where there is any, else the language of most concepts."""
    counts = Counter(language for names in all_names for language in names)
    if any(_is_english(language) for language in counts):
        return "en"
    return min(counts, key=lambda language: (-counts[language], language), default="")


def _chosen(names: Mapping[str, Sequence[str]], language: str) -> str | None:
    """The language that a concept's name is in: the vocabulary's, no language said, or its first."""
    english = [spoken for spoken in names if _is_english(spoken)] if language == "en" else []
    return next((spoken for spoken in (language, *english, "", *names) if spoken in names), None)


def _is_english(language: str) -> bool:
    return language == "en" or language.startswith("en-")

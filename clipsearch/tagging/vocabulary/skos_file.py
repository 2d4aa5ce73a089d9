"""A SKOS file as an RDF graph, read without any network and without what XML and JSON can hide. Owns rdflib.

Knows the syntaxes (RDF/XML, Turtle, N-Triples, JSON-LD), not what a vocabulary is.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

from clipsearch.tagging.vocabulary.source import MAX_BYTES, Origin, bytes_of, text_of

_SYNTAXES = {".rdf": "xml", ".ttl": "turtle", ".nt": "nt", ".jsonld": "json-ld"}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DECLARATION = re.compile(r"<\?xml\b[^>]*?\?>")
_ENCODING = re.compile(rb"""<\?xml\b[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)""")
_MAX_ENTITY_LETTERS = 300  # namespaces, as ontology editors write them; nothing else needs entities
_MAX_JSON_DEPTH = 200


def graph_of(path: Path, origin: Origin) -> tuple[Any, str]:
    """(rdflib's graph, the file's text). Raises VocabularyError, also where rdflib is not installed."""
    try:
        import rdflib
    except ModuleNotFoundError as exc:
        raise origin.error(
            0, 'is SKOS, which is read with rdflib, an extra: pip install "clipsearch[skos]"'
        ) from exc
    declared = _ENCODING.match(bytes_of(path, origin).removeprefix(b"\xef\xbb\xbf"))
    text = text_of(path, origin, encoding=declared[1].decode("ascii") if declared else None)
    syntax = _SYNTAXES.get(path.suffix.lower()) or _sniffed(text)
    if syntax == "xml":
        text = _DECLARATION.sub("", text, count=1)  # it named another encoding, maybe
        _check_xml(text, origin)
    elif syntax == "json-ld":
        _check_json(text, origin)
    # JSON-LD may put its concepts into a graph of their own, which a Graph would leave out.
    graph = rdflib.Dataset(default_union=True) if syntax == "json-ld" else rdflib.Graph()
    try:
        with _quiet():
            graph.parse(data=text, format=syntax)
    except Exception as exc:  # each of rdflib's parsers raises its own, down to bare ValueError
        name = {"xml": "RDF/XML", "turtle": "Turtle", "nt": "N-Triples", "json-ld": "JSON-LD"}[syntax]
        line, reason = _explained(exc)
        raise origin.error(line, f"is no readable {name}: {reason}. Is it the right suffix?") from exc
    return graph, text


def _sniffed(text: str) -> str:
    """The syntax of a file whose suffix does not say it, by how it begins."""
    if re.match(r"\s*<[^>\s]*>\s+(?:<|a\b)", text):
        return "turtle"  # which N-Triples is, too
    if text.lstrip().startswith("<"):
        return "xml"
    return "json-ld" if re.match(r"\s*(?:\{|\[\s*\{)", text) else "turtle"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without rdflib's warnings on stderr, of dates and URIs that are not as they should be."""
    logger = logging.getLogger("rdflib")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _explained(exc: Exception) -> tuple[int, str]:
    """(line or 0, reason) of a parser's error."""
    line = getattr(exc, "lines", None)  # Turtle; counts from 0
    found = re.search(r"line (\d+)", str(exc))
    number = line + 1 if isinstance(line, int) else int(found[1]) if found else 0
    reason = str(getattr(exc, "_why", "") or exc).split("\n")[0].strip()[:200]
    return number, reason.rstrip(".") or type(exc).__name__


# --- XML -------------------------------------------------------------------------------------------


def _check_xml(text: str, origin: Origin) -> None:
    """Raises VocabularyError for XML that is malformed, is no RDF, names outside files or grows."""
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")

    def on_element(name: str, _: Any) -> None:
        parser.StartElementHandler = None
        if name != f"{_RDF} RDF":
            raise origin.error(
                parser.CurrentLineNumber,
                f"is XML, but no RDF: it begins with <{name.split(' ')[-1]}>, not with <rdf:RDF>. "
                "Export it as SKOS (RDF/XML or Turtle)",
            )

    parser.StartElementHandler = on_element
    _refuse_entities(parser, text, origin)
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as exc:
        reason = expat.ErrorString(exc.code) or str(exc)
        raise origin.error(exc.lineno, f"is no XML: {reason}; is the file whole?") from exc


def _refuse_entities(parser: expat.XMLParserType, text: str, origin: Origin) -> None:
    """Let the parser raise VocabularyError for what a DOCTYPE takes from elsewhere or blows up."""

    def refuse(what: str) -> NoReturn:
        raise origin.error(
            parser.CurrentLineNumber, f"{what}, which clipsearch does not follow; take the DOCTYPE away"
        )

    def on_doctype(name: str, system: str | None, public: str | None, internal: bool) -> None:
        if system or public:
            refuse(f"names an outside DTD ({system or public})")

    def on_entity(
        name: str, is_parameter: bool, value: str | None, base: str | None, system: str | None, *_: str | None
    ) -> None:
        if is_parameter or value is None or system:
            refuse(f"has the outside entity {name!r}" + (f" ({system})" if system else ""))
        if len(value) > _MAX_ENTITY_LETTERS or "&" in value:
            refuse(f"has the entity {name!r}, which is long or made of others")
        if text.count(f"&{name};") * len(value) > MAX_BYTES:
            refuse(f"has the entity {name!r} so often that it grows beyond {MAX_BYTES >> 20} MB")

    parser.StartDoctypeDeclHandler = on_doctype
    parser.EntityDeclHandler = on_entity


# --- JSON ------------------------------------------------------------------------------------------


def _check_json(text: str, origin: Origin) -> None:
    """Raises VocabularyError for JSON that is malformed or takes its context from elsewhere."""
    try:
        waiting = [(json.loads(text), 0)]
    except json.JSONDecodeError as exc:
        raise origin.error(exc.lineno, f"is no JSON: {exc.msg}; is the file whole?") from exc
    except RecursionError as exc:
        raise origin.error(0, "is nested too deeply") from exc
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_JSON_DEPTH:
            raise origin.error(0, "is nested too deeply")
        if isinstance(value, dict):
            for key in ("@context", "@import"):
                contexts = value.get(key)
                for context in contexts if isinstance(contexts, list) else [contexts]:
                    if isinstance(context, str):
                        line = text.count("\n", 0, max(text.find(json.dumps(context)), 0)) + 1
                        raise origin.error(
                            line,
                            f"takes its {key} from {context}, and clipsearch fetches nothing; get the "
                            "vocabulary as Turtle or RDF/XML, or put the context itself there",
                        )
            waiting += [(child, depth + 1) for child in value.values()]
        elif isinstance(value, list):
            waiting += [(child, depth + 1) for child in value]

"""The documentation page: the OpenAPI document as plain HTML, with nothing fetched from elsewhere.

FastAPI's own page loads its script from a CDN, which a machine without a network cannot.
"""

from __future__ import annotations

from html import escape
from typing import Any

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}
h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}code,pre{font-family:ui-monospace,monospace}
code{background:#f3f3f3;padding:.1em .3em;border-radius:3px}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #eee}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}code{background:#2a2a2a}
h2,td,th{border-color:#333}a{color:#8ab4f8}}
"""


def docs_page(document: dict[str, Any]) -> str:
    """The page."""
    parts = [_text(document["info"].get("description", ""))]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(path, method, operation, document))
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>' + "".join(parts) + "</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> str:
    rows = [
        (
            parameter["name"],
            parameter["schema"],
            parameter.get("required", False),
            parameter.get("description", ""),
        )
        for parameter in operation.get("parameters", [])
    ]
    heading = f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
    text = _text(operation.get("description", ""))
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        text += f"<p>Body: <code>{escape(media)}</code></p>"
        schema = _resolved(content["schema"], document)
        required = schema.get("required", [])
        rows += [
            (name, field, name in required, field.get("description", ""))
            for name, field in schema.get("properties", {}).items()
        ]
    table = "".join(_row(*row) for row in rows)
    return heading + text + (f"<table><tr><th>name<th>type<th>what</tr>{table}</table>" if table else "")


def _row(name: str, schema: dict[str, Any], required: bool, description: str) -> str:
    needed = "" if required else f", default <code>{escape(repr(schema.get('default')))}</code>"
    return (
        f"<tr><td><code>{escape(name)}</code><td>{escape(_kind(schema))}<td>{_marked(description)}"
        f"{' (needed)' if required else needed}</tr>"
    )


def _kind(schema: dict[str, Any]) -> str:
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    chosen = options[0]
    kind = str(chosen.get("type", "value"))
    kind = f"list of {_kind(chosen['items'])}" if kind == "array" else kind
    bounds = [
        f"{word} {chosen[name]}"
        for name, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "up to"),
            ("maxItems", "up to"),
        )
        if name in chosen
    ]
    return f"{kind} {' '.join(bounds)}".strip()


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


def _text(text: str) -> str:
    return f"<p>{_marked(text)}</p>" if text else ""


def _marked(text: str) -> str:
    """Escaped, with `code` between backquotes."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if i % 2 else piece for i, piece in enumerate(pieces))

"""`/openapi.json` for people: a page made from it, so that neither can say what the other does not. Pure."""

import json
from collections import defaultdict
from collections.abc import Sequence
from html import escape
from typing import Any

from query_api.page import page

Json = dict[str, Any]
"""An OpenAPI object; these have no one type."""


def docs_page(openapi: Json) -> str:
    """Render an OpenAPI description as one HTML page."""
    by_tag: dict[str, list[str]] = defaultdict(list)
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            by_tag[operation.get("tags", ["other"])[0]].append(_operation(method, path, operation))
    sections = [f"<h2>{escape(tag)}</h2>{''.join(shown)}" for tag, shown in by_tag.items()]
    info = openapi["info"]
    head = f"<h1>{escape(info['title'])}</h1>{_paragraphs(info.get('description', ''))}"
    head += '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    return page(escape(info["title"]), head + "".join(sections) + _schemas(openapi["components"]))


def _operation(method: str, path: str, operation: Json) -> str:
    title = f'<span class="method">{method.upper()}</span> {escape(path)}'
    body = _paragraphs(operation["summary"]) + _paragraphs(operation["description"])
    body += _key(operation) + _parameters(operation.get("parameters", [])) + _body(operation) + _answers(operation)
    return f"<details><summary>{title}</summary>{body}</details>"


def _key(operation: Json) -> str:
    security = operation.get("security")
    if not security:
        return ""
    return "<p>The API key is optional.</p>" if {} in security else "<p>Needs an API key.</p>"


def _parameters(parameters: list[Json]) -> str:
    rows = [
        (parameter["name"], parameter["in"], _type(parameter["schema"]), parameter["description"])
        for parameter in parameters
    ]
    return _table(("parameter", "in", "type", ""), rows)


def _type(schema: Json) -> str:
    """Say in a few words what a parameter's schema allows."""
    choices = [_type(choice) for choice in schema.get("anyOf", ()) if "const" not in choice]
    words = choices or schema.get("enum") or [schema.get("format") or schema["type"]]
    return " or ".join(words)


def _body(operation: Json) -> str:
    body = operation.get("requestBody")
    if not body:
        return ""
    rows = [(kind, _schema_name(content), body.get("description", "")) for kind, content in body["content"].items()]
    return _table(("body", "", ""), rows)


def _answers(operation: Json) -> str:
    rows = []
    for status, response in operation["responses"].items():
        names = {_schema_name(content) for content in response.get("content", {}).values()}
        rows.append((str(status), ", ".join(sorted(names)), response.get("description", "")))
    return _table(("answer", "", ""), rows)


def _schema_name(content: Json) -> str:
    schema = content.get("schema", {})
    choices = [_named(choice) for choice in schema.get("anyOf", schema.get("oneOf", []))]
    return " or ".join(choices) if choices else _named(schema)


def _named(schema: Json) -> str:
    return str(schema.get("$ref") or schema.get("title") or schema.get("type", "")).rsplit("/", 1)[-1]


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _schemas(components: Json) -> str:
    shown = []
    for name, schema in sorted(components["schemas"].items()):
        text = escape(json.dumps(schema, indent=2, ensure_ascii=False))
        shown.append(f'<details id="{escape(name)}"><summary>{escape(name)}</summary><pre>{text}</pre></details>')
    return "<h2>Schemas</h2>" + "".join(shown)


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n") if part.strip())

"""``.. resources::``: resources of REST, and schemas of bodies and answers, as ``/evb/openapi.json`` has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from tables import table

from ryu_apps.rest.openapi import openapi_document
from ryu_apps.rest.resources import RESOURCES
from ryu_apps.version import VERSION

_METHODS = ("get", "put", "post", "delete")
_PARAMETERS, _MEMBERS = ("parameter", "in", "values", "meaning"), ("member", "values", "always there")
Json = dict[str, Any]
_DOCUMENT: Json = openapi_document(RESOURCES, VERSION, tokens=True)
_MODELS: Json = _DOCUMENT["components"]["schemas"]


class Resources(Directive):
    """A section for each path, and one for the schemas."""

    def run(self) -> list[nodes.Node]:
        """Return the sections; docutils' entry point."""
        paths = [_section(path, _operations(found)) for path, found in _DOCUMENT["paths"].items()]
        schemas = [_section(name, [_schema(found)]) for name, found in sorted(_MODELS.items())]
        return [_section("Paths", paths), _section("Schemas", schemas)]


def _section(title: str, content: list[nodes.Node]) -> nodes.section:
    return nodes.section("", nodes.title("", title), *content, ids=[_identifier(title)])


def _identifier(title: str) -> str:
    return f"rest-{nodes.make_id(title) or 'root'}"


def _operations(found: Json) -> list[nodes.Node]:
    return [node for method in _METHODS if method in found for node in _operation(method, found[method])]


def _operation(method: str, operation: Json) -> Iterator[nodes.Node]:
    role = operation["x-role"]
    text = f": {operation['summary']}  " + (f"Role {role}." if role else "No token is needed.")
    yield nodes.paragraph("", "", nodes.strong("", method.upper()), nodes.Text(text))
    if operation["parameters"]:
        rows = [(p["name"], p["in"], values(p["schema"]), p["description"]) for p in operation["parameters"]]
        yield table((14, 8, 36, 42), _PARAMETERS, rows)
    if "requestBody" in operation:
        yield _words("Body: ", _content(operation["requestBody"]))
    answers = operation["responses"]
    yield from (_words(f"{status}: ", _content(found)) for status, found in answers.items() if status < "300")
    others = ", ".join(f"{status} ({found['description']})" for status, found in answers.items() if status >= "300")
    yield _words("Else: ", others)


def _words(label: str, text: str) -> nodes.paragraph:
    """A label and a text, in which names of schemas lead to their sections."""
    return nodes.paragraph("", "", nodes.emphasis("", label), *map(_linked, re.split(r"\b", text)))


def _linked(word: str) -> nodes.Node:
    return nodes.reference("", word, internal=True, refid=_identifier(word)) if word in _MODELS else nodes.Text(word)


def _content(found: Json) -> str:
    return "; ".join(
        values(content["schema"]) if kind == "application/json" else kind for kind, content in found["content"].items()
    )


def _schema(schema: Json) -> nodes.Node:
    """The members of an object, or the values of something else."""
    if not schema.get("properties"):
        return nodes.paragraph("", values(schema))
    required = schema.get("required", ())
    rows = [(name, values(found), "yes" if name in required else "no") for name, found in schema["properties"].items()]
    return table((25, 60, 15), _MEMBERS, rows)


def values(schema: Json) -> str:
    """The values of a schema in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(dict.fromkeys(map(values, schema.get("anyOf") or schema["oneOf"])))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {values(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {values(schema['additionalProperties'])} by name"
    bounds = [f"{words} {schema[key]}" for key, words in (("minimum", "from"), ("maximum", "to")) if key in schema]
    return " ".join([str(kind or "anything"), *bounds])


def setup(app: Any) -> dict[str, bool]:
    """Register the directive; Sphinx' entry point."""
    app.add_directive("resources", Resources)
    return {"parallel_read_safe": True}

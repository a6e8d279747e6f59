"""Answers of REST against ``/evb/openapi.json``, with no member more than it names."""

from __future__ import annotations

from functools import cache
from urllib.parse import unquote

import jsonschema_rs
from webob import Response

from ryu_apps.rest.openapi import openapi_document
from ryu_apps.rest.resources import RESOURCES


def check_answer(method: str, path: str, response: Response) -> None:
    """Check the JSON of an answer; paths that no resource has are passed over."""
    if response.content_encoding or not response.body or response.content_type != "application/json":
        return
    row = next((row for row in RESOURCES if row.method == method and row.pattern.match(unquote(path))), None)
    if row is not None:
        mistake = next(_validator(method, row.path, str(response.status_code)).iter_errors(response.json), None)
        assert mistake is None, f"{method} {path}: {mistake}"


@cache
def _document() -> dict[str, object]:
    return _closed(openapi_document(RESOURCES, "0", tokens=False))


def _closed(value: object) -> object:
    """A schema in which objects have no members but those that are named."""
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    more = {"additionalProperties": False} if value.get("type") == "object" and "properties" in value else {}
    return more | {name: _closed(item) for name, item in value.items()}


@cache
def _validator(method: str, path: str, status: str) -> jsonschema_rs.Draft202012Validator:
    document = _document()
    answer = document["paths"][path][method.lower()]["responses"][status]
    schema = answer["content"]["application/json"]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})

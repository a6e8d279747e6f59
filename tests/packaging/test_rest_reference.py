"""The manual's reference of REST: every resource, every schema, and values in words."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from docutils import nodes

from ryu_apps.rest.openapi import openapi_document
from ryu_apps.rest.resources import RESOURCES


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the directive."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs/_ext")
    return importlib.import_module("resources")


def test_every_resource_and_every_schema_has_its_section(reference: Any) -> None:
    paths, schemas = reference.Resources.run(None)
    shown = {section.children[0].astext(): section for section in paths.findall(nodes.section)}
    assert set(shown) - {"Paths"} == {resource.path for resource in RESOURCES}
    for resource in RESOURCES:
        text = shown[resource.path].astext()
        assert f"{resource.method}: {resource.meaning}" in text
        assert all(name in text for name in resource.query)
        assert f"Role {resource.role_text}." in text if resource.role else "No token is needed." in text
    document: Any = openapi_document(RESOURCES, "1", tokens=True)
    models = {section.children[0].astext() for section in schemas.findall(nodes.section)} - {"Schemas"}
    assert models == set(document["components"]["schemas"])
    (vsi,) = [node for node in shown["/evb/vsis/{vsi}"].findall(nodes.reference) if node.astext() == "VsiJson"]
    assert vsi["refid"] in [name for section in schemas.findall(nodes.section) for name in section["ids"]]
    identifiers = [
        name for section in (paths, schemas) for found in section.findall(nodes.section) for name in found["ids"]
    ]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "array", "items": {"$ref": "#/components/schemas/VsiJson"}}, "list of VsiJson"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"type": "integer", "minimum": 1, "maximum": 4094}, "integer from 1 to 4094"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer by name"),
        ({"enum": ["active", "staged"]}, "active, staged"),
        ({}, "anything"),
    ],
)
def test_values_are_told_in_words(reference: Any, schema: dict[str, Any], words: str) -> None:
    assert reference.values(schema) == words

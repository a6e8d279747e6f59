"""``/evb/openapi.json``: the table of resources, its readers and its models as an OpenAPI 3.1 document.

Nothing is written down twice: parameters come from the readers that read them, bodies from the pydantic models that
check them, and answers from the types that the views return.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from ryu_apps.rest.bridge import Aside, JsonValue, Later, Reply
from ryu_apps.rest.parameters import READERS
from ryu_apps.rest.resource import LAG, Resource

_VERSION = "3.1.0"
_COMPONENTS = "#/components/schemas/{model}"
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
_STATUSES = {
    200: "the answer",
    202: "accepted; switches still have to confirm",
    304: "not changed since the answer with this ETag",
    307: "another member of the cluster leads",
    400: "a parameter or the body cannot be read",
    401: "no token, or one that is not accepted",
    403: "the role of the token, or the origin of the page, does not allow it",
    404: "no such VSI, VSI type, switch, vSwitch, migration, load balancer or back end",
    408: "the body has not arrived",
    409: "not in the present state",
    411: "the body has no length",
    413: "the body is too long",
    415: "the body is not JSON",
    421: "not a name of this server",
    422: "the body is not of the form of its schema",
    503: "not now",
    504: "a switch has not answered",
}
_EVERY = (400, 401, 403, 404, 421, 503, 504)
#: Of requests that change something.
_CHANGING = (408, 409, 411, 413, 415, 422)
_LAG = {"description": "at a standby: seconds by which the answer may be outdated", "schema": {"type": "number"}}
_IN_PATH = re.compile(r"\{(\w+)\}")


def openapi_document(resources: Iterable[Resource], version: str, tokens: bool) -> JsonValue:
    """The document.

    Args:
        version: of evbridge.
        tokens: requests need one.
    """
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for resource in resources:
        paths.setdefault(resource.path, {})[resource.method.lower()] = _operation(resource, schemas)
    document: dict[str, object] = {
        "openapi": _VERSION,
        "info": {"title": "evbridge", "version": version, "description": "The bridge side of EVB: VSIs, rules, moves."},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }
    return document | ({"security": [{"token": []}]} if tokens else {})


def _operation(resource: Resource, schemas: dict[str, Any]) -> JsonValue:
    operation: dict[str, object] = {
        "operationId": _identifier(resource),
        "summary": resource.meaning,
        "x-role": resource.role_text,
        "parameters": list(_parameters(resource)),
        "responses": _responses(resource, schemas),
    }
    if resource.role is None:
        operation["security"] = []
    if resource.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(_model(resource.body, schemas, "validation"))}
    return operation


def _identifier(resource: Resource) -> str:
    """Method and path as one word, as ``get_evb_vsis_vsi``."""
    words = re.findall(r"\w+", resource.path) or ["root"]
    return "_".join((resource.method.lower(), *words))


def _parameters(resource: Resource) -> Iterator[JsonValue]:
    in_path = _IN_PATH.findall(resource.path)
    for name in (*in_path, *resource.query):
        reader = READERS[resource.kinds.get(name, name)]
        where = "path" if name in in_path else "query"
        words = "the last item that the client has: " if name in resource.kinds else ""
        yield {
            "name": name,
            "in": where,
            "required": where == "path",
            "description": words + reader.meaning,
            "schema": dict(reader.schema),
        }


def _responses(resource: Resource, schemas: dict[str, Any]) -> JsonValue:
    answers: dict[str, object] = {}
    for status in resource.statuses:
        link = {"description": 'URL of the next part of the list, rel="next"', "schema": {"type": "string"}}
        answers[str(status)] = {
            "description": _STATUSES[status],
            "headers": ({"Link": link} if resource.listing else {}) | ({LAG: _LAG} if resource.followed else {}),
            "content": _content(resource, schemas),
        }
    if resource.method == "GET":
        answers["304"] = {"description": _STATUSES[304]}
    if not resource.everywhere and not resource.followed:
        place = {"description": "URL at the leader", "schema": {"type": "string"}}
        answers["307"] = _refusal(307) | {"headers": {"Location": place}}
    refusals = (*_EVERY, *(_CHANGING if resource.method != "GET" else ()))
    for status in (status for status in refusals if status not in resource.statuses):
        answers[str(status)] = _refusal(status)
    return answers


def _refusal(status: int) -> dict[str, object]:
    return {"description": _STATUSES[status], "content": _json({"$ref": _COMPONENTS.format(model="Error")})}


def _content(resource: Resource, schemas: dict[str, Any]) -> JsonValue:
    if resource.media_types:
        return {media_type: {"schema": {"type": "string"}} for media_type in resource.media_types}
    return _json(_schema(get_type_hints(resource.view)["return"], schemas))


def _schema(returned: Any, schemas: dict[str, Any]) -> JsonValue:
    """The JSON schema of a type that a view returns."""
    if returned == JsonValue:
        return {"type": "object"}
    kind, arguments = get_origin(returned), get_args(returned)
    if kind in (Union, UnionType):
        alternatives: list[JsonValue] = []
        for argument in arguments:
            if (schema := _schema(argument, schemas)) not in alternatives:
                alternatives.append(schema)
        return alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    if kind in (Reply, Later, Aside):
        return _schema(arguments[0], schemas)
    if kind in (list, Iterator):
        return {"type": "array", "items": _schema(arguments[0], schemas)}
    return _model(returned, schemas, "serialization")


def _model(model: Any, schemas: dict[str, Any], mode: JsonSchemaMode) -> JsonValue:
    """A reference to the schema of a model, which is added to the components."""
    schema = TypeAdapter(model).json_schema(ref_template=_COMPONENTS, mode=mode)
    for name, found in {**schema.pop("$defs", {}), model.__name__: schema}.items():
        assert schemas.setdefault(name, found) == found, f"two models are named {name}"
    return {"$ref": _COMPONENTS.format(model=model.__name__)}


def _json(schema: JsonValue) -> JsonValue:
    return {"application/json": {"schema": schema}}

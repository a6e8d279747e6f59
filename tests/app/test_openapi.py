"""The OpenAPI document against a ryu-manager with tokens: schemathesis sends what it permits and what it forbids.

The same requests in every run: they are drawn without chance, and bounded in number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, response_schema_conformance

from ryu_apps.rest.resources import RESOURCES
from ryu_apps.rest.tokens import Role
from tests.app.test_rest_access import PLAIN, token
from tests.app.test_starting import LAUNCHERS, started

#: Requests for a resource, permitted and forbidden ones each.
EXAMPLES = 12
#: Parameters in a path that are not plain names.
REFUSABLE = re.compile(r"\{(?!balancer|backend|vswitch)\w+\}")
OPERATIONS = [(resource.method, resource.path) for resource in RESOURCES]
#: An answer that does not end.
STREAM = ("GET", "/evb/events/stream")


class Site:
    """A bridge on the loopback that wants tokens."""

    def __init__(self, folder: Any, stack: ExitStack) -> None:
        self.tokens = {role: token(folder, "create", f"a-{role}", "--role", str(role)) for role in Role}
        (folder / "evbridge.yaml").write_text(PLAIN + "rest: {tokens: tokens}\n")
        self.bridge = started(stack, LAUNCHERS["ryu-manager"], folder)
        self.bridge.await_serving()
        self.url = f"http://127.0.0.1:{self.bridge.rest}"
        self.document = json.loads(self.get("/evb/openapi.json", self.tokens[Role.READ])[1])
        self.schema = schemathesis.openapi.from_dict(self.document)

    def get(self, path: str, text: str | None) -> tuple[int, bytes]:
        client = HTTPConnection("127.0.0.1", self.bridge.rest, timeout=120)
        client.request("GET", path, headers={"Authorization": f"Bearer {text}"} if text else {})
        response = client.getresponse()
        try:
            return response.status, response.read()
        finally:
            client.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        site = Site(tmp_path_factory.mktemp("openapi"), stack)
        yield site
        log = site.bridge.log.read_text()
    assert "Traceback" not in log


def exercise(site: Site, method: str, path: str, mode: GenerationMode) -> None:
    operation = site.schema[path][method]

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case) -> None:
        headers = {"Authorization": f"Bearer {site.tokens[Role.ADMIN]}"}
        # A request without its token is forbidden, and gets one here; test_refusals has what URLs may not have.
        left_out = [negative_data_rejection] if method == "GET" else []
        # A few of what is to be forbidden are permitted.  The document has the stream as text; the checks have events.
        left_out += [response_schema_conformance] if (method, path) == STREAM else []
        case.call_and_validate(base_url=site.url, headers=headers, excluded_checks=left_out)

    ask()


@pytest.mark.parametrize(("method", "path"), [operation for operation in OPERATIONS if operation != STREAM])
def test_permitted_requests_are_answered_as_the_document_says(site: Site, method: str, path: str) -> None:
    exercise(site, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(
    ("method", "path"),
    [(row.method, row.path) for row in RESOURCES if row.body or row.query or REFUSABLE.search(row.path)],
)
def test_forbidden_requests_are_answered_as_the_document_says(site: Site, method: str, path: str) -> None:
    exercise(site, method, path, GenerationMode.NEGATIVE)


def test_the_document_is_a_valid_one_with_every_row_of_the_table(site: Site) -> None:
    site.schema.validate()
    shown = {(method.upper(), path) for path, found in site.document["paths"].items() for method in found}
    assert shown == set(OPERATIONS)
    assert site.document["security"] == [{"token": []}]


def test_every_json_answer_has_named_members(site: Site) -> None:
    shapeless = set()
    for row in RESOURCES:
        answers = site.document["paths"][row.path][row.method.lower()]["responses"]
        contents = [answer["content"] for answer in answers.values() if "content" in answer]
        if {"application/json": {"schema": {"type": "object"}}} in contents:
            shapeless.add(row.path)
    # OpenAPI has a schema of its own documents.
    assert shapeless == {"/evb/openapi.json"}


def test_without_a_token_the_document_is_not_told(site: Site) -> None:
    assert site.get("/evb/openapi.json", None)[0] == 401

"""Permissions of tokens, for every app on the web server, and the records of changes and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from webob import Request, Response

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import RestChanged, RestRefused
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.resources import RESOURCES, required_role
from ryu_apps.rest.tokens import Role, TokenFile, new_token
from tests.worlds.bridge import Vm

CHANGES = {
    ("POST", "/evb/reload"): Role.ADMIN,
    ("POST", "/evb/vsitypes/reload"): Role.ADMIN,
    ("POST", "/evb/cluster/transfer"): Role.ADMIN,
    ("POST", "/evb/vsis/{vsi}/handover"): Role.OPERATE,
    ("DELETE", "/evb/vsis/{vsi}"): Role.OPERATE,
    ("PUT", "/evb/load_balancers/{balancer}/backends/{backend}"): Role.OPERATE,
    ("POST", "/evb/vsitypes/check"): Role.OPERATE,
    ("PUT", "/evb/statistics/{vsi}"): Role.OPERATE,
    ("PUT", "/evb/vsis/{vsi}/state"): Role.OPERATE,
}
OTHER_APPS = [("GET", "/stats/flow/1"), ("POST", "/stats/flowentry/add"), ("POST", "/"), ("DELETE", "/evbs")]


@dataclass
class Site:
    """A web server behind a guard that answers everything with 202."""

    folder: Path
    tokens: bool = True
    told: list[LogEvent] = field(default_factory=list)
    served: int = 0

    def __post_init__(self) -> None:
        made = {role: new_token(f"a-{role}", role) for role in Role}
        self.texts = {role: text for role, (text, _) in made.items()}
        path = self.folder / "tokens"
        path.write_text("".join(f"{token}\n" for _, token in made.values()))
        known = TokenFile(path) if self.tokens else None
        self.guard = Guard(self._serve, known, required_role, lambda: 0.0, self.told.append)

    def _serve(self, _environ: Any, start_response: Any) -> Iterator[bytes]:
        self.served += 1
        start_response("202 Accepted", [])
        yield b""

    def ask(self, method: str, path: str, authorization: str | None = None) -> Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        request = Request.blank(path, method=method, headers=headers, environ={"REMOTE_ADDR": "192.0.2.7"})
        return request.get_response(self.guard)

    def admits(self, role: Role, method: str, path: str) -> bool:
        response = self.ask(method, path, f"Bearer {self.texts[role]}")
        assert response.status_int in (202, 403)
        return response.status_int == 202


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_each_resource_takes_the_roles_that_it_should(site: Site) -> None:
    for resource in RESOURCES:
        if resource.role is None:
            # The live page, without anything of the bridge.
            assert resource.path == "/" or resource.path.startswith("/evb/page/")
            assert resource.method == "GET"
            continue
        needed = CHANGES.get((resource.method, resource.path), Role.READ)
        assert needed is not Role.READ or resource.method == "GET", "a change that a reader may make"
        path = resource.path.replace("{vsi}", Vm(1).text)
        for role in Role:
            assert site.admits(role, resource.method, path) is (role >= needed), (role, resource)


@pytest.mark.parametrize(("method", "path"), OTHER_APPS)
def test_what_other_apps_serve_needs_the_highest_role(site: Site, method: str, path: str) -> None:
    assert [role for role in Role if site.admits(role, method, path)] == [Role.ADMIN]


@pytest.mark.parametrize(
    "path",
    ["/evb/vsis/../../stats/flow/1", "/evb//status", "//stats/flow/1", "/EVB/status", "/metrics/", "/evb%2fstatus"],
)
def test_a_path_written_otherwise_gets_no_more_than_a_missing_resource(site: Site, path: str) -> None:
    """Paths that pass with the role ``read`` are below /evb/, which no other app serves."""
    admitted = site.admits(Role.READ, "GET", path)
    assert not admitted or Request.blank(path).path_info.startswith("/evb/")


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer evb_guess", "Bearer \xff"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/evb/status"), ("DELETE", "/evb/vsis/x"), *OTHER_APPS])
def test_nothing_is_served_without_a_token_that_is_known(
    site: Site, method: str, path: str, authorization: str | None
) -> None:
    response = site.ask(method, path, authorization)
    assert (response.status_int, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="evbridge"')
    assert site.served == 0 and "error" in response.json
    (told,) = site.told
    assert told == RestRefused(caller="-", address="192.0.2.7", method=method, path=path, status=401)


def test_the_scheme_is_written_as_one_likes(site: Site) -> None:
    assert site.ask("GET", "/evb/status", f"bearer  {site.texts[Role.READ]} ").status_int == 202


def test_a_change_is_recorded_with_its_author_and_a_look_is_not(site: Site) -> None:
    site.admits(Role.ADMIN, "GET", "/evb/status")
    assert site.told == []
    site.admits(Role.OPERATE, "DELETE", "/evb/vsis/x")
    site.admits(Role.READ, "DELETE", "/evb/vsis/x")
    who = {"address": "192.0.2.7", "method": "DELETE", "path": "/evb/vsis/x"}
    assert site.told == [
        RestChanged(caller="a-operate", status=202, **who),
        RestRefused(caller="a-read", status=403, **who),
    ]


def test_without_a_file_of_tokens_everything_is_served_and_changes_are_recorded(tmp_path: Path) -> None:
    site = Site(tmp_path, tokens=False)
    assert site.ask("GET", "/stats/flow/1").status_int == 202
    assert site.ask("POST", "/stats/flowentry/add").status_int == 202
    assert site.told == [
        RestChanged(caller="-", address="192.0.2.7", method="POST", path="/stats/flowentry/add", status=202)
    ]


def test_what_a_client_writes_into_the_record_is_short_and_text(site: Site) -> None:
    site.ask("DELETE", "/evb/" + "x" * 5000 + "%ff")
    (told,) = site.told
    assert isinstance(told, RestRefused) and len(told.path) == 200


def test_a_file_that_cannot_be_used_any_more_admits_nobody(site: Site) -> None:
    (site.folder / "tokens").write_text("spoilt")
    response = site.ask("GET", "/evb/status", f"Bearer {site.texts[Role.ADMIN]}")
    assert (response.status_int, site.served) == (401, 0)
    assert response.json == {"error": "no token is accepted: the file of tokens cannot be used"}

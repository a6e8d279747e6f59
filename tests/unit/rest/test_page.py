"""The live page as it is served: types, policy, what its files may contain, and what REST has for it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from webob import Request, Response

from ryu_apps.evb.topology.interface import Role as PortRole
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest import page
from ryu_apps.rest.application import respond
from ryu_apps.rest.guard import CALLER, Guard
from ryu_apps.rest.resources import required_role
from ryu_apps.rest.tokens import Role, TokenFile, new_token
from tests.worlds.bridge import HV1, HV3, Vm
from tests.worlds.rest import RestWorld, unhurried

FILES = Path(page.__file__).parent / "page_files"
VM = Vm(1)
#: Words by which text would become HTML or a program.
DANGEROUS = (
    r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|\beval\b|Function\(|createContextual|srcdoc|localSt"
)


@pytest.fixture(scope="module")
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    return world


def served(world: RestWorld, request: Request) -> Response:
    answer = respond(request, lambda: world, lambda: world.now, lambda _: None, unhurried)
    return request.get_response(answer)


KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PATHS = [
    ("/" if file.suffix == ".html" else f"/evb/page/{file.name}", KINDS[file.suffix])
    for file in sorted(FILES.iterdir())
]


@pytest.mark.parametrize(("path", "kind"), PATHS)
def test_each_file_has_its_type_its_policy_and_an_etag(world: RestWorld, path: str, kind: str) -> None:
    response = served(world, Request.blank(path))
    assert (response.status_code, response.content_type, response.charset.lower()) == (200, kind, "utf-8")
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == "'self'" and "unsafe" not in str(policy)
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    again = served(world, Request.blank(path, headers={"If-None-Match": response.headers["ETag"]}))
    assert again.status_code == 304


def test_the_document_names_only_files_that_there_are_and_has_nothing_that_acts_inside(world: RestWorld) -> None:
    text = served(world, Request.blank("/")).text
    named = re.findall(r"""(?:src|href)=["'](/evb/page/[^"']+)["']""", text)
    assert named and all(served(world, Request.blank(path)).status_code == 200 for path in named)
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src=)", text)
    assert 'lang="en"' in text and "width=device-width" in text


@pytest.mark.parametrize("name", page.SCRIPTS)
def test_a_script_imports_what_there_is_and_makes_text_neither_html_nor_program(name: str) -> None:
    text = (FILES / f"{name}.js").read_text()
    for imported in re.findall(r'from "\./([\w-]+)\.js"', text):
        assert imported in page.SCRIPTS
    assert re.findall(DANGEROUS, text) == []
    assert len(text.splitlines()) < 300


def test_page_and_token_are_of_one_house(tmp_path: Path, world: RestWorld) -> None:
    """The page comes without a token, what it shows does not, and it learns its role."""
    text, token = new_token("watch", Role.OPERATE)
    (tmp_path / "tokens").write_text(f"{token}\n")

    def application(environ: dict[str, object], start_response: object) -> object:
        return served(world, Request(environ))(environ, start_response)

    guard = Guard(application, TokenFile(tmp_path / "tokens"), required_role, lambda: 0.0, lambda _: None)
    for path, _ in PATHS:
        assert Request.blank(path).get_response(guard).status_code == 200
        assert Request.blank(path, method="POST").get_response(guard).status_code == 401
    for path in ("/evb/status", "/evb/picture.svg", "/evb/access", "/evb/page/", "/evb/page/index.html"):
        assert Request.blank(path).get_response(guard).status_code == 401
    known = Request.blank("/evb/access", headers={"Authorization": f"Bearer {text}"})
    assert known.get_response(guard).json == {"tokens": False, "name": "watch", "role": "operate"}


def test_without_tokens_everyone_has_the_highest_role(world: RestWorld) -> None:
    assert CALLER not in Request.blank("/").environ
    assert world.get("/evb/access") == {"tokens": False, "name": None, "role": "admin"}


def test_the_picture_names_ports_and_switches_and_is_drawn_once_in_another_thread(world: RestWorld) -> None:
    drawn: list[object] = []

    def elsewhere(work: object) -> object:
        drawn.append(work)
        return work()  # type: ignore[operator]

    request = Request.blank("/evb/picture.svg")
    response = respond(request, lambda: world, lambda: world.now, lambda _: None, unhurried, elsewhere)
    assert response.content_type == "image/svg+xml" and "script-src" not in response.headers["Content-Security-Policy"]
    assert len(drawn) == 1
    ports = {group.get("data-port") for group in fromstring(response.body).iter() if group.get("data-port")}
    fabric = world.queries.fabric
    assert ports == {str(port) for role in (PortRole.STATION, PortRole.HOST) for port in fabric.ports(role)}
    switches = {group.get("data-switch") for group in fromstring(response.body).iter() if group.get("data-switch")}
    assert switches == {f"{dpid:016x}" for dpid in fabric.switches}


def test_steps_of_a_migration_have_their_places_in_the_ladder(world: RestWorld) -> None:
    (move,) = world.get(f"/evb/migrations?vsi={VM.text}&newest=1")
    steps = [(step["kind"], step["arrow"], step["words"]) for step in move["events"] if step["arrow"]]
    assert steps[0] == ("vdp.request", "from_station", "Pre-Associate with RR")
    assert steps[-1] == ("vdp.response", "to_station", "Pre-Associate with RR: success")
    assert {arrow for _, arrow, _ in steps[1:-1]} == {"at_switch"}
    assert len(world.get("/evb/migrations")) == 2

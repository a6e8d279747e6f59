"""``evbridge status`` and its like: what they print of a bridge, and what they say when it does not answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from click.testing import CliRunner, Result
from webob import Request

from ryu_apps.cli import show
from ryu_apps.cli.main import main
from ryu_apps.cli.show_tables import printable
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.rest.application import respond
from ryu_apps.rest.guard import Guard
from ryu_apps.rest.resources import required_role
from ryu_apps.rest.tokens import Role, TokenFile, new_token
from tests.worlds.bridge import HV1, HV2, HV3, Vm
from tests.worlds.rest import RestWorld, unhurried

DPID_1, DPID_2 = "0000000000000001", "0000000000000002"


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class RequestClock:
    """Time of one request, which pauses of its answer advance.

    That of the bridge stands still: the server has a thread of its own, and a stream pauses until it notices that its
    client has gone: stations of a bridge whose clock went on meanwhile would expire.
    """

    def __init__(self, world: RestWorld) -> None:
        self._world = world
        self._paused = 0.0

    def now(self) -> float:
        return self._world.now + self._paused

    def pause(self, seconds: float) -> None:
        self._paused += seconds


class Site:
    """A bridge with five VSIs behind a web server with tokens."""

    def __init__(self, folder: Path) -> None:
        self.world = RestWorld()
        self.world.connect()
        self.world.agree(HV1)
        for number in (1, 2, 3):
            self.world.ask(HV1, Vm(number), VdpMode.ASSOCIATE)
        self.world.ask(HV2, Vm(4), VdpMode.PREASSOCIATE_RR)
        self.world.ask(HV3, Vm(1), VdpMode.PREASSOCIATE_RR)
        self.world.ask(HV3, Vm(1), VdpMode.ASSOCIATE)
        # Until the marks of opened gates have gone, a standby shows them as being opened.
        self.world.advance(0.5)
        text, token = new_token("reader", Role.READ)
        (folder / "tokens").write_text(f"{token}\n")
        self.token = folder / "token"
        self.token.write_text(text)
        guard = Guard(self._serve, TokenFile(folder / "tokens"), required_role, lambda: 0.0, lambda _: None)
        self.server = make_server("127.0.0.1", 0, guard, handler_class=_Silent)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _serve(self, environ: dict[str, Any], start_response: Any) -> Any:
        clock = RequestClock(self.world)
        response = respond(Request(environ), lambda: self.world, clock.now, clock.pause, unhurried)
        return response(environ, start_response)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("show"))
    thread = threading.Thread(target=site.server.serve_forever)
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def run(site: Site, *arguments: str, url: str | None = None, token: bool = True) -> Result:
    given = ["--token-file", str(site.token)] if token else []
    return CliRunner().invoke(main, [*arguments, "--rest", url or site.url, *given], env={"COLUMNS": "400"})


def lines(site: Site, *arguments: str) -> list[list[str]]:
    """The words of each line of a command that succeeds."""
    done = run(site, *arguments)
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.output.splitlines()]


def test_status_shows_switches_and_numbers(site: Site) -> None:
    shown = lines(site, "status")
    assert ["VSIs", "4;", "at", "ports:", "1", "staged,", "3", "active"] in shown
    assert ["stations", "1", "of", "4", "ports", "have", "an", "agreement"] in shown
    names = [line[:3] for line in shown if line[:1] in (["s1"], ["s2"])]
    assert names == [["s1", DPID_1, "ready"], ["s2", DPID_2, "ready"]]


def test_vsis_are_lines_and_filters_are_passed_on(site: Site) -> None:
    head, *rows = lines(site, "vsis")
    assert head == ["VSI", "VM", "PORT", "AT", "PHASE", "TYPE", "VLAN", "MAC", "FOR"]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows) and len(rows) >= 4
    (row,) = lines(site, "vsis", "--phase", "staged", "--switch", "0x1")[1:]
    assert row[:8] == [Vm(4).text, "-", f"{DPID_1}:2", "hv2", "staged", "1/1", "100", "52:54:00:00:00:04"]
    assert lines(site, "vsis", "--vlan", "7") == [["no", "VSIs"]]


@pytest.mark.parametrize(
    ("query", "ports"),
    [
        ((), [f"{DPID_1}:1", f"{DPID_2}:1"]),
        (("--phase", "staged"), [f"{DPID_2}:1"]),
        (("--phase", "active"), [f"{DPID_1}:1"]),
        (("--switch", "0x2"), [f"{DPID_2}:1"]),
        (("--port", "1:1"), [f"{DPID_1}:1"]),
        (("--type", "1"), [f"{DPID_1}:1", f"{DPID_2}:1"]),
        (("--type", "1/2"), []),
        (("--vlan", "100"), [f"{DPID_1}:1", f"{DPID_2}:1"]),
        (("--vlan", "7"), []),
    ],
)
def test_a_vsi_that_moves_has_lines_for_the_ports_that_are_wanted(
    site: Site, query: tuple[str, ...], ports: list[str]
) -> None:
    site.world.ask(HV3, Vm(3), VdpMode.PREASSOCIATE_RR)
    try:
        rows = [line for line in lines(site, "vsis", *query)[1:] if line[0] == Vm(3).text]
        assert [row[2] for row in rows] == ports
        if ports:
            (whole,) = [v for v in json.loads(run(site, "vsis", *query, "--json").output) if v["vsi"] == Vm(3).text]
            assert len(whole["attachments"]) == 2
    finally:
        site.world.ask(HV3, Vm(3), VdpMode.DEASSOCIATE)


@pytest.mark.parametrize(("query", "ports"), [({"vlan": "7"}, [1]), ({"type": "1/2"}, [1]), ({"vlan": "100"}, [0])])
def test_a_port_at_which_the_vsi_has_another_vlan_or_type_is_told_apart(
    site: Site, query: dict[str, str], ports: list[int]
) -> None:
    whole = site.world.get(f"/evb/vsis/{Vm(2).text}")
    here = whole["attachments"][0]
    there = {**here, "port": f"{DPID_2}:9", "dpid": DPID_2, "port_no": 9, "type": "1/2"}
    there["bindings"] = [{**here["bindings"][0], "vid": 7}]
    (section,) = show._at_wanted_ports(query, [{**whole, "attachments": [here, there]}])
    assert [row[2] for row in section.rows] == [[here, there][port]["port"] for port in ports]


def test_one_vsi_is_shown_in_full(site: Site) -> None:
    shown = lines(site, "vsi", Vm(2).text)
    assert ["owner", f"{DPID_1}:1"] in shown and ["phase", "active"] in shown
    assert ["bindings", "52:54:00:00:00:02", "in", "100"] in shown


def test_what_only_the_leader_knows_is_left_out_at_a_standby(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    standby = ClusterStatus("c2", False, "c1", "http://c1:8080/", 0xABC, 5.0, "", 0, 0.1, ())
    at_leader = lines(site, "vsi", Vm(2).text)
    monkeypatch.setattr(site.world, "in_cluster", standby)
    assert all(row[-1] == "-" for row in lines(site, "vsis")[1:])
    shown = lines(site, "vsi", Vm(2).text)
    assert shown == [
        line if line[:1] not in (["for"], ["deadline"], ["rules"]) else [line[0], "-"] for line in at_leader
    ]


def test_migrations_rules_and_stations_are_lines(site: Site) -> None:
    moved = [line for line in lines(site, "migrations", "--vsi", Vm(1).text) if f"{DPID_2}:1" in line]
    assert [line[2:5] for line in moved] == [["completed", f"{DPID_1}:1", f"{DPID_2}:1"]]
    head, *rules = lines(site, "flows", "1", "--state", "staged")
    assert head[:3] == ["TABLE", "PRIORITY", "STATE"] and {rule[2] for rule in rules} == {"staged"}
    assert lines(site, "flows", "0x2") == lines(site, "flows", DPID_2)
    (station,) = lines(site, "stations", "--port", "0x1:1")[1:]
    assert station[:5] == [f"{DPID_1}:1", "hv1", "up", "agreed", "02:00:00:00:01:01"]


@pytest.mark.parametrize(
    ("command", "path"),
    [
        (("vsis", "--switch", "2"), "/evb/vsis?switch=2"),
        (("vsi", Vm(1).text), f"/evb/vsis/{Vm(1).text}"),
        (("migrations",), "/evb/migrations"),
        (("flows", "2", "--state", "active"), "/evb/flows/2?state=active"),
        (("stations",), "/evb/stations"),
    ],
)
def test_json_is_what_rest_answers(site: Site, command: tuple[str, ...], path: str) -> None:
    assert json.loads(run(site, *command, "--json").output) == site.world.get(path)


def test_events_are_lines_or_objects(site: Site) -> None:
    kept = site.world.get("/evb/events")
    assert [line[2] for line in lines(site, "events")] == [event["kind"] for event in kept]
    first = lines(site, "events")[0]
    assert first[0] == "2023-11-14"
    found = run(site, "events", "--json", "--vsi", Vm(4).text).output.splitlines()
    assert [json.loads(line) for line in found] == site.world.get(f"/evb/events?vsi={Vm(4).text}")


def test_events_go_on_where_the_list_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream is left when all has been told; what is told twice or left out would show."""
    from ryu_apps.cli import rest_client

    original = rest_client.RestClient.follow

    def followed(client: rest_client.RestClient, path: str, last: str | None = None) -> Iterator[Any]:
        earlier = site.world.get("/evb/events")
        assert last == earlier[-1]["id"]
        site.world.ask(HV2, Vm(5), VdpMode.PREASSOCIATE)
        for number, pushed in enumerate(original(client, path, last), 1):
            yield pushed
            if number == len(site.world.get("/evb/events")) - len(earlier):
                raise KeyboardInterrupt

    monkeypatch.setattr(show.RestClient, "follow", followed)
    done = run(site, "events", "--follow", "--json")
    assert done.exit_code == 0
    # Answered when the server has noticed that the stream's client has gone: it serves one request at a time.
    run(site, "status")
    assert [json.loads(line) for line in done.output.splitlines()] == site.world.get("/evb/events")
    site.world.ask(HV2, Vm(5), VdpMode.DEASSOCIATE)


# --- when there is no answer -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("vsi", "vm7"), "400 Bad Request: vsi: 'vm7' is not a VSIID"),
        (("vsi", Vm(99).text), f"404 Not Found: no VSI {Vm(99).text}"),
        (("vsis", "--phase", "asleep"), "400 Bad Request: phase: 'asleep' is not a phase"),
        (("flows", "7"), "404 Not Found: no switch 0000000000000007 in the fabric"),
        (("events", "--port", "1"), "400 Bad Request: port: '1' is not a port"),
    ],
)
def test_a_refusal_is_told_with_its_reason(site: Site, arguments: tuple[str, ...], reason: str) -> None:
    done = run(site, *arguments)
    assert done.exit_code == 1 and reason in done.output
    assert done.output.count("\n") == 1


def test_without_a_token_the_bridge_says_so(site: Site) -> None:
    done = run(site, "status", token=False)
    assert done.exit_code == 1 and "401 Unauthorized: a token is needed" in done.output


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("https://127.0.0.1:{port}", "SSL"),
        ("127.0.0.1:8080", "no URL as http://127.0.0.1:8080"),
        ("http://evb.example.net:8080", "a token is sent over https only"),
    ],
)
@pytest.mark.parametrize("command", [("status",), ("events", "--follow")])
def test_a_bridge_that_cannot_be_reached_is_one_line(
    site: Site, url: str, reason: str, command: tuple[str, ...]
) -> None:
    done = run(site, *command, url=url.format(port=site.server.server_port))
    assert done.exit_code == 1 and reason in done.output and done.output.count("\n") == 1


def test_names_of_stations_cannot_control_the_terminal() -> None:
    assert printable("vm\x1b[2J\n7") == "vm\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}7"
    assert printable(None) == printable("") == "-"
    assert printable(0) == "0"

"""``evbridge explain`` beside a bridge that answers over HTTP; the manual's page is typed line by line."""

from __future__ import annotations

import json
import shlex
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from ryu_apps.cli.explain import MOST_FRAMES, explain
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from tests.interop.octets import Ends, ethernet, part, tcp
from tests.worlds.bridge import HV1, HV3, HV4
from tests.worlds.explained import FARM, GUEST, NEWCOMER, SERVER, WALLED, explained_world
from tests.worlds.rest import RestWorld
from tests.worlds.served import served

PAGE = Path(__file__).parents[3] / "docs/explain.rst"


class Bridge(NamedTuple):
    """A bridge, and the URL of its REST interface."""

    world: RestWorld
    url: str

    def run(self, *arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(explain, [*arguments, "--rest", self.url])
        assert done.exit_code == code, done.output
        return done.output

    def json(self, *arguments: str) -> dict:
        return json.loads(self.run(*arguments, "--json"))


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    """A bridge for a test that changes it."""
    world = explained_world()
    with served(world) as url:
        yield Bridge(world, url)


@pytest.fixture
def metered() -> Iterator[Bridge]:
    """A bridge whose gates open by meters too."""
    world = explained_world(GateMode.METER)
    with served(world) as url:
        yield Bridge(world, url)


@pytest.fixture(scope="module")
def quiet() -> Iterator[Bridge]:
    """A bridge that no test changes."""
    world = explained_world()
    with served(world) as url:
        yield Bridge(world, url)


def mac(value: int) -> str:
    return value.to_bytes(6).hex(":")


def frame(source: object, target: object, *more: str) -> list[str]:
    """A TCP SYN from one VM to another."""
    ends = [f"eth_src={mac(source.mac)}", f"eth_dst={mac(target.mac)}"]  # type: ignore[attr-defined]
    return [*ends, f"ipv4_src={source.address}", f"ipv4_dst={target.address}", *more]  # type: ignore[attr-defined]


def test_the_page_of_the_manual(quiet: Bridge) -> None:
    lines = PAGE.read_text().splitlines()
    typed = [number for number, line in enumerate(lines) if line.startswith("    $ evbridge explain ")]
    assert len(typed) == 4
    for number in typed:
        command = shlex.split(lines[number])[3:]
        printed = quiet.run(*command).splitlines()
        shown = [line.removeprefix("    ") for line in lines[number + 1 : number + 1 + len(printed)]]
        assert shown == [line.rstrip() for line in printed]
        assert not lines[number + 1 + len(printed)].strip()


def test_json_names_rule_file_and_line(quiet: Bridge) -> None:
    found = quiet.json("hv1", *frame(GUEST, SERVER, "tcp_dst=ssh"))
    assert [visit["switch"] for visit in found["switches"]] == ["s1", "s2"]
    steps = [
        step for visit in found["switches"] for step in visit["steps"] if step.get("table") in ("INGRESS", "ACL_TO")
    ]
    gate, _trunk, rule = steps
    assert gate["vsis"] == [GUEST.text]
    assert (rule["type"], rule["file"], rule["line"]) == ("1/1", "policies/web_server/web_server.yaml", 14)
    (departure,) = found["switches"][1]["departures"]
    assert (departure["end"], departure["port"], departure["vsi"]) == ("port", HV3.port_no, SERVER.text)
    assert found["delivered"] is True


def test_a_line_that_moves_is_told_without_a_new_program(bridge: Bridge) -> None:
    """The rules in force are those of before, and the place is that of the file of now."""
    world = bridge.world
    held = world.snapshot()
    types = dict(world.offered.types)
    web = types[SERVER.type]
    moved = tuple(replace(rule, place=rule.place._replace(line=rule.place.line + 5)) for rule in web.to_vm.rules)
    types[SERVER.type] = replace(web, to_vm=replace(web.to_vm, rules=moved))
    world.offered = type(world.offered)(types)
    assert world.reloader.policies() == []
    assert world.snapshot() == held
    assert "web_server.yaml:19: allow" in bridge.run("hv1", *frame(GUEST, SERVER, "tcp_dst=ssh"))


def test_a_staged_vsi_passes_nothing_but_as_if_associated_what_it_will_pass(bridge: Bridge) -> None:
    there = "hv4", *frame(NEWCOMER, GUEST, "tcp_dst=80")
    assert bridge.json(*there)["delivered"] is False
    assumed = bridge.json(*there, "--as-if-associated", f"{NEWCOMER.text}@hv4")
    assert assumed["delivered"] is True
    assert bridge.json(*there)["delivered"] is False
    bridge.world.ask(HV4, NEWCOMER, VdpMode.ASSOCIATE)
    real = bridge.json(*there)
    for found in (real, assumed):
        del found["as_if_associated"]
    assert real == assumed


def test_a_gate_that_opens_by_a_meter_is_shut_until_the_associate(metered: Bridge) -> None:
    there = "hv4", *frame(NEWCOMER, GUEST, "tcp_dst=80")
    shut = metered.run(*there)
    assert "dropped at s2: INGRESS" in shut
    assert shut.count("the gate is shut") == 2
    assert f"--as-if-associated {NEWCOMER.text}" in shut
    assumed = metered.json(*there, "--as-if-associated", NEWCOMER.text)
    assert assumed["delivered"] is True
    metered.world.ask(HV4, NEWCOMER, VdpMode.ASSOCIATE)
    assert metered.json(*there)["switches"] == assumed["switches"]
    assert metered.json("hv1", *frame(GUEST, SERVER, "tcp_dst=80"))["delivered"] is True


def test_a_vsi_that_moves_is_shut_at_its_present_port(bridge: Bridge) -> None:
    bridge.world.ask(HV4, GUEST, VdpMode.PREASSOCIATE_RR)
    back = "hv3", *frame(SERVER, GUEST, "tcp_src=80")
    moved = bridge.json(*back, "--as-if-associated", GUEST.text)
    assert [visit["switch"] for visit in moved["switches"]] == ["s2"]
    assert moved["switches"][0]["departures"][0]["name"] == "hv4"
    there = "hv1", *frame(GUEST, SERVER, "tcp_dst=80")
    assert bridge.json(*there)["delivered"] is True
    assert bridge.json(*there, "--as-if-associated", GUEST.text)["delivered"] is False


def pcap(*frames: bytes) -> bytes:
    records = (struct.pack("<IIII", 0, 0, len(octets), len(octets)) + octets for octets in frames)
    return struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 1) + b"".join(records)


def segment(source: object, target: object, ports: tuple[int, int], flags: int) -> bytes:
    ends = Ends.of(str(source.address), str(target.address))  # type: ignore[attr-defined]
    octets = ethernet(0x0800, part(ends, 6, tcp(*ports, flags=flags)))
    return target.mac.to_bytes(6) + source.mac.to_bytes(6) + octets[12:]  # type: ignore[attr-defined]


def test_frames_of_a_capture_teach_the_switches(quiet: Bridge, tmp_path: Path) -> None:
    """The answer of a VM behind a firewall passes because of the SYN before it."""
    answer = segment(WALLED, GUEST, (80, 40000), 0x12)
    (tmp_path / "answer.pcap").write_bytes(pcap(answer))
    (tmp_path / "both.pcap").write_bytes(pcap(segment(GUEST, WALLED, (40000, 80), 0x02), answer))
    alone = quiet.json("hv2", "--pcap", str(tmp_path / "answer.pcap"))
    assert alone["delivered"] is False
    opened = quiet.run("hv1", "--pcap", str(tmp_path / "both.pcap"), "--json").splitlines()
    assert len(opened) == 2
    assert json.loads(opened[0])["delivered"] is True
    third = quiet.json("hv1", "--pcap", str(tmp_path / "both.pcap"), "--number", "1")
    assert third["words"] == json.loads(opened[0])["words"]


def test_lists_in_parts_are_read_to_the_end(quiet: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = quiet.json("hv1", *frame(GUEST, SERVER, "tcp_dst=80"))
    monkeypatch.setattr("ryu_apps.rest.resources.MOST", 50)
    assert quiet.json("hv1", *frame(GUEST, SERVER, "tcp_dst=80")) == whole


GOOD = tuple(frame(GUEST, SERVER))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["hv9", *GOOD], "no port 'hv9'; a port is SWITCH:NUMBER, such as s1:3"),
        (["s1", *GOOD], "several ports have the name 's1'"),
        (["hv1", "eth_src"], "'eth_src': FIELD=VALUE was expected"),
        (["hv1", "eth_scr=02:00:00:00:00:01"], "unknown field 'eth_scr' (did you mean 'eth_src'?)"),
        (["hv1", "eth_src=x"], "eth_src: 'x' is not a MAC address"),
        (["hv1", "eth_src=02:00:00:00:00:01"], "the frame has no eth_dst"),
        (["hv1", *GOOD, "tcp_dst=80-90"], "tcp_dst: '80-90' is more than one value, and a frame has one"),
        (["hv1", *GOOD, "tcp_dst=80", "udp_dst=80"], "udp_dst needs ip_proto=udp, and the frame has another"),
        (["hv1", *GOOD, "arp_op=1"], "arp_op needs eth_type=arp, and the frame has another"),
        (["hv1", *GOOD, "tcp_dst=1", "tcp_flags=x"], "tcp_flags: 'x' are not flags"),
        (["hv1", *GOOD, "ip_frag=2"], "ip_frag: '2' is none of: no, first, later"),
        (["hv1", *GOOD, *GOOD[:1]], "eth_src is given twice"),
        (["hv1", *GOOD[:2]], "the frame has no eth_type"),
        (["hv1", *GOOD[:2], "tcp_dst=80"], "the frame has no eth_type: ipv4 or ipv6"),
        (["hv1", *GOOD, "--as-if-associated", GUEST.text], f"VSI {GUEST.text} has no staged rules at a port where"),
        (["hv1", *GOOD, "--as-if-associated", "x"], "vsi: "),
        (["hv1", *GOOD, "--as-if-associated", f"{NEWCOMER.text}@hv1"], "has no staged rules at hv1, but at"),
        (["hv1", *GOOD, "--switch", "nowhere"], "--switch nowhere: No such file or directory"),
    ],
)
def test_bad_input_is_one_clear_line(quiet: Bridge, arguments: list[str], reason: str) -> None:
    said = quiet.run(*arguments, code=1)
    assert reason in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "neither pcap nor pcapng"),
        (b"\0" * 40, "neither pcap nor pcapng"),
        (pcap(), "no frame"),
        (pcap(b"short"), "5 octets are no Ethernet frame"),
        (pcap(b"")[:20] + struct.pack("<I", 113), "link type 113: only Ethernet (1) can be explained"),
        (pcap(*[bytes(60)] * (MOST_FRAMES + 1)), f"more than {MOST_FRAMES} frames; choose one by --number"),
    ],
)
def test_a_file_that_is_no_capture_is_one_clear_line(quiet: Bridge, tmp_path: Path, octets: bytes, reason: str) -> None:
    (tmp_path / "x.pcap").write_bytes(octets)
    said = quiet.run("hv1", "--pcap", str(tmp_path / "x.pcap"), code=1)
    assert said == f"Error: {tmp_path}/x.pcap: {reason}\n"


def test_the_bridge_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVBRIDGE_REST", "nowhere:8093")
    result = CliRunner().invoke(explain, ["hv1", *GOOD, "tcp_dst=80"])
    assert (result.exit_code, result.output.startswith("Error: nowhere:8093: no URL")) == (1, True)


def test_a_frame_is_written_or_captured_and_not_both(quiet: Bridge) -> None:
    assert "comes from --pcap" in quiet.run("hv1", code=2)
    assert "--number is of use with --pcap alone" in quiet.run("hv1", *GOOD, "--number", "1", code=2)


def test_a_bridge_that_does_not_answer_is_one_clear_line() -> None:
    done = CliRunner().invoke(explain, ["hv1", *GOOD, "--rest", "http://127.0.0.1:1"])
    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1


def test_a_link_that_is_down_is_not_used(bridge: Bridge) -> None:
    for port in (11, 12):
        bridge.world.link(HV1._replace(port_no=port), up=False)
    found = bridge.json("hv1", *frame(GUEST, FARM, "tcp_dst=80"))
    assert found["delivered"] is False
    assert [visit["switch"] for visit in found["switches"]] == ["s1"]


def test_a_capture_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before the bridge is asked; a frame that the capture does not have, too."""
    (tmp_path / "x.pcap").write_bytes(pcap(bytes(60)))
    there = ["hv1", "--pcap", str(tmp_path / "x.pcap"), "--rest", "http://127.0.0.1:1"]
    done = CliRunner().invoke(explain, [*there, "--number", "2"])
    assert (done.exit_code, done.output) == (1, f"Error: {tmp_path}/x.pcap: no frame 2\n")
    monkeypatch.setattr("ryu_apps.cli.explain.MOST_OCTETS", 99)
    done = CliRunner().invoke(explain, there)
    assert (done.exit_code, done.output) == (1, f"Error: {tmp_path}/x.pcap: larger than 99 octets\n")

"""VMs under one pattern of names, untagged in different VLANs, at the Open vSwitches of two servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from mininet_tests.conftest import SHORT, tables, wait_as_found
from ryu_apps.evb.config import BridgeConfig, dump_config
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.testbed.guests import HTTPS, arrives, copies_of_request, who_has
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.raw_frames import RawSocket
from ryu_apps.testbed.short_timers import quick
from ryu_apps.topologies import servers

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, THERE = "hv1", "hv2"
RED_VLAN, BLUE_VLAN = servers.NATIVE_VLAN, 200
OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
#: Text of each VSI type behind its head.
TYPES = {1: OPEN, 2: f"network: {{vlan: {BLUE_VLAN}}}\n{OPEN}"}
RED, BLUE = TYPES


def several_natives(fabric: Fabric) -> Fabric:
    """A fabric whose servers have both VLANs at each VSI port."""
    switches = {}
    for dpid, switch in fabric.switches.items():
        patterns = tuple(VsiPortPattern(found.names, RED_VLAN, (), (RED_VLAN, BLUE_VLAN)) for found in switch.vsi_ports)
        switches[dpid] = replace(switch, vsi_ports=patterns)
    return replace(fabric, switches=switches)


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder, policies = tmp_path_factory.mktemp("servers"), tmp_path_factory.mktemp("policies")
    for number, text in TYPES.items():
        head = f"version: 1\nvsi_type: {{type_id: {number}, version: 1, name: type{number}}}\n"
        (policies / f"{number}.yaml").write_text(head + text, encoding="ascii")
    fabric = quick(several_natives(servers.fabric(2, 0)), SHORT)
    config = dump_config(BridgeConfig(fabric, (str(policies),), str(folder / "state")))
    with inside(), Cluster(fabric, servers.END_SYSTEMS, folder, config, station=DaemonStation) as cluster:
        yield cluster


class Guest:
    """A VM that asks for a null VID: its type or its port chooses the VLAN."""

    def __init__(self, cluster: Cluster, kind: int, number: int, at: str) -> None:
        self._cluster, self._kind, self._number, self.at = cluster, kind, number, at
        self.vm = NamespaceVm(f"n{number}", f"52:54:00:b7:00:{number:02x}", f"10.0.100.{150 + number}")
        cluster.boot(self.vm, at)

    @property
    def vsi(self) -> str:
        """VSIID."""
        return f"00000000-0000-4000-b700-{self._number:012d}"

    def call(self, verb: str, at: str = "", **more: Any) -> dict[str, Any]:
        station = self._cluster.hypervisors[at or self.at].station
        assert isinstance(station, DaemonStation)
        described = {"type": self._kind, "filters": [f"0-{self.vm.mac}"], "addresses": [self.vm.ip]}
        return station.call(verb, self.vsi, **({} if verb == "release" else described), **more)

    def moves_on(self, at: str) -> None:
        """The VM is at another server now, with its memory; its station has said so."""
        old, new = (self._cluster.hypervisors[name] for name in (self.at, at))
        old.edge.detach(self.vm.port)
        old.namespace.ip(f"link set dev {self.vm.port} netns {new.namespace.pid}")
        new.edge.attach(self.vm.port, self.vm.mac)
        new.edge.raise_port(self.vm.port)
        self.at = at

    def leave(self) -> None:
        for at in (HERE, THERE):
            self.call("release", at)
        self._cluster.shut_down(self.vm.name, self.at)

    def reaches(self, other: Guest) -> bool:
        return arrives(self.vm.namespace, other.vm.namespace, other.vm.ip, HTTPS)


@pytest.fixture
def guests(rack: Cluster) -> Iterator[dict[str, Guest]]:
    """Red and blue VMs at both servers, all with taps of one pattern."""
    before = tables(rack)
    with ExitStack() as stack:
        found = {}
        kinds = {"red": (RED, HERE), "blue": (BLUE, HERE), "far red": (RED, THERE), "far blue": (BLUE, THERE)}
        for number, (name, (kind, at)) in enumerate(kinds.items(), start=1):
            found[name] = Guest(rack, kind, number, at)
            stack.callback(found[name].leave)
        yield found
    wait_as_found(partial(tables, rack), before)


def heard(cluster: Cluster, speaker: Guest, guests: dict[str, Guest]) -> set[str]:
    """The VMs and end systems that hear a broadcast of a VM, or of whoever is at its port."""
    request = who_has("10.0.100.250", speaker.vm.mac, speaker.vm.ip)
    vms = {guest.vm.name: name for name, guest in guests.items()}
    with (
        copies_of_request(cluster, [guest.vm for guest in guests.values()], request) as copies,
        RawSocket(speaker.vm.namespace, INTERFACE) as wire,
    ):
        for _ in range(5):
            wire.send(request)
        return {vms.get(name, name) for name, count in copies().items() if count}


def test_vms_of_one_pattern_are_in_the_vlans_of_their_types(rack: Cluster, guests: dict[str, Guest]) -> None:
    assert heard(rack, guests["blue"], guests) == set(), "a port without a VSI"
    answers = {name: guest.call("associate") for name, guest in guests.items()}
    vids = {name: int(answer["filters"][0].partition("-")[0]) for name, answer in answers.items()}
    assert vids == {"red": RED_VLAN, "blue": BLUE_VLAN, "far red": RED_VLAN, "far blue": BLUE_VLAN}
    for sender, receiver in (("red", "far red"), ("blue", "far blue"), ("far blue", "blue")):
        assert guests[sender].reaches(guests[receiver]), f"{sender} to {receiver}"
    wait_until(lambda: heard(rack, guests["blue"], guests) == {"far blue"}, "a broadcast in the other VLAN")
    wait_until(lambda: heard(rack, guests["red"], guests) == {"far red", "client", "nms"}, "one in the first")


def test_a_vm_takes_its_untagged_vlan_to_another_server(rack: Cluster, guests: dict[str, Guest]) -> None:
    for guest in guests.values():
        assert guest.call("associate")["ok"]
    moving = guests["blue"]
    assert moving.reaches(guests["far blue"])
    assert moving.call("reserve", THERE, migrating=True)["ok"]
    moving.moves_on(THERE)
    assert heard(rack, moving, guests) == set(), "staged, but disabled"
    assert moving.call("associate", THERE)["ok"]
    assert moving.reaches(guests["far blue"]) and guests["far blue"].reaches(moving)
    wait_until(lambda: heard(rack, moving, guests) == {"far blue"}, "its broadcasts in its VLAN alone")

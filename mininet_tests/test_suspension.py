"""A VM that is suspended: what it sends stays at its switch until its station associates it again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.testbed.emulator import EmulatedStation
from ryu_apps.testbed.guests import HTTPS, arrives, running, vsi
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import dump_flows, settle_cached_flows
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, wait_until
from ryu_apps.testbed.harness.station import VdptoolMode

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SOURCE, PORT = "hv1", 40_000


@contextmanager
def udp(namespace: Namespace, port: int) -> Iterator[socket.socket]:
    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("0.0.0.0", port))
        opened.settimeout(PATIENCE)
        yield opened


def lets_in(mac: str) -> bool:
    """True if the switch of the source has a rule that lets frames of a VM in."""
    return any(f"table={Table.INGRESS:d}," in rule and f"dl_src={mac}" in rule for rule in dump_flows("s1"))


def test_suspended_vm_sends_nothing_until_its_station_associates_it_again(emulated: Cluster) -> None:
    client, station = emulated.hosts["client"], emulated.hypervisors[SOURCE].station
    assert isinstance(station, EmulatedStation)
    with running(emulated, 1, SOURCE) as vm, udp(client.namespace, PORT) as heard:
        with udp(vm.namespace, HTTPS) as guest:
            guest.sendto(b"before", (client.ip, PORT))
            assert heard.recv(16) == b"before"
            station.suspend(vsi(1))
            wait_until(lambda: not lets_in(vm.mac), "a shut gate for frames from the VM")
            settle_cached_flows()
            for _ in range(5):
                guest.sendto(b"suspended", (client.ip, PORT))
        assert arrives(client.namespace, vm.namespace, vm.ip, HTTPS), "frames to it arrive as before"
        assert station.request(VdptoolMode.ASSOCIATE, vsi(1)).granted
        assert lets_in(vm.mac), "the answer comes behind the gate"
        with udp(vm.namespace, HTTPS) as guest:
            guest.sendto(b"again", (client.ip, PORT))
        assert heard.recv(16) == b"again"

"""Frames that are still under way to where a VM was: put on the trunk by hand, as if it were a long one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ryu_apps.evb.config.schema import FORWARD_IN_FLIGHT
from ryu_apps.evb.pipeline.tables import GENERATION_BITS, OWNER_BITS, CookieKind, cookie
from ryu_apps.testbed.guests import HTTPS, vsi
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.ovs import dump_flows
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.harness.staged import StagedTarget, datagram
from ryu_apps.testbed.harness.vm import NamespaceVm
from ryu_apps.testbed.moves.attempt import admit, dismiss
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.moves.single import SingleMove
from ryu_apps.testbed.raw_frames import tagged
from ryu_apps.topologies.two_switch import NATIVE_VLAN, TRUNK_PORTS
from ryu_apps.vcm.move_events import Ladder

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

HERE, THERE, ELSEWHERE = "hv1", "hv5", "hv6"
#: Seconds: within how many a frame comes, how long what must not come is waited for, and between two frames.
SOON, SILENCE, PAUSE = PATIENCE, 0.3, 0.05
#: Seconds that Open vSwitch may take to notice that a rule has to end.
DAWDLING = 5.0
_DETOUR = f"cookie={cookie(CookieKind.DETOUR) >> OWNER_BITS + GENERATION_BITS:#x}"


class Guest:
    """A VM that listens."""

    def __init__(self, cluster: Cluster) -> None:
        self.vm = NamespaceVm("f1", "52:54:00:bb:00:01", "10.0.100.101")
        self.at = HERE
        self._cluster = cluster
        cluster.boot(self.vm, HERE)
        admit(cluster.hypervisors[HERE], vsi(1))
        self._socket = self.vm.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("0.0.0.0", HTTPS))

    def moves(self, there: str) -> None:
        """The Associate has been answered when this returns."""
        move = SingleMove(self._cluster, vsi(1), self.vm.name, self.at, there, Ladder.MINIMIZE_LATENCY, 0.001)
        assert move.run().evidence.outcome is MoveOutcome.COMPLETED
        self.at = there

    def hears(self, patience: float) -> bool:
        """Return True if a datagram arrives in time."""
        self._socket.settimeout(patience)
        try:
            return bool(self._socket.recv(100))
        except TimeoutError:
            return False

    def leaves(self) -> None:
        self._socket.close()
        dismiss(self._cluster.hypervisors[self.at], vsi(1))
        self._cluster.shut_down(self.vm.name, self.at)


@contextmanager
def guest(cluster: Cluster) -> Iterator[Guest]:
    found = Guest(cluster)
    try:
        yield found
    finally:
        found.leaves()


def arrives(cluster: Cluster, guest: Guest, switch: str, trunk: int, patience: float) -> bool:
    """Return True if frames for the VM that a switch sends to a trunk come back to the switch.

    There are some, because a datapath goes by what it has cached for some milliseconds more.
    """
    client = cluster.hosts["client"]
    frame = datagram(client.mac, client.ip, StagedTarget(guest.vm.mac, guest.vm.ip, HTTPS))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((f"{switch}-eth{trunk}", 0))
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            wire.send(tagged(frame, NATIVE_VLAN))
            if guest.hears(PAUSE):
                return True
    return False


def detours(switch: str) -> list[str]:
    return [line for line in dump_flows(switch) if line.startswith(_DETOUR)]


def ends(cluster: Cluster, guest: Guest) -> None:
    """The detour goes, and with it the way back; not in the same moment, since the datapath has cached it."""
    wait_until(lambda: not detours("s1"), "the end of the detour", FORWARD_IN_FLIGHT + DAWDLING)

    def silent() -> bool:
        return not arrives(cluster, guest, "s2", TRUNK_PORTS[0], SILENCE)

    wait_until(silent, "the end of the way back", DAWDLING)


def test_it_goes_back_by_the_trunk_it_came_in_by_until_the_switch_ends_that(emulated: Cluster) -> None:
    with guest(emulated) as vm:
        assert arrives(emulated, vm, "s2", TRUNK_PORTS[0], SOON)
        vm.moves(THERE)
        (rule,) = detours("s1")
        assert f"hard_timeout={FORWARD_IN_FLIGHT}" in rule
        for trunk in TRUNK_PORTS:
            assert arrives(emulated, vm, "s2", trunk, SOON)
        ends(emulated, vm)
        assert arrives(emulated, vm, "s1", TRUNK_PORTS[0], SOON)


def test_the_switch_ends_it_without_a_controller(emulated: Cluster) -> None:
    with guest(emulated) as vm:
        vm.moves(THERE)
        emulated.controller.stop()
        try:
            assert arrives(emulated, vm, "s2", TRUNK_PORTS[0], SOON)
            ends(emulated, vm)
        finally:
            emulated.controller.start()
            emulated.controller.wait_connected(2)


def test_a_vm_that_comes_back_at_once_or_goes_on_is_found(emulated: Cluster) -> None:
    with guest(emulated) as vm:
        for _ in range(3):
            vm.moves(THERE)
            assert arrives(emulated, vm, "s2", TRUNK_PORTS[0], SOON)
            vm.moves(HERE)
            assert detours("s1") == detours("s2") == []
            assert arrives(emulated, vm, "s2", TRUNK_PORTS[0], SOON)
        vm.moves(THERE)
        vm.moves(ELSEWHERE)
        assert len(detours("s1")) == 1 and detours("s2") == []
        assert arrives(emulated, vm, "s2", TRUNK_PORTS[0], SOON)

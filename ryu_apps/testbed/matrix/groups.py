"""Multicast groups that the VM has joined, in a network without a querier."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack, suppress
from ipaddress import IPv4Address

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.capture import Tap, only_ethertypes
from ryu_apps.testbed.harness.multicast import interface_index, mute
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.vm import INTERFACE
from ryu_apps.testbed.matrix.workload import MoveCost, WorkloadStage, WorkloadVerdict

PORT = 5004
FIRST, STRANGER = IPv4Address("239.1.0.0"), IPv4Address("239.2.0.1")
#: Linux lets a socket join so many groups.
_PER_SOCKET = 20
_BORN_SHARE = 10
_IP_MULTICAST_ALL = 49
_NUMBER = struct.Struct("!I")
_ETHERTYPE_IPV4 = 0x0800
#: Seconds for memberships to become known, and for the datagrams of a round to arrive.
_PATIENCE = 10.0
#: So many datagrams go at once, and then none for so many seconds; more overflow the queues of a switch.
_BURST, _PAUSE = 20, 0.001
#: Seconds within which a datagram is through the switches.
_FIRST_ONES = 0.5


class JoinWorkload:
    """Every group that was joined is received after the move; one that was not, is not."""

    service = "IGMP join"
    scales = True
    learns = True

    @staticmethod
    def section(live: int) -> str:
        """A VM that may join whatever it likes."""
        return "multicast: {max_groups: 1000, max_sources: 0}\nfrom_vm: {default: allow}\nto_vm: {default: allow}"

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Join, and wait until every group comes in."""
        self._stage, self._resources = stage, ExitStack()
        self._sockets: list[socket.socket] = []
        self._joined = 0
        self._awaited: set[int] = set()
        self._index = interface_index(stage.vm.namespace, INTERFACE)
        self._sender = self._resources.enter_context(stage.client.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM))
        index = interface_index(stage.client.namespace, stage.client.interface)
        request = struct.pack("4s4si", bytes(4), bytes(4), index)
        self._sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        self._join(live)
        missing = self._missing()
        if missing:
            raise DeadlineError(f"{len(missing)} of {live} groups are not received before the move")

    def more(self) -> None:
        """One group in ten is joined while the VM is about to move."""
        self._join(-(-self._joined // _BORN_SHARE) if self._joined < 1000 else 0)

    def resumed(self) -> None:
        """One datagram goes to each group at once."""
        self._awaited = set(range(self._joined))
        self._send(self._awaited)

    def judge(self) -> WorkloadVerdict:
        """Send to all groups, and to the stranger."""
        dropped = self._dropped()
        tap = Tap(self._stage.vm.namespace, INTERFACE, only_ethertypes(_ETHERTYPE_IPV4))
        missing = self._missing()
        tap.drain()
        packed = STRANGER.packed
        strangers = len(tap.matching(lambda sighting: not sighting.outgoing and sighting.data[30:34] == packed))
        tap.socket.close()
        return WorkloadVerdict(self._joined, len(missing), strangers, MoveCost(dropped=dropped))

    def end(self) -> None:
        """Leave all."""
        for member in self._sockets:
            member.close()
        self._resources.close()

    def _join(self, count: int) -> None:
        for _ in range(count):
            if self._joined % _PER_SOCKET == 0:
                self._sockets.append(self._listener())
            self._member(self._sockets[-1], FIRST + self._joined)
            self._joined += 1

    def _member(self, listener: socket.socket, group: IPv4Address) -> None:
        request = struct.pack("4s4si", group.packed, bytes(4), self._index)
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def _listener(self) -> socket.socket:
        made = self._stage.vm.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        made.bind(("", PORT))
        made.setblocking(False)
        return made

    def _missing(self) -> set[int]:
        """The groups that bring nothing, however often they are sent to."""
        missing = set(range(self._joined))
        deadline = time.monotonic() + _PATIENCE
        while True:
            self._sender.sendto(_NUMBER.pack(0xFFFFFFFF), (str(STRANGER), PORT))
            self._send(missing)
            time.sleep(0.05)
            missing -= self._received()
            if not missing or time.monotonic() > deadline:
                return missing

    def _send(self, numbers: set[int]) -> None:
        for place, number in enumerate(numbers, 1):
            self._sender.sendto(_NUMBER.pack(number), (str(FIRST + number), PORT))
            if place % _BURST == 0:
                time.sleep(_PAUSE)

    def _received(self) -> set[int]:
        return {number for member in self._sockets for number in self._heard(member)}

    def _dropped(self) -> int:
        """Number of datagrams sent at the VM's resumption that did not arrive."""

        def all_here() -> bool:
            self._awaited -= self._received()
            return not self._awaited

        with suppress(TimeoutError):
            wait_until(all_here, "first datagrams", _FIRST_ONES)
        return len(self._awaited)

    @staticmethod
    def _heard(listener: socket.socket) -> list[int]:
        heard = []
        while True:
            try:
                heard.append(_NUMBER.unpack(listener.recv(64))[0])
            except BlockingIOError:
                return heard


class ConfiguredWorkload(JoinWorkload):
    """The same groups, configured in the VSI type as an NMS would; the bridge hears no report of the VM."""

    service = "IGMP join, NMS configured"
    learns = False

    @staticmethod
    def section(live: int) -> str:
        """The groups by name."""
        groups = ", ".join(str(FIRST + number) for number in range(live))
        return JoinWorkload.section(live).replace("max_groups", f"groups: [{groups}], max_groups")

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Hold the VM's reports back."""
        mute(stage.vm.namespace, INTERFACE)
        super().begin(stage, live)

    def more(self) -> None:
        """Configured groups stay the same while a VM moves."""


class FilterWorkload(JoinWorkload):
    """Check that a group that the filter denies is not received, joined or not."""

    service = "IGMP filter"
    scales = False
    learns = False

    @staticmethod
    def section(live: int) -> str:
        """A VM that may join some groups only."""
        return JoinWorkload.section(live).replace("max_groups", "filter: [239.1.0.0/16], max_groups")

    def begin(self, stage: WorkloadStage, live: int) -> None:
        """Join a few, and the stranger."""
        super().begin(stage, 10)
        self._sockets.append(self._listener())
        self._member(self._sockets[-1], STRANGER)

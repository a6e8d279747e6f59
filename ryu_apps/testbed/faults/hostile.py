"""Attacks and mistakes of a neighbour, a guest, a REST client, and of an operator with a shell at a switch."""

from __future__ import annotations

import random
import resource
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from ryu_apps.evb.wire.association import Associate
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import ManagerId, UnknownTlv, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.testbed.faults.rig import Rig
from ryu_apps.testbed.harness.shell import end
from ryu_apps.testbed.raw_frames import Flood, RawSocket

#: TLVs in an ECPDU, ECPDUs in a flood before it begins again.
_TLVS, _PDUS = 20, 50
#: Reserved by 802.1Q table 41-1.
_UNKNOWN_TLV = 0x6F
#: Above any that a station reaches in a test, whose own would else pass for a repetition.
_FIRST_SEQUENCE = 0x8000
_BROADCAST, _ALL_ROUTERS = 0xFFFFFFFFFFFF, 0x333300000002
#: Frames a second and in all, of a flood that is punted and of one that may be flooded.
PUNTED, FORWARDED = (10_000, 50_000), (1_000, 5_000)
#: Connections that do nothing, and descriptors that the controller is left meanwhile.
CROWD, DESCRIPTORS = 200, 128


def unknown_types(source: int) -> list[bytes]:
    """Requests for VSIs of an unknown type: each costs a decision and an answer."""
    wanted = [
        Associate(
            RequestStatus(),
            99,
            1,
            VsiId.from_text(f"00000000-0000-4000-8000-{number:012d}"),
            FilterInfo.of(MacVid(100, 0x525400EE0000 | number)),
        )
        for number in range(_TLVS * _PDUS)
    ]
    pdus = [VdpPdu(ManagerId(), tuple(wanted[at : at + _TLVS])) for at in range(0, len(wanted), _TLVS)]
    return _ecp(source, [pdu.encode() for pdu in pdus])


def unknown_tlvs(source: int) -> list[bytes]:
    """ECPDUs full of TLVs that 802.1Q does not have."""
    pdu = VdpPdu(ManagerId(), (UnknownTlv(_UNKNOWN_TLV, bytes(20)),) * _TLVS)
    return _ecp(source, [pdu.encode()] * _PDUS)


def guest_frames(source: int, draw: random.Random) -> list[bytes]:
    """Send unsolicited frames as a guest: broadcasts, multicasts, unused addresses, unknown types."""
    to = (_BROADCAST, _ALL_ROUTERS, 0x0180C200000E, *(0x525400FF0000 | number for number in range(20)))
    types = (0x0806, 0x0800, 0x86DD, 0x88CC, ETHERTYPE_ECP, 0x8899)
    return [Frame(draw.choice(to), source, draw.choice(types), draw.randbytes(46)).encode() for _ in range(200)]


def _ecp(source: int, payloads: Sequence[bytes]) -> list[bytes]:
    pdus = [Ecpdu(EcpOp.REQUEST, 1, number, payload) for number, payload in enumerate(payloads, _FIRST_SEQUENCE)]
    return [Frame(NEAREST_CUSTOMER_BRIDGE, source, ETHERTYPE_ECP, pdu.encode()).encode(pad=True) for pdu in pdus]


def station_mac(rig: Rig, hypervisor: str) -> int:
    """The MAC address that a hypervisor's lldpad sends from."""
    home = rig.cluster.hypervisors[hypervisor]
    with RawSocket(home.namespace, home.uplink) as wire:
        return int.from_bytes(wire.socket.getsockname()[4])


@contextmanager
def flooding(rig: Rig, hypervisor: str, frames: Sequence[bytes], bound: tuple[int, int]) -> Iterator[Flood]:
    """Frames from an uplink, so many a second and in all."""
    home = rig.cluster.hypervisors[hypervisor]
    with RawSocket(home.namespace, home.uplink) as wire, Flood(wire, frames, *bound).raging() as flood:
        yield flood


@contextmanager
def crowding(rig: Rig, port: int, first: bytes) -> Iterator[None]:
    """More connections than the controller has descriptors, each with the beginning of something."""
    pid = rig.controller.pid
    _, most = limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    try:
        with ExitStack() as crowd:
            for _ in range(CROWD):
                idle = crowd.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                with suppress(OSError):  # turned away already
                    idle.sendall(first)
            yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextmanager
def reading(*paths: str) -> Iterator[None]:
    """A REST client for each path that does nothing else."""
    script = "while :; do curl -s -o /dev/null http://127.0.0.1:8080$0; done"
    clients = [subprocess.Popen(["sh", "-c", script, path]) for path in paths]
    try:
        yield
    finally:
        for client in clients:
            end(client)

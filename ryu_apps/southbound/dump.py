"""Rules, groups and meters of one switch, read over a connection of its own, as ovs-ofctl does.

For commands: it blocks.  Open vSwitch serves the socket ``<bridge>.mgmt`` for this, beside its controllers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.rule import CookieMask, Group, Meter, Rule
from ryu_apps.southbound import decode, flow_stats
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import Query, flow_stats_request, multipart_request, numbered

#: Seconds for which a switch may be silent.
_PATIENCE = 10.0
#: Messages until an answer is given up.
_MOST = 100_000
ALL_METERS = ofp.OFPM_ALL.to_bytes(4) + bytes(4)
_EVERYTHING = Query(CookieMask(0, 0))


class DumpError(Exception):
    """The switch cannot be read; the text is the reason."""


@dataclass(slots=True)
class SwitchDump:
    """Rules, groups and meters of a switch.

    Attributes:
        unknown: rules with instructions that evbridge cannot express; they are shown without any.
    """

    dpid: int
    rules: list[Rule] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)
    unknown: int = 0


def read_switch(target: str) -> SwitchDump:
    """Read a switch.

    Args:
        target: as for ovs-ofctl: name of a bridge of this machine, ``unix:PATH``, or ``tcp:HOST:PORT``.

    Raises:
        DumpError: no such switch, no answer, or no OpenFlow 1.3.
    """
    try:
        with _connected(target) as opened, opened.makefile("rb") as stream:
            return _Reader(opened.sendall, stream).dump()
    except (OSError, EOFError, ValueError) as error:
        raise DumpError(f"{target}: {getattr(error, 'strerror', None) or error}") from None


def _connected(target: str) -> socket.socket:
    kind, _, where = target.partition(":")
    if kind == "tcp":
        host, colon, port = where.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 0xFFFF:
            raise ValueError("tcp:HOST:PORT was expected")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE)
    path = where if kind == "unix" else f"{os.environ.get('OVS_RUNDIR', '/var/run/openvswitch')}/{target}.mgmt"
    opened = socket.socket(socket.AF_UNIX)
    opened.settimeout(_PATIENCE)
    try:
        opened.connect(path)
    except OSError:
        opened.close()
        raise
    return opened


class _Reader:
    def __init__(self, send: Callable[[bytes], None], stream: BinaryIO) -> None:
        self._send = send
        self._stream = stream

    def dump(self) -> SwitchDump:
        self._send(message(ofp.OFPT_HELLO, b""))
        if self._answer(ofp.OFPT_HELLO)[0] < ofp.OFP_VERSION:
            raise ValueError("the switch does not speak OpenFlow 1.3")
        self._send(numbered(message(ofp.OFPT_FEATURES_REQUEST, b""), 1))
        found = SwitchDump(int.from_bytes(self._answer(ofp.OFPT_FEATURES_REPLY)[8:16]))
        for part in self._parts(flow_stats_request(_EVERYTHING, 2)):
            for entry in flow_stats.entries(part):
                found.rules.append(flow_stats.in_order(flow_stats.rule(entry)))
                found.unknown += not flow_stats.is_known(entry)
        for part in self._parts(multipart_request(ofp.OFPMP_GROUP_DESC, b"", 3)):
            found.groups += decode.groups(part)
        for part in self._parts(multipart_request(ofp.OFPMP_METER_CONFIG, ALL_METERS, 4)):
            # One that evbridge cannot express is shown without a burst.
            found.meters += (meter for meter in decode.meters(part) if meter.burst)
        return found

    def _parts(self, request: bytes) -> Iterator[bytes]:
        self._send(request)
        while True:
            part = self._answer(ofp.OFPT_MULTIPART_REPLY)
            yield part
            if not decode.more_follows(part):
                return

    def _answer(self, kind: int) -> bytes:
        """The next message of a type; requests for an echo are answered on the way."""
        for _ in range(_MOST):
            octets = self._receive()
            if octets[1] == kind:
                return octets
            if octets[1] == ofp.OFPT_ERROR:
                raise ValueError(decode.error(octets).text)
            if octets[1] == ofp.OFPT_ECHO_REQUEST:
                self._send(bytes([octets[0], ofp.OFPT_ECHO_REPLY]) + octets[2:])
        raise ValueError("the switch sends something else than the answer")

    def _receive(self) -> bytes:
        head = self._stream.read(ofp.OFP_HEADER_SIZE)
        length = int.from_bytes(head[2:4]) if len(head) == ofp.OFP_HEADER_SIZE else 0
        if length < ofp.OFP_HEADER_SIZE:
            raise EOFError("the connection has ended")
        octets = head + self._stream.read(length - len(head))
        if len(octets) != length:
            raise EOFError("the connection has ended")
        return octets

"""(g) Associate while the state of the VSI is being read early, and the fix-up after it: two triggers against one.

The VSI is a client of a load balancer with TCP connections, of which nine tenths are staged.  The others are opened
later.  The source reports the suspension, and the Associate comes while the reading that this causes is under way.
Each switch is a process of its own: one that shows its rules answers nothing else, and nor would its neighbour.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.figures import Figure, Line, Spread
from bench.rig import RYU_MANAGER, packet_socket, process
from bench.station import VID, BenchStation, vsi, vsi_mac
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR, RequestStatus
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

_PORT, _REST_PORT = 7003, 7004
#: Switches of source and destination.
_SOURCE, _DESTINATION = "tr1", "tr2"
#: Cables between their namespaces, and the network of the second one; the controller is at the source's address.
_CABLES = _TRUNK, _NETWORK = "tr-link", "tr-net"
_SUBNET = "192.0.2"
#: VSI types by trigger.
_TYPES = {"single": 31, "dual": 32}
_BACKEND_TYPE, _BACKEND, _MOVER = 33, 0x400, 0x500
#: A number of connections of which fewer moves are measured.
MANY = 10_000
#: Seconds from the report of the suspension to the Associate, by number of connections.
SUSPENSIONS = {100: (0.0, 0.01), 1_000: (0.0, 0.02, 0.06), MANY: (0.05,)}
#: Connections of the moves before the first that counts: the switches take each kind of message for the first time.
_WARM_UP = 10
_VIRTUAL_MAC, _VM_IP, _VIRTUAL_IP = 0x0200000000C8, bytes((10, 0, 0, 5)), bytes((10, 0, 0, 200))
_SYN, _ACK = 0x02, 0x10
_PINS_EACH = 4
#: Connections are opened in bursts that the switch can take.
_BURST = 50
#: As in :mod:`bench.station`, but a bridge may take 84 s to decide: to stage 36,000 rules of state takes 5 s on idle
#: cores, 20 s and more on busy ones.  When the time is over it answers error 2.
_TIMERS = Timers(rwd=23, rka=25)
#: Seconds; a station waits for half as long again as a bridge may take.
_PATIENCE = 150.0
#: Milliseconds after which a switch forgets a cached flow, and seconds until it has forgotten all.  What it has cached,
#: it translates anew after each change of a gate; with thousands of connections that would hide all else.
_MAX_IDLE, _SETTLED = 100, 1.0
#: Seconds, for each connection, after which the end of a fix-up is in the log.
_LOGGED_AFTER = 0.0005
_SECTION = (
    "load_balancer: {{backend_of: [{backend_of}], max_connections: 20480, timeouts: {{opening: 3600}}, "
    "trigger: {trigger}}}"
)


@dataclass(slots=True)
class Sample:
    """Milliseconds from the Associate to its answer, and to the end of the fix-up (0: nothing was left to fix up)."""

    answers: list[float] = field(default_factory=list)
    fix_ups: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pair:
    """Source and destination of the moves, each at a switch of its own.

    Attributes:
        switches: by name.
        uplink: packet socket of the source's port.
    """

    switches: dict[str, PrivateOvs]
    source: BenchStation
    destination: BenchStation
    uplink: socket.socket

    def open_connections(self, number: int, first: int, last: int) -> None:
        """Open connections of a VM at the source, by their numbers."""
        made = _PINS_EACH * first
        # All first segments before the others: a first segment of a lasting connection would begin another one.
        for flags in (_SYN, _ACK):
            made += _PINS_EACH // 2 * (last - first)
            self._send_until(made, [_segment(vsi_mac(number), connection, flags) for connection in range(first, last)])

    def _send_until(self, pins: int, segments: list[bytes]) -> None:
        """Send segments until there are pins of all of them: a switch drops some of a burst."""
        until = time.monotonic() + _PATIENCE
        while (found := self.pins(_SOURCE)) < pins:
            if time.monotonic() > until:
                raise TimeoutError(f"{found} pins instead of {pins}")
            for number, segment in enumerate(segments):
                self.uplink.send(segment)
                if number % _BURST == 0:
                    time.sleep(0.005)
            time.sleep(0.05)

    def pins(self, bridge: str) -> int:
        """Return the number of pins in a switch."""
        found = self.switches[bridge].ofctl("dump-aggregate", bridge, f"table={Table.BALANCER_PINS}")
        return int(found.rsplit("flow_count=", 1)[1])

    def fixed_up(self, since: float) -> float | None:
        """Return the time of the last fix-up after a time, monotonic seconds; None: there was none."""
        with inside(self.switches[_SOURCE].namespace):
            connection = http.client.HTTPConnection("127.0.0.1", _REST_PORT, timeout=_PATIENCE)
            connection.connect()
        connection.request("GET", f"/evb/events?since={since}")
        events: list[dict[str, Any]] = json.load(connection.getresponse())
        connection.close()
        return max((event["t"] for event in events if event["kind"] == "state.fixed_up"), default=None)


def measure(ovs: PrivateOvs, rounds: int, connections: int) -> list[Figure]:
    """Interleaved: one trigger and two, each suspension, round by round."""
    samples = {trigger: {pause: Sample() for pause in SUSPENSIONS[connections]} for trigger in _TYPES}
    with _pair(ovs) as pair:
        for type_id in _TYPES.values():
            _move(pair, type_id, _WARM_UP, 0.0)
        for _ in range(rounds):
            for pause in SUSPENSIONS[connections]:
                for trigger, type_id in _TYPES.items():
                    answer, fix_up = _move(pair, type_id, connections, pause)
                    samples[trigger][pause].answers.append(answer)
                    samples[trigger][pause].fix_ups.append(fix_up)
    return [_answers(connections, samples), _fix_ups(connections, samples)]


def _move(pair: Pair, type_id: int, connections: int, pause: float) -> tuple[float, float]:
    """Move a VSI with its connections; returns milliseconds as :class:`Sample` has them."""
    number, early = _MOVER + type_id, connections * 9 // 10
    pair.source.ask(vsi(number, Associate, type_id))
    pair.open_connections(number, 0, early)
    pair.destination.ask(replace(vsi(number, PreAssociateRR, type_id), status=RequestStatus(migrating=True)))
    pair.open_connections(number, early, connections)
    pair.source.idle(_SETTLED)
    reported = pair.source.ask(vsi(number, Associate, type_id), suspended=True)
    taken = pair.destination.ask(replace(vsi(number, Associate, type_id), status=RequestStatus(migrating=True)), pause)
    wait_for(lambda: pair.pins(_SOURCE) == 0 and pair.pins(_DESTINATION) == _PINS_EACH * connections, "pins", _PATIENCE)
    # The last confirmation, and the log, come after the pins.  That of an early reading may have come before them, and
    # what is left for the last reading then is little.
    wait_for(lambda: pair.fixed_up(reported.asked) is not None, "end of a fix-up", _PATIENCE)
    pair.source.idle(_LOGGED_AFTER * connections)
    fixed_up = pair.fixed_up(taken.asked)
    pair.destination.ask(vsi(number, DeAssociate, type_id))
    pair.source.idle(0.1)
    wait_for(lambda: pair.pins(_DESTINATION) == 0, "end of pins", _PATIENCE)
    return 1e3 * taken.seconds, 0.0 if fixed_up is None else 1e3 * (fixed_up - taken.asked)


def _answers(connections: int, samples: dict[str, dict[float, Sample]]) -> Figure:
    figure = Figure(
        f"(g) Associate frame to VDP response while {connections:,} connections are read",
        "ms",
        aims=["ratio 1.2 or less"],
    )
    for pause in SUSPENSIONS[connections]:
        single, dual = (Spread.of(samples[trigger][pause].answers) for trigger in _TYPES)
        figure.lines.append(Line(f"one trigger, {1e3 * pause:.0f} ms suspended", single))
        figure.lines.append(Line(f"two triggers, {1e3 * pause:.0f} ms suspended", dual, dual.p50 / single.p50))
    return figure


def _fix_ups(connections: int, samples: dict[str, dict[float, Sample]]) -> Figure:
    figure = Figure(
        f"(g) Associate frame to the end of the fix-up of {connections:,} connections", "ms", aims=["ratio 1.0 or less"]
    )
    for pause in SUSPENSIONS[connections]:
        single, dual = (Spread.of(samples[trigger][pause].fix_ups) for trigger in _TYPES)
        figure.lines.append(Line(f"one trigger, {1e3 * pause:.0f} ms suspended", single))
        figure.lines.append(Line(f"two triggers, {1e3 * pause:.0f} ms suspended", dual, _ratio(dual, single)))
    return figure


def _ratio(dual: Spread, single: Spread) -> float | None:
    return dual.p50 / single.p50 if single.p50 else None


@contextmanager
def _pair(ovs: PrivateOvs) -> Iterator[Pair]:
    """Controller, two switches that are joined, and their stations, which have agreed with it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        config, log = Path(folder, "evbridge.yaml"), Path(folder, "log")
        config.write_text(_config())
        for trigger, type_id in _TYPES.items():
            Path(folder, f"{type_id}.yaml").write_text(_policy(type_id, "", trigger))
        Path(folder, f"{_BACKEND_TYPE}.yaml").write_text(_policy(_BACKEND_TYPE, "web", "dual"))
        far = stack.enter_context(PrivateOvs())
        switches = {_SOURCE: ovs, _DESTINATION: far}
        _join(ovs, far)
        for cable in _CABLES:
            stack.callback(ovs.remove_veth, cable)
        listening = ("--ofp-listen-host", f"{_SUBNET}.1", "--ofp-tcp-listen-port", str(_PORT))
        arguments = (*listening, "--wsapi-port", str(_REST_PORT))
        apps = ("ryu_apps.evb_bridge", "ryu_apps.evb_rest")
        stack.enter_context(process(ovs, "-c", RYU_MANAGER, *arguments, *apps, log=log, EVBRIDGE_CONFIG=str(config)))
        for dpid, (name, switch) in enumerate(switches.items(), start=0x11):
            switch.vsctl("set", "Open_vSwitch", ".", f"other_config:max-idle={_MAX_IDLE}")
            stack.callback(switch.vsctl, "remove", "Open_vSwitch", ".", "other_config", "max-idle")
            switch.add_bridge(name, dpid, f"tcp:{_SUBNET}.1:{_PORT}")
            stack.callback(switch.vsctl, "del-br", name)
            switch.add_veth(name, 1, f"{name}-st0", f"{name}-st1")
            stack.callback(switch.remove_veth, f"{name}-st0")
            switch.vsctl("add-port", name, _TRUNK, "--", "set", "interface", _TRUNK, "ofport_request=2")
        uplinks = [packet_socket(switch, f"{name}-st1") for name, switch in switches.items()]
        for uplink in uplinks:
            stack.callback(uplink.close)
        source, destination = (
            BenchStation(uplink, 0x525400FF1100 + place, _TIMERS) for place, uplink in enumerate(uplinks)
        )
        try:
            source.agree()
            destination.agree()
            source.ask(vsi(_BACKEND, Associate, _BACKEND_TYPE))
            yield Pair(switches, source, destination, uplinks[0])
        except BaseException:
            sys.stderr.write(log.read_text())
            raise


def _join(near: PrivateOvs, far: PrivateOvs) -> None:
    """Lay a trunk between two switches, and a network by which the second one reaches the controller."""
    for cable in _CABLES:
        pair = ("type", "veth", "peer", "name", cable, "netns", far.namespace)
        near.run("ip", "-n", near.namespace, "link", "add", cable, *pair)
        for number, switch in enumerate((near, far), start=1):
            with inside(switch.namespace):
                Path(f"/proc/sys/net/ipv6/conf/{cable}/disable_ipv6").write_text("1")
            if cable == _NETWORK:
                switch.run("ip", "-n", switch.namespace, "address", "add", f"{_SUBNET}.{number}/24", "dev", cable)
            switch.run("ip", "-n", switch.namespace, "link", "set", cable, "up")


def _segment(source: int, connection: int, flags: int) -> bytes:
    """A TCP segment to the virtual address; no checksums."""
    port = struct.pack("!H", 10_000 + connection)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 0, 0, 64, 6, 0, _VM_IP, _VIRTUAL_IP)
    tcp = port + struct.pack("!HIIBBHHH", 80, 1, 1, 5 << 4, flags, 0xFFFF, 0, 0)
    return _VIRTUAL_MAC.to_bytes(6) + source.to_bytes(6) + b"\x08\x00" + ip + tcp + bytes(6)


def _config() -> str:
    virtual, backend = (mac.to_bytes(6).hex(":") for mac in (_VIRTUAL_MAC, vsi_mac(_BACKEND)))
    switches = "".join(
        f"""
  {name}:
    dp_id: {dpid}
    interfaces:
      1: {{name: {name}-hv, role: station, native_vlan: {VID}}}
      2: {{name: {peer}, role: trunk, link: {{dp: {peer}, port: 2}}}}"""
        for dpid, name, peer in ((0x11, _SOURCE, _DESTINATION), (0x12, _DESTINATION, _SOURCE))
    )
    return f"""\
version: 1
policies: [{", ".join(f"{type_id}.yaml" for type_id in (*_TYPES.values(), _BACKEND_TYPE))}]
timers: {{rwd: {_TIMERS.rwd}, rka: {_TIMERS.rka}}}
load_balancers:
  web:
    vlan: {VID}
    mac: "{virtual}"
    addresses: [10.0.0.200]
    port: 80
    backends: {{one: {{mac: "{backend}", addresses: [10.0.0.1]}}}}
dps:{switches}
"""


def _policy(type_id: int, backend_of: str, trigger: str) -> str:
    return "\n".join(
        (
            "version: 1",
            f"vsi_type: {{type_id: {type_id}, version: 1, name: {trigger} {type_id}}}",
            "anti_spoofing: {ip: false, arp: false}",
            "from_vm: {default: allow}",
            "to_vm: {default: allow}",
            _SECTION.format(backend_of=backend_of, trigger=trigger),
            "",
        )
    )

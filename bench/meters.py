"""(j) From the Associate frame to the first packet beside many cached flows: gates with a meter and without."""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.figures import Figure, Line, Spread
from bench.gate import Probes, Sample
from bench.rig import CLIENT_MAC, RYU_MANAGER, bridge, packet_socket, private_ovs, process
from bench.station import TIMERS, VID, BenchStation, vsi, vsi_mac
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR
from tests.interop.private_ovs import PrivateOvs, wait_for

#: Cached flows of others.
MANY = 20_000
_PORT, _DPID, _TYPE, _MOVER = 7003, 1, 1, 0x300
#: What opens the gates of each bridge.
_BRIDGES = {"evr": "rules", "evm": "meter"}
_NOISE = "noi"
_POLICY = """\
version: 1
vsi_type: {type_id: 1, version: 1, name: streams}
anti_spoofing: {ip: false, arp: false}
from_vm: {default: allow}
to_vm: {default: deny, rules: [{rule: {eth_type: ipv4, udp_dst: 4000, actions: {allow: 1}}}]}
"""


def measure(rounds: int, log: Path) -> list[Figure]:
    """Interleaved: both gates, round by round; without flows of others, then with many."""
    with private_ovs() as ovs, _evbridges(ovs) as stations:
        probes = {gate: Probes(ovs, name, log) for name, gate in _BRIDGES.items()}
        figures = [_measure(stations, probes, rounds, 0)]
        with noise(ovs):
            figures.append(_measure(stations, probes, rounds, MANY))
    return figures


def _measure(stations: dict[str, BenchStation], probes: dict[str, Probes], rounds: int, flows: int) -> Figure:
    samples = {gate: Sample() for gate in stations}
    for turn in range(rounds + 1):
        for number, (gate, station) in enumerate(stations.items()):
            mover = _MOVER + number
            station.ask(vsi(mover, PreAssociateRR, _TYPE))
            into = samples[gate] if turn else None

            def associate(station: BenchStation = station, mover: int = mover) -> float:
                return station.ask(vsi(mover, Associate, _TYPE)).asked

            probes[gate].first_packets(vsi_mac(mover), associate, into)
            station.ask(vsi(mover, DeAssociate, _TYPE))
    figure = Figure(f"(j) Associate frame to the first packet of a dropped stream, {flows:,} flows of others", "ms")
    for to_vm in (True, False):
        found = {gate: Spread.of(sample.to_vm if to_vm else sample.from_vm) for gate, sample in samples.items()}
        direction = "to the VM" if to_vm else "from the VM"
        figure.lines.append(Line(f"rules, {direction}", found["rules"]))
        figure.lines.append(Line(f"meter, {direction}", found["meter"], found["meter"].p50 / found["rules"].p50))
    return figure


@contextmanager
def _evbridges(ovs: PrivateOvs) -> Iterator[dict[str, BenchStation]]:
    """Two bridges that differ in their gates alone, and a station at each that has agreed with it."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        Path(folder, "type.yaml").write_text(_POLICY)
        stations = {}
        for number, (name, gate) in enumerate(_BRIDGES.items()):
            config = Path(folder, f"{name}.yaml")
            config.write_text(_config(gate))
            port = _PORT + number
            arguments = ("-c", RYU_MANAGER, "--ofp-tcp-listen-port", str(port), "ryu_apps.evb_bridge")
            stack.enter_context(process(ovs, *arguments, log=Path(folder, name), EVBRIDGE_CONFIG=str(config)))
            stations[gate] = BenchStation(stack.enter_context(bridge(ovs, name, _DPID, port)).station)
        for station in stations.values():
            station.agree()
        yield stations


def _config(gate: str) -> str:
    return f"""\
version: 1
policies: [type.yaml]
timers: {{rwd: {TIMERS.rwd}, rka: {TIMERS.rka}}}
dps:
  s1:
    dp_id: {_DPID}
    gate: {gate}
    interfaces:
      1: {{name: hv1, role: station, native_vlan: {VID}}}
      2: {{name: client, role: host, native_vlan: {VID}, macs: ["{CLIENT_MAC.to_bytes(6).hex(":")}"]}}
"""


@contextmanager
def noise(ovs: PrivateOvs) -> Iterator[None]:
    """A bridge of its own in the same switch that has cached :data:`MANY` flows."""
    # So that each of the flows of others has to be made once.
    ovs.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=3600000")
    ovs.add_bridge(_NOISE, 99)
    ovs.add_veth(_NOISE, 1, f"{_NOISE}-st0", f"{_NOISE}-st1")
    with tempfile.NamedTemporaryFile("w") as rules:
        rules.writelines(f"dl_src={_source(number).hex(':')},actions=LOCAL\n" for number in range(MANY))
        rules.flush()
        ovs.ofctl("add-flows", _NOISE, rules.name)
    far = packet_socket(ovs, f"{_NOISE}-st1")
    try:
        wait_for(lambda: _cached(ovs, far) >= MANY, f"{MANY} cached flows")
        yield
    finally:
        far.close()
        ovs.vsctl("del-br", _NOISE)


def _source(number: int) -> bytes:
    return (0x0200_0000_0000 + number).to_bytes(6)


def _cached(ovs: PrivateOvs, far: socket.socket) -> int:
    """Send a frame of every source; returns the number of flows that are cached."""
    for number in range(MANY):
        far.send((b"\x02" * 6 + _source(number) + b"\x88\xb5").ljust(60, b"\0"))
        if number % 50 == 0:
            time.sleep(0.002)
    found = re.search(r"\(current (\d+)\)", ovs.appctl("upcall/show"))
    return 0 if found is None else int(found[1])

"""A bridge whose policies take long to read serves stations meanwhile, and leaves its switches as they are.

The policy is a named pipe: it has been read when the test has written it, and not before.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from bench.rig import packet_socket
from bench.station import BenchStation, vsi
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.vdp import Associate, Association, ManagerId, ResponseStatus, VdpPdu
from tests.interop.evbridge import OPENFLOW, Evbridge
from tests.interop.private_ovs import DEADLINE, PrivateOvs, wait_for

MORE = "state_dir: state\npolicies: [web.yaml]\n"
POLICY = "version: 1\nvsi_type: {type_id: 1, version: 1, name: web}\n"
STATION = 0x525400FF0001
SEQUENCE = 0x4000


@pytest.fixture
def uplink(private_ovs: PrivateOvs, bridge: str) -> Iterator[socket.socket]:
    """The station's end of port 1."""
    private_ovs.add_veth(bridge, 1, f"{bridge}-st", f"{bridge}-far")
    private_ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{OPENFLOW}")
    private_ovs.vsctl("set", "controller", bridge, "max_backoff=1000")
    with packet_socket(private_ovs, f"{bridge}-far") as opened:
        yield opened


def watch(ovs: PrivateOvs, bridge: str) -> Callable[[], list[str]]:
    """Return what returns the changes of rules that a switch has reported since."""
    log = ovs.directory / "ovs-ofctl.log"
    ovs.spawn("ovs-ofctl", "-O", "OpenFlow13", "monitor", f"unix:{ovs.directory}/{bridge}.mgmt", "watch:!initial")
    wait_for(lambda: log.exists() and "FLOW_MONITOR reply" in log.read_text(), "flow monitor")
    return lambda: [line for line in log.read_text().splitlines() if "event=" in line]


def start(ovs: PrivateOvs, bridge: str, folder: Path, waits: bool = True) -> Evbridge:
    return Evbridge(ovs, folder, int(bridge[2:]), more=MORE, waits=waits)


def send(uplink: socket.socket, ecpdu: Ecpdu) -> None:
    uplink.send(Frame(NEAREST_CUSTOMER_BRIDGE, STATION, ETHERTYPE_ECP, ecpdu.encode()).encode(pad=True))


def next_ecpdu(uplink: socket.socket) -> Ecpdu:
    deadline = time.monotonic() + DEADLINE
    while (left := deadline - time.monotonic()) > 0:
        uplink.settimeout(left)
        frame = Frame.decode(uplink.recv(2048))
        if frame.ethertype == ETHERTYPE_ECP and frame.src != STATION:
            return Ecpdu.decode(frame.payload)
    raise TimeoutError("no ECPDU")


def answer_about(uplink: socket.socket, asked: Association) -> ResponseStatus:
    """Acknowledge what comes until there is the answer about a VSI; keep-alives of others are answered, too."""
    while True:
        ecpdu = next_ecpdu(uplink)
        if ecpdu.op is EcpOp.REQUEST:
            send(uplink, ecpdu.acknowledgement())
            for association, _ in VdpPdu.decode(ecpdu.payload).associations():
                if association.vsi_id == asked.vsi_id:
                    assert isinstance(association.status, ResponseStatus)
                    return association.status


def refused(bridge: Evbridge) -> HTTPError | None:
    """The error with which REST refuses to name the VSIs; None: it does not listen yet."""
    try:
        bridge.get("/evb/vsis")
    except HTTPError as error:
        return error
    except OSError:
        return None
    raise AssertionError("the VSIs were named")


def test_stations_are_served_and_no_rule_changes_until_the_policies_are_read(
    private_ovs: PrivateOvs, bridge: str, uplink: socket.socket, tmp_path: Path
) -> None:
    policy = tmp_path / "web.yaml"
    policy.write_text(POLICY)
    with start(private_ovs, bridge, tmp_path) as first:
        wait_for(first.ready, "switch")
        station = BenchStation(uplink, STATION)
        station.agree()
        station.ask(vsi(1, Associate, 1))
    policy.unlink()
    os.mkfifo(policy)
    changed = watch(private_ovs, bridge)
    with start(private_ovs, bridge, tmp_path, waits=False) as second:
        before = private_ovs.flows(bridge)
        # An LLDPDU with an EVB TLV has come.
        BenchStation(uplink, STATION).agree()
        pdu = VdpPdu(ManagerId(), (vsi(2, Associate, 1),))
        send(uplink, Ecpdu(EcpOp.REQUEST, 1, SEQUENCE, pdu.encode()))
        acknowledgement = next_ecpdu(uplink)
        assert (acknowledgement.op, acknowledgement.sequence) == (EcpOp.ACK, SEQUENCE)
        wait_for(lambda: refused(second), "REST")
        error = refused(second)
        assert error is not None and (error.code, error.headers["Retry-After"]) == (503, "1")
        assert b"starting: the policies are being read" in error.read()
        metrics = second.text("/metrics")
        assert "\nevb_starting 1.0\n" in metrics and "evb_vsi_state" not in metrics
        assert changed() == [] and private_ovs.flows(bridge) == before
        policy.write_text(POLICY)
        assert answer_about(uplink, vsi(2, Associate, 1)).success
        # What there was for the VSI that runs has not been written anew; and the monitor reports what was written.
        wait_for(changed, "report")
        gates = {rule for rule in before if "dl_src=52:54:00:10:00:01" in rule or "dl_dst=52:54:00:10:00:01" in rule}
        assert gates and gates <= set(private_ovs.flows(bridge))
        assert not any("dl_src=52:54:00:10:00:01" in change for change in changed())
        assert "\nevb_starting 0.0\n" in second.text("/metrics")
        assert "Traceback" not in second.log

"""Any input in any state: a defined outcome or a protocol error, and the invariants hold."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.protocol import ecp, evb, vdp_bridge
from ryu_apps.evb.protocol.ecp import EcpEndpoint
from ryu_apps.evb.protocol.evb import EvbBridgePort
from ryu_apps.evb.protocol.table import ProtocolError
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.protocol.vdp_bridge import VdpBridge, VsiState
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import Associate, RequestStatus, ResponseStatus, VdpError, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat
from ryu_apps.station import vdp_station, vdp_station_events
from ryu_apps.station.vdp_station import VsiStation, VsiStationState
from ryu_apps.station.vdp_station_events import RequestOutcome

TIMERS = Operational(r=3, rte=10, rwd=17, rka=17)
MACHINES = [
    (VdpBridge, vdp_bridge.VsiState, vdp_bridge.VdpInput),
    (EcpEndpoint, ecp.TxState, ecp.EcpInput),
    (EvbBridgePort, evb.EvbState, evb.EvbInput),
    (VsiStation, vdp_station.VsiStationState, vdp_station.VdpStationInput),
]
NEVER_RIGHT = {vdp_station.VdpStationInput.FALLEN}
"""Inputs that are an error in every state."""

REQUEST = Associate(RequestStatus(), 5, 1, VsiId(VsiIdFormat.UUID, bytes(16)), FilterInfo.of(MacVid(vid=0, mac=1)))


def fresh(machine: Any) -> Any:
    """A machine of a kind, new."""
    if machine is EvbBridgePort:
        return EvbBridgePort(Timers())
    return VsiStation(REQUEST, TIMERS) if machine is VsiStation else machine(TIMERS)


ERRORS = [error for error in VdpError if error is not VdpError.SUCCESS]
attempts = st.none() | st.integers(0, 4)
vdp_events = st.one_of(
    st.builds(vdp_bridge.Request, st.sampled_from(VdpMode), st.booleans()),
    st.builds(vdp_bridge.Granted, attempts),
    st.builds(vdp_bridge.Denied, st.sampled_from(ERRORS), st.booleans(), attempts),
    st.builds(vdp_bridge.BridgeDeassociate, st.just("moved")),
    st.just(vdp_bridge.Released()),
    st.just(vdp_bridge.Tick()),
)
ecpdus = st.builds(
    Ecpdu, st.sampled_from(EcpOp), st.integers(0, 3), st.integers(0, 4), st.sampled_from([b"", b"a"]), st.integers(0, 2)
)
ecp_events = st.one_of(
    st.builds(ecp.Received, ecpdus),
    st.builds(ecp.Submit, st.sampled_from([b"a", b"b"])),
    st.builds(ecp.Reconfigure, st.just(TIMERS)),
    st.just(ecp.Reset()),
    st.just(ecp.Tick()),
)
evb_tlvs = st.builds(
    EvbTlv,
    mode=st.sampled_from(EvbMode),
    r=st.integers(0, 7),
    rte=st.integers(0, 31),
    rwd=st.integers(0, 31),
    rka=st.integers(0, 31),
    rrreq=st.booleans(),
    sgid=st.booleans(),
)
evb_events = st.one_of(
    st.builds(evb.NeighbourHeard, st.none() | evb_tlvs, st.integers(1, 2), st.integers(0, 40)),
    st.sampled_from([evb.LinkUp(), evb.LinkDown(), evb.Shutdown(), evb.Tick()]),
)
pauses = st.sampled_from([0.0, 0.001, 0.02, 1.0, 2.5, 30.0])

statuses = st.builds(RequestStatus) | st.builds(
    ResponseStatus, st.sampled_from(VdpError), hard=st.booleans(), keep=st.booleans()
)
answers = st.builds(
    REQUEST.as_mode,
    st.sampled_from(VdpMode),
    statuses,
    st.sampled_from([0, 77]).map(lambda vid: FilterInfo.of(MacVid(vid, 1))),
)
station_events = st.one_of(
    st.builds(vdp_station_events.StationRequest, st.sampled_from(VdpMode)),
    st.builds(vdp_station_events.ResponseReceived, answers),
    st.sampled_from([vdp_station_events.Suspend(), vdp_station_events.Resume(), evb.Tick()]),
)


def scripts(events: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, float]]]:
    return st.lists(st.tuples(events, pauses), max_size=40)


@pytest.mark.parametrize(("machine", "states", "inputs"), MACHINES)
def test_every_state_and_every_input_is_used_by_some_row(machine: Any, states: Any, inputs: Any) -> None:
    pairs = [pair for pair in product(states, inputs) if pair in machine.TABLE]

    assert {state for state, _ in pairs} == set(states)
    assert {each for _, each in pairs} == set(inputs) - NEVER_RIGHT


@pytest.mark.parametrize(("machine", "states", "inputs"), MACHINES)
def test_a_pair_without_a_row_names_state_and_input_and_changes_nothing(machine: Any, states: Any, inputs: Any) -> None:
    subject = fresh(machine)
    for state, each in product(states, inputs):
        if (state, each) in machine.TABLE:
            continue
        subject.state = state
        with pytest.raises(ProtocolError) as caught:
            machine.TABLE.step(subject, each, None, 0.0)
        assert (caught.value.state, caught.value.input) == (state.value, each.value)
        assert subject.state is state


@given(scripts(vdp_events))
def test_the_vdp_machine_keeps_its_promises(script: list[tuple[Any, float]]) -> None:
    vsi, now, releasing = VdpBridge(TIMERS), 0.0, False
    for event, pause in script:
        now += pause
        before = vsi.in_force
        try:
            outputs = vsi.feed(event, now)
        except ProtocolError:
            assert isinstance(event, vdp_bridge.Released | vdp_bridge.BridgeDeassociate)
            continue
        releasing &= not isinstance(event, vdp_bridge.Released)
        for output in outputs:
            match output:
                case vdp_bridge.Respond(mode, ResponseStatus(error, hard, keep)):
                    assert error or not (hard or keep)
                    assert not keep or before is vsi.in_force is mode is VdpMode.ASSOCIATE
                case vdp_bridge.ReleaseVsi():
                    assert not releasing
                    releasing = True
                case vdp_bridge.Forget():
                    assert vsi.state is VsiState.ABSENT
        assert releasing == (vsi.state is VsiState.RELEASING)
        assert (vsi.deadline is not None) == (vsi.state in (VsiState.DECIDING, VsiState.HELD))
        assert vsi.in_force is None or vsi.state in (VsiState.DECIDING, VsiState.HELD)
        assert (vsi.wanted is not None) or vsi.state is not VsiState.DECIDING


@given(scripts(ecp_events))
def test_the_ecp_endpoint_takes_anything_and_acknowledges_every_request(script: list[tuple[Any, float]]) -> None:
    endpoint, now = EcpEndpoint(TIMERS), 0.0
    for event, pause in script:
        now += pause
        outputs = endpoint.feed(event, now)
        acks = [output for output in outputs if isinstance(output, ecp.Transmit) and output.ecpdu.op is EcpOp.ACK]
        asked = isinstance(event, ecp.Received) and event.ecpdu.op is EcpOp.REQUEST and event.ecpdu.version == 1
        assert len(acks) == asked
        served = not isinstance(event, ecp.Reconfigure)
        assert endpoint.deadline is None or endpoint.deadline > now or not served
        assert endpoint.ready == (endpoint.deadline is None)


@given(scripts(ecp_events))
def test_every_payload_is_accounted_for(script: list[tuple[Any, float]]) -> None:
    endpoint, now = EcpEndpoint(TIMERS), 0.0
    submitted, transmitted, failed = 0, set[int](), 0
    for event, pause in [*script, (ecp.Reset(), 1.0)]:
        now += pause
        submitted += isinstance(event, ecp.Submit)
        for output in endpoint.feed(event, now):
            failed += isinstance(output, ecp.Undelivered)
            if isinstance(output, ecp.Transmit) and output.ecpdu.op is EcpOp.REQUEST:
                transmitted.add(output.ecpdu.sequence)

    assert max(failed, len(transmitted)) <= submitted <= failed + len(transmitted)


@given(scripts(evb_events))
def test_the_evb_machine_takes_anything_and_never_chatters(script: list[tuple[Any, float]]) -> None:
    port, now, known = EvbBridgePort(Timers()), 0.0, False
    for event, pause in script:
        now += pause
        outputs = port.feed(event, now)
        for output in outputs:
            if isinstance(output, evb.AgreementLost):
                assert known
                known = False
            known |= isinstance(output, evb.Agreed)
        assert known == (port.agreed is not None) == (port.state is evb.EvbState.AGREED)
        assert sum(isinstance(output, evb.Advertise) for output in outputs) <= 1


@given(scripts(station_events))
def test_the_station_machine_tells_the_end_of_every_vsi_once(script: list[tuple[Any, float]]) -> None:
    vsi, now = fresh(VsiStation), 0.0
    for event, pause in script:
        now += pause
        before = vsi.state
        try:
            outputs = vsi.feed(event, now)
        except ProtocolError:
            assert isinstance(
                event, vdp_station_events.StationRequest | vdp_station_events.Suspend | vdp_station_events.Resume
            )
            continue
        told = [output.outcome for output in outputs if isinstance(output, vdp_station_events.Notice)]
        ended = before is not vsi.state is VsiStationState.ENDED
        assert ended == bool(set(told) - {RequestOutcome.GRANTED, RequestOutcome.KEPT})
        idle = vsi.state in (VsiStationState.NEW, VsiStationState.SUSPENDED, VsiStationState.ENDED)
        assert idle == (vsi.deadline is None)

"""Any conversation between a VM and its peers, against a connection tracker written for this test alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.model import VsiTypeKey
from tests.unit.services.test_firewall import (
    ACK,
    ECHO,
    FIN,
    HV1,
    NMS,
    REPLY,
    RST,
    S1,
    SMALL,
    SYN,
    UNREACHABLE,
    WIDE,
    Site,
    Vm,
    icmp,
    of,
    peer,
    ports_of,
    tcp,
    udp,
)

SITES = {kind: Site() for kind in (SMALL, WIDE)}
VM = {kind: SITES[kind].admit(Vm(7, kind)) for kind in SITES}
LIMITS = {SMALL: 3, WIDE: 100}
#: What may begin under SMALL: from the VM, to the VM; the port is that of whom it is begun with.
OUT, IN = {("tcp", 443), ("udp", 53)}, {("tcp", 80), ("udp", 5000)}


@dataclass(frozen=True, slots=True)
class Said:
    """One packet: protocol, way, port of the VM and of the peer, the peer, and TCP flags or the ICMP message."""

    proto: str
    from_vm: bool
    ours: int
    theirs: int
    other: int
    version: int
    detail: int | str = 0

    def frame(self, vm: Vm) -> dict[str, int]:
        ends = of(vm, self.ours), peer(self.theirs, self.other)
        source, target = ends if self.from_vm else ends[::-1]
        if self.proto == "icmp":
            return icmp(source, target, str(self.detail), self.version)
        if self.proto == "udp":
            return udp(source, target, self.version)
        return tcp(source, target, int(self.detail), self.version)


common = {
    "from_vm": st.booleans(),
    "ours": st.sampled_from([80, 5000, 1024]),
    "theirs": st.sampled_from([443, 53, 1024]),
    "other": st.sampled_from([240, 241]),
    "version": st.sampled_from([4, 6]),
}
FLAGS = [SYN, SYN, SYN | ACK, ACK, ACK, ACK | FIN, RST, RST | ACK, SYN | FIN, SYN | RST, 0]
packets = st.one_of(
    st.builds(Said, st.just("tcp"), detail=st.sampled_from(FLAGS), **common),
    st.builds(Said, st.just("udp"), **common),
    st.builds(Said, st.just("icmp"), detail=st.sampled_from([ECHO, REPLY, UNREACHABLE]), **common),
)


@dataclass
class Tracker:
    """Reference model of the firewall; timeouts never end."""

    kind: VsiTypeKey
    begun: set[object] = field(default_factory=set)
    established: set[object] = field(default_factory=set)

    def passes(self, said: Said) -> bool:
        if said.detail == UNREACHABLE:
            return True
        connection = self._connection(said)
        if connection in self.begun | self.established:
            if said.proto == "tcp" and int(said.detail) & ACK and not int(said.detail) & (SYN | RST):
                self.established.add(connection)
            return True
        if not self._allowed(said):
            return False
        if said.detail == REPLY:
            return True
        if said.proto == "tcp" and said.detail != SYN:
            return False
        if len(self.begun) + len(self.established) >= LIMITS[self.kind]:
            return False
        self.begun.add(connection)
        return True

    def _connection(self, said: Said) -> object:
        if said.proto == "icmp":
            asked_by_vm = said.from_vm is (said.detail == ECHO)
            return "icmp", asked_by_vm, said.other, said.version
        return said.proto, said.ours, said.theirs, said.other, said.version

    def _allowed(self, said: Said) -> bool:
        if self.kind == WIDE:
            return True
        if said.proto == "icmp":
            return said.detail == ECHO
        return (said.proto, said.theirs) in OUT if said.from_vm else (said.proto, said.ours) in IN


@given(st.sampled_from([SMALL, WIDE]), st.lists(packets, min_size=1, max_size=25))
def test_any_conversation_passes_as_far_as_a_connection_tracker_lets_it(
    kind: VsiTypeKey, conversation: list[Said]
) -> None:
    installed = SITES[kind].world.tables[S1]
    table = FlowTable(dict(installed.rules), installed.groups)
    tracker = Tracker(kind)
    for said in conversation:
        port, target = (HV1, NMS) if said.from_vm else (NMS, HV1)
        arrived = ports_of(table, port, said.frame(VM[kind]))
        assert arrived == ([target.port_no] if tracker.passes(said) else []), said
    assert len(table.rules) - len(installed.rules) == len(tracker.begun) + len(tracker.established)

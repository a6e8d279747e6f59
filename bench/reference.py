"""The yardstick, a process of its own: packet-in, change, barrier reply, packet-out, and nothing else.

``python -m bench.reference PORT``.  What follows a frame's Ethernet type says what to change
(:class:`Wish`) and how much of it; the frame goes back as it is.
"""

from __future__ import annotations

import socket
import sys
from enum import IntEnum

from ryu.ofproto import ofproto_v1_3 as ofp

from bench.openflow import Switch
from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.model import Binding, VsiBinding
from ryu_apps.evb.pipeline.flood import FloodMember, FloodVid
from ryu_apps.evb.pipeline.gate import local_gate, to_vm_metadata
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.southbound.bundles import Bundle
from ryu_apps.southbound.decode import packet_in
from ryu_apps.southbound.encode import ALL_ONES, flow_add, flow_sweep
from ryu_apps.southbound.messages import barrier, bundle_control, packet_out
from ryu_apps.southbound.piece import addition

ETH_TYPE = 0x88B5
_IPV4, _TCP = 0x0800, 6
#: Ports of the station and of the client.
STATION, CLIENT = 1, 2
_FIXED, _POLICY = 1, 2
_PREPARED = 10_000
_VID, _VM = 100, 0x525400100001
#: Transaction ids of flips: each has so many of its own.
_FIRST_XID, _XIDS = 1 << 20, 64
_RULES = (
    Rule(0, 100, match(eth_type=ETH_TYPE), _FIXED, (Output(ofp.OFPP_CONTROLLER),)),
    Rule(0, 1, match(in_port=CLIENT), _FIXED, goto=30),
    Rule(0, 1, match(in_port=STATION), _FIXED, goto=40),
)
_OPENING = (Rule(30, 1, (), _POLICY, (Output(STATION),)), Rule(40, 1, (), _POLICY, (Output(CLIENT),)))


class Wish(IntEnum):
    """State of the switch that is required when the frame comes back."""

    GATE = 0
    """One rule changed: what an Associate needs at the least."""
    POLICY = 1
    """The naive way: all rules of a policy, and behind them those that open both directions."""
    NOTHING = 2
    """No policy; both directions closed."""
    FLIP = 3
    """The octets that evbridge sends for an Associate: a bundle with a gate and the copies of broadcasts."""


def frame(wish: Wish, count: int = 0) -> bytes:
    """A frame that asks for something."""
    addresses = bytes.fromhex("0180c2000000525400000001")
    return addresses + ETH_TYPE.to_bytes(2) + bytes([wish]) + count.to_bytes(4) + bytes(41)


def policy_rules(count: int) -> list[Rule]:
    """So many different rules, none of which matches a probe."""
    fields = {"eth_type": _IPV4, "ip_proto": _TCP}
    return [
        Rule(30, 100, match(ipv4_src=0x0A000000 + number, **fields), _POLICY, (Output(STATION),))
        for number in range(count)
    ]


def flips() -> list[Bundle]:
    """Two gates of a VSI in place of each other: a rule that changes nothing would cost the switch nothing."""
    interface = Interface(STATION, "hv1", Role.STATION, native_vlan=_VID)
    made = []
    for index in (1, 2):
        binding = VsiBinding(index, 1, (Binding(_VID, _VM),))
        flood = FloodVid(_VID, (CLIENT,))
        flood.add(FloodMember(to_vm_metadata(STATION, index, 1), _VM))
        rules = (*local_gate(interface, binding, 1).values(), *flood.rules().values())
        made.append(Bundle(tuple(map(addition, rules))))
    return made


def main() -> None:
    """Serve one switch until it goes."""
    prepared = b"".join(map(flow_add, policy_rules(_PREPARED)))
    size = len(prepared) // _PREPARED
    opening, closing = b"".join(map(flow_add, _OPENING)), flow_sweep(CookieMask(_POLICY, ALL_ONES))
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        switch = Switch(server)
    switch.send(b"".join(map(flow_add, _RULES)))
    switch.barrier()
    asked, serial, gates = b"", 0, flips()
    for octets in switch.messages():
        if octets[1] == ofp.OFPT_PACKET_IN:
            asked, serial = packet_in(octets).data, serial + 1
            wish, count = asked[14], int.from_bytes(asked[15:19])
            if wish == Wish.FLIP:
                flip = gates[serial % 2]
                first = _FIRST_XID + serial * _XIDS
                commit = bundle_control(first, ofp.ONF_BCT_COMMIT_REQUEST, first)
                switch.send(flip.numbered(first + 1, first + 2, first) + commit)
                continue
            if wish == Wish.GATE:
                # Not twice the same: a rule that changes nothing costs the switch nothing.
                change = flow_add(Rule(50, 1, (), serial, (Output(CLIENT),)))
            else:
                change = prepared[: count * size] + opening if wish == Wish.POLICY else closing
            switch.send(change + barrier(1))
        elif asked and (octets[1] == ofp.OFPT_BARRIER_REPLY or _is_committed(octets)):
            switch.send(packet_out(Output(STATION, 0), asked, 2))
            asked = b""


def _is_committed(octets: bytes) -> bool:
    """True for the reply to a commit; that to the opening of a bundle comes before."""
    kind = int.from_bytes(octets[20:22]) if octets[1] == ofp.OFPT_EXPERIMENTER else None
    return kind == ofp.ONF_BCT_COMMIT_REPLY


if __name__ == "__main__":
    main()

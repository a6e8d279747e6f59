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
from ryu_apps.evb.flow.rule import CookieMask, Output, Rule, match
from ryu_apps.southbound.decode import packet_in
from ryu_apps.southbound.encode import ALL_ONES, flow_add, flow_sweep
from ryu_apps.southbound.messages import barrier, packet_out

ETH_TYPE = 0x88B5
_IPV4, _TCP = 0x0800, 6
#: Ports of the station and of the client.
STATION, CLIENT = 1, 2
_FIXED, _POLICY = 1, 2
_PREPARED = 10_000
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


def main() -> None:
    """Serve one switch until it goes."""
    prepared = b"".join(map(flow_add, policy_rules(_PREPARED)))
    size = len(prepared) // _PREPARED
    opening, closing = b"".join(map(flow_add, _OPENING)), flow_sweep(CookieMask(_POLICY, ALL_ONES))
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        switch = Switch(server)
    switch.send(b"".join(map(flow_add, _RULES)))
    switch.barrier()
    asked, serial = b"", 0
    for octets in switch.messages():
        if octets[1] == ofp.OFPT_PACKET_IN:
            asked, serial = packet_in(octets).data, serial + 1
            wish, count = asked[14], int.from_bytes(asked[15:19])
            if wish == Wish.GATE:
                # Not twice the same: a rule that changes nothing costs the switch nothing.
                change = flow_add(Rule(50, 1, (), serial, (Output(CLIENT),)))
            else:
                change = prepared[: count * size] + opening if wish == Wish.POLICY else closing
            switch.send(change + barrier(1))
        elif octets[1] == ofp.OFPT_BARRIER_REPLY and asked:
            switch.send(packet_out(Output(STATION, 0), asked, 2))
            asked = b""


if __name__ == "__main__":
    main()

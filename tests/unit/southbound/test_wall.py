"""The wall around OpenFlow 1.3: what it lets through, and each kind of extension that it refuses."""

from __future__ import annotations

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import (
    ClearInPort,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Meter,
    Rule,
)
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.southbound.encode import flow_add, group_add, group_delete, group_write, message, meter_write
from ryu_apps.southbound.messages import (
    FRAGMENTS_SHOWN,
    Query,
    SwitchConfig,
    barrier,
    flow_stats_request,
    multipart_request,
    packet_out,
    set_config,
)
from ryu_apps.southbound.wall import ExtensionForbidden, guarded
from ryu_apps.southbound.watch import watch_request

ORDINARY = Rule(
    *(30, 100, match(in_port=1, vlan_vid=0x1064, metadata=(5, 7)), 7),
    (PushVlan(), SetField("vlan_vid", 0x1064), SetField("eth_dst", 1), PopVlan(), Output(2)),
    metadata=(1, 1),
    goto=40,
    meter=1,
)


def test_everything_of_openflow_13_passes_in_one_go() -> None:
    taken: list[bytes | bytearray] = []
    octets = b"".join(
        (
            flow_add(ORDINARY),
            group_add(Group(1, GroupType.ALL, (Bucket((SetField("eth_dst", 1), Output(1))), Bucket((Output(2),))))),
            group_add(Group(1, GroupType.FAST_FAILOVER, (Bucket((Output(1),), watch_port=1),)), known=True),
            group_delete(1),
            meter_write(Meter(1, 10, 10), known=False),
            packet_out(Output(1, 0), bytes(60), 2),
            set_config(SwitchConfig(ofp.OFPC_FRAG_DROP, 0), 1),
            multipart_request(ofp.OFPMP_TABLE_FEATURES, b"", 2),
            barrier(3),
        )
    )
    guarded(taken.append)(octets)
    assert taken == [octets]


def instruction(kind: int, *words: int) -> bytes:
    """A flow-mod with an empty match and one instruction."""
    body = struct.pack(f"!HH{len(words)}I", kind, 4 + 4 * len(words), *words)
    return message(ofp.OFPT_FLOW_MOD, bytes(40) + struct.pack("!HH4x", 1, 4) + body)


BUCKETS = Bucket((Output(1),)), Bucket((Resubmit(40),))
#: Heads of actions.
OUTPUT_TO_1, OF_NICIRA = struct.pack("!HHI", 0, 16, 1), struct.pack("!HHI", 0xFFFF, 16, 0x2320)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (watch_request(range(3)), "an experimenter message"),
        (message(ofp.OFPT_EXPERIMENTER, bytes(8)), "an experimenter message"),
        (multipart_request(ofp.OFPMP_EXPERIMENTER, bytes(8), 1), "an experimenter's multipart request"),
        (
            packet_out(Output(1, 0), bytes(60), 1).replace(
                struct.pack("!HHI", 0, 16, 1), struct.pack("!HHI", 0xFFFF, 16, 0x2320)
            ),
            "0xffff",
        ),
        (instruction(ofp.OFPIT_EXPERIMENTER, 0x2320), "an experimenter's instruction"),
        (flow_add(Rule(30, 1, (), 7, (Resubmit(40),))), "an action of type 0xffff"),
        (flow_add(Rule(30, 1, (), 7, (Output(1), ClearInPort()))), "an action of type 0xffff"),
        (flow_add(Rule(30, 1, (), 7, (SetField("metadata", 1),))), "an action that sets field 2"),
        (flow_add(Rule(30, 1, match(in_port=1, reg0=1), 7)), "field 0 of class 0x1"),
        (flow_stats_request(Query(OURS, match=match(reg0=1)), 1), "field 0 of class 0x1"),
        (group_write(Group(1, GroupType.ALL, ())), "group command 0x8000"),
        (
            group_add(Group(1, GroupType.ALL, (Bucket((Output(1),)), Bucket((Resubmit(40),))))),
            "an action of type 0xffff",
        ),
        (set_config(SwitchConfig(FRAGMENTS_SHOWN, 0), 1), "fragment mode 3"),
    ],
    ids=[
        *("watch", "experimenter", "multipart", "packet-out", "instruction", "action", "second action", "set-field"),
        *("match", "query", "group command", "bucket", "fragments"),
    ],
)
def test_an_extension_is_refused_and_nothing_of_its_message_is_sent(octets: bytes, reason: str) -> None:
    taken: list[bytes | bytearray] = []
    with pytest.raises(ExtensionForbidden, match=reason):
        guarded(taken.append)(flow_add(ORDINARY) + octets)
    assert not taken

"""Decoding of table, group and meter features, as OpenFlow 1.3.5 lays them out."""

from __future__ import annotations

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.features import TableFeatures
from ryu_apps.evb.flow.rule import GroupType
from ryu_apps.southbound import features


def oxm(number: int, masked: bool = False, kind: int = ofp.OFPXMC_OPENFLOW_BASIC) -> bytes:
    """Header of a match field of 4 octets, 8 with a mask."""
    return struct.pack("!HBB", kind, number << 1 | masked, 8 if masked else 4)


def part(kind: int, listed: bytes) -> bytes:
    """A property, padded."""
    length = 4 + len(listed)
    return struct.pack("!HH", kind, length) + listed + bytes(-length % 8)


def headers(*kinds: int) -> bytes:
    return b"".join(struct.pack("!HH", kind, 4) for kind in kinds)


def table(number: int, most: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("!HB5x52xI", 64 + len(body), number, most) + body


EXPERIMENTER = oxm(3, kind=ofp.OFPXMC_EXPERIMENTER) + bytes(4)
REPLY = bytes(16) + b"".join(
    (
        table(
            *(10, 500),
            part(ofp.OFPTFPT_INSTRUCTIONS, headers(ofp.OFPIT_GOTO_TABLE, ofp.OFPIT_METER, ofp.OFPIT_CLEAR_ACTIONS)),
            part(ofp.OFPTFPT_INSTRUCTIONS_MISS, headers(ofp.OFPIT_APPLY_ACTIONS)),
            part(ofp.OFPTFPT_NEXT_TABLES, bytes((20, 30))),
            part(ofp.OFPTFPT_APPLY_ACTIONS, headers(ofp.OFPAT_OUTPUT, ofp.OFPAT_PUSH_VLAN, ofp.OFPAT_SET_QUEUE)),
            part(ofp.OFPTFPT_WRITE_ACTIONS, headers(ofp.OFPAT_GROUP)),
            part(ofp.OFPTFPT_MATCH, oxm(ofp.OFPXMT_OFB_IN_PORT) + EXPERIMENTER + oxm(ofp.OFPXMT_OFB_METADATA, True)),
            part(ofp.OFPTFPT_WILDCARDS, oxm(ofp.OFPXMT_OFB_METADATA)),
            part(ofp.OFPTFPT_APPLY_SETFIELD, oxm(ofp.OFPXMT_OFB_VLAN_VID) + oxm(ofp.OFPXMT_OFB_MPLS_LABEL)),
            part(ofp.OFPTFPT_WRITE_SETFIELD, oxm(ofp.OFPXMT_OFB_ETH_DST)),
        ),
        table(11, 5),
        table(20, 7),
    )
)


def test_features_of_the_wanted_tables() -> None:
    assert dict(features.tables(REPLY, {10, 20})) == {
        10: TableFeatures(
            matched={"in_port", "metadata"},
            masked={"metadata"},
            wildcards={"metadata"},
            instructions={"goto_table", "meter"},
            next_tables={20, 30},
            actions={"output", "push_vlan"},
            set_fields={"vlan_vid"},
        ),
        20: TableFeatures(),
    }
    assert dict(features.table_sizes(REPLY)) == {10: 500, 11: 5, 20: 7}


def test_a_reply_whose_lengths_are_zero_ends() -> None:
    broken = bytes(16) + struct.pack("!HB5x52xI", 0, 10, 9) + bytes(16)
    assert dict(features.table_sizes(broken[:80])) == {10: 9}
    assert dict(features.tables(bytes(16) + table(10, 9, bytes(16)), {10})) == {10: TableFeatures()}


@pytest.mark.parametrize(("types", "most"), [(0b1111, 1), (0b1001, 4), (0b0100, 9), (0, 0)])
def test_the_most_groups_are_those_of_the_types_that_a_switch_has(types: int, most: int) -> None:
    reply = bytes(16) + struct.pack("!II4I", types, 0, 4, 1, 9, 6)
    assert features.most_groups(reply) == most
    assert features.group_types(reply) == {kind for kind in GroupType if types >> kind.value & 1}


def test_a_reply_without_content_says_nothing() -> None:
    assert features.most_groups(bytes(16)) is features.group_types(bytes(16)) is features.most_meters(bytes(16)) is None
    assert features.most_meters(bytes(16) + struct.pack("!IIIBB2x", 7, 2, 15, 8, 0)) == 7

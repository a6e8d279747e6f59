"""Encoders give the same octets as Ryu's, and decoders read what was encoded."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ryu.ofproto import nicira_ext
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import (
    FIELD_SIZES,
    FieldMatch,
    Match,
    match,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    CookieMask,
    Group,
    GroupType,
    Meter,
    MeterCount,
    MeterUnit,
    Rule,
)
from ryu_apps.southbound import decode, flow_stats
from ryu_apps.southbound.encode import (
    ALL_ONES,
    FLOW_MOD_FIXED,
    METER_FLAGS,
    flow_add,
    flow_remove,
    flow_sweep,
    group_delete,
    group_write,
    meter_delete,
    meter_entry,
    meter_write,
)
from ryu_apps.southbound.messages import (
    Query,
    barrier,
    bundle_add,
    bundle_control,
    flow_stats_request,
    frame_out,
    multipart_request,
    numbered,
    packet_out,
)
from ryu_apps.southbound.piece import KnownObjects, PieceCache, pieces

DATAPATH = ProtocolDesc(ofp.OFP_VERSION)
IN_PORT_NXM = "in_port_nxm"
NICIRA_NAMES = {kind.name for kind in nicira_ext.oxm_types}
LEARN2, WRITE_RESULT, LEARN_FIXED = 45, 4, 22
CLONE = 42
#: ``output(port=in_port,max_len=64)``.
TRUNCATED_OUTPUT = bytes.fromhex("ffff0010 00002320 0027 fff8 00000040")
#: Fields that Ryu has a word for too; Open vSwitch itself has to judge of the others (tests/interop).
KNOWN = [name for name in FIELD_SIZES if name not in ("nd_reserved", "nd_options_type")]
IPV4_FIELDS = {"ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"}


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << bits) - 1)


@st.composite
def wanted_fields(draw: st.DrawFn, name: str) -> int | tuple[int, int]:
    bits = 8 * FIELD_SIZES[name]
    value, mask = draw(unsigned(bits)), draw(st.none() | unsigned(bits))
    return value if mask is None else (value & mask, mask)


matches = st.fixed_dictionaries({}, optional={name: wanted_fields(name) for name in KNOWN}).map(
    lambda fields: match(**fields)
)


#: Whole fields and the upper bits of each.
BITS = [
    Bits(name, whole(name).width - width, width)
    for name in KNOWN
    for width in sorted({1, min(16, whole(name).width), min(64, whole(name).width), whole(name).width})
]


@st.composite
def learnt_values(draw: st.DrawFn) -> LearnSpec:
    target = draw(st.sampled_from(BITS))
    if draw(st.booleans()):
        return LearnSpec(target, draw(unsigned(target.width)))
    source = draw(st.sampled_from([bits for bits in BITS if bits.width >= target.width]))
    return LearnSpec(target, source._replace(width=target.width))


lists_of_learnt_values = st.lists(learnt_values(), max_size=2).map(tuple)
learns = st.builds(
    Learn,
    table=st.integers(0, 253),
    priority=unsigned(16),
    cookie=unsigned(64),
    idle_timeout=unsigned(16),
    fin_idle_timeout=unsigned(16),
    limit=st.sampled_from([0, 0, 1, 0xFFFFFFFF]),
    result_dst=st.none() | st.sampled_from([bits for bits in BITS if bits.width == 1]),
    match=lists_of_learnt_values,
    writes=lists_of_learnt_values,
)
plain_actions: st.SearchStrategy[Action] = st.one_of(
    st.builds(Output, unsigned(32), unsigned(16)),
    st.builds(OutputGroup, unsigned(32)),
    st.sampled_from(["eth_dst", "eth_src", "vlan_pcp", "metadata", "ipv6_src", "reg0", "reg3"]).flatmap(
        lambda name: st.builds(SetField, st.just(name), unsigned(8 * FIELD_SIZES[name]))
    ),
    st.builds(SetField, st.just("vlan_vid"), st.integers(0x1000, 0x1FFF)),
    st.sampled_from([PushVlan(), PopVlan(), ClearInPort()]),
    st.builds(Resubmit, unsigned(8)),
    st.sampled_from([bits for bits in BITS if bits.width <= 64]).flatmap(
        lambda bits: st.builds(RegLoad, st.just(bits), unsigned(bits.width))
    ),
    st.builds(FinTimeout, unsigned(16)),
)
#: Of these Ryu miscounts the octets in a bucket.
stack_actions = st.sampled_from(BITS).flatmap(lambda bits: st.sampled_from([StackPush(bits), StackPop(bits)]))
actions = plain_actions | stack_actions | learns | st.builds(Clone, unsigned(8))
lists_of_actions = st.lists(actions, max_size=4).map(tuple)
rules = st.builds(
    Rule,
    table=st.integers(0, 253),
    priority=unsigned(16),
    match=matches,
    cookie=unsigned(64),
    apply=lists_of_actions,
    metadata=st.none() | st.tuples(unsigned(64), unsigned(64)),
    goto=st.none() | st.integers(0, 253),
    meter=st.none() | unsigned(32),
    idle_timeout=unsigned(16),
    hard_timeout=unsigned(16),
)
meters = st.builds(Meter, unsigned(32), unsigned(32), unsigned(32), st.sampled_from(MeterUnit))
groups = st.builds(
    Group,
    unsigned(32),
    st.sampled_from(GroupType),
    st.lists(
        st.builds(
            Bucket,
            st.lists(plain_actions, max_size=4).map(tuple),
            st.none() | unsigned(32),
            unsigned(16),
            st.none() | unsigned(32),
        ),
        max_size=3,
    ).map(tuple),
)


def ryu_value(name: str, value: int) -> int | str:
    """As Ryu wants it: addresses as text, everything else as a number."""
    size = FIELD_SIZES[name]
    if size == 6:
        return value.to_bytes(6).hex(":")
    if size == 16 and name.startswith("ipv6"):
        return str(IPv6Address(value))
    return str(IPv4Address(value)) if name in IPV4_FIELDS else value


def ryu_field(field: FieldMatch) -> tuple[str, Any]:
    value = ryu_value(field.name, field.value)
    return field.name, value if field.mask is None else (value, ryu_value(field.name, field.mask))


def ryu_match(fields: Match) -> Any:
    return parser.OFPMatch(_ordered_fields=[ryu_field(condition) for condition in fields])


def ryu_action(action: Action) -> Any:
    match action:
        case Output(port, max_len):
            return parser.OFPActionOutput(port, max_len)
        case OutputGroup(group_id):
            return parser.OFPActionGroup(group_id)
        case SetField(name, value):
            return parser.OFPActionSetField(**{name: ryu_value(name, value)})
        case PushVlan():
            return parser.OFPActionPushVlan(0x8100)
        case PopVlan():
            return parser.OFPActionPopVlan()
        case Resubmit(table):
            return parser.NXActionResubmitTable(table_id=table)
        case Clone(table):
            return parser.NXActionUnknown(CLONE, bytes(6) + octets_of(Resubmit(table)) + TRUNCATED_OUTPUT)
        case ClearInPort():
            return parser.NXActionRegLoad(15, IN_PORT_NXM, 0)
        case RegLoad(bits, value):
            return parser.NXActionRegLoad(bits.offset << 6 | bits.width - 1, ryu_place(bits)[0], value)
        case StackPush(bits):
            return parser.NXActionStackPush(ryu_place(bits)[0], bits.offset, bits.width)
        case StackPop(bits):
            return parser.NXActionStackPop(ryu_place(bits)[0], bits.offset, bits.width)
        case FinTimeout(idle):
            return parser.NXActionFinTimeout(idle, 0)
        case Learn():
            return ryu_learn(action)


def octets_of(action: Action) -> bytes:
    octets = bytearray()
    ryu_action(action).serialize(octets, 0)
    return bytes(octets)


def ryu_place(bits: Bits) -> tuple[str, int]:
    """Field and offset; Ryu calls Nicira's header of a field after OpenFlow's."""
    name = bits.name.removeprefix("ipv6_") if bits.name.startswith("ipv6_nd") else bits.name
    return (f"{name}_nxm" if f"{name}_nxm" in NICIRA_NAMES - {IN_PORT_NXM} else name), bits.offset


def ryu_learn(learn: Learn) -> Any:
    """Ryu writes the older action; the newer one has a limit in the middle of it."""
    specs = [
        kind(
            row.source if isinstance(row.source, int) else ryu_place(row.source),
            ryu_place(row.target),
            row.target.width,
        )
        for kind, listed in ((parser.NXFlowSpecMatch, learn.match), (parser.NXFlowSpecLoad, learn.writes))
        for row in listed
    ]
    written = parser.NXActionLearn(
        table_id=learn.table,
        specs=specs,
        idle_timeout=learn.idle_timeout,
        priority=learn.priority,
        cookie=learn.cookie,
        flags=0 if learn.result_dst is None else WRITE_RESULT,
        fin_idle_timeout=learn.fin_idle_timeout,
    )
    if not learn.limit and learn.result_dst is None:
        return written
    older = bytes(written.serialize_body())
    fixed, listed = older[:LEARN_FIXED], older[LEARN_FIXED:]
    verdict = bytearray()
    if learn.result_dst is not None:
        ofp.oxm_serialize_header(ofp.oxm_from_user_header(ryu_place(learn.result_dst)[0]), verdict, 0)
    offset = 0 if learn.result_dst is None else learn.result_dst.offset
    return parser.NXActionUnknown(LEARN2, fixed + struct.pack("!IH2x", learn.limit, offset) + verdict + listed)


def ryu_instructions(rule: Rule) -> list[Any]:
    found = []
    if rule.meter is not None:
        found.append(parser.OFPInstructionMeter(rule.meter))
    if rule.apply:
        found.append(
            parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [ryu_action(action) for action in rule.apply])
        )
    if rule.metadata is not None:
        found.append(parser.OFPInstructionWriteMetadata(*rule.metadata))
    if rule.goto is not None:
        found.append(parser.OFPInstructionGotoTable(rule.goto))
    return found


def written_by_ryu(message: Any, xid: int = 0) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def ryu_flow_mod(command: int, rule: Rule, cookie_mask: int = 0) -> Any:
    return parser.OFPFlowMod(
        DATAPATH,
        cookie=rule.cookie,
        cookie_mask=cookie_mask,
        table_id=rule.table,
        command=command,
        priority=rule.priority,
        idle_timeout=rule.idle_timeout,
        hard_timeout=rule.hard_timeout,
        match=ryu_match(rule.match),
        instructions=ryu_instructions(rule),
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
    )


@given(rules)
def test_adding_a_rule(rule: Rule) -> None:
    assert flow_add(rule) == written_by_ryu(ryu_flow_mod(ofp.OFPFC_ADD, rule))


@given(rules)
def test_ryu_reads_a_rule_and_would_write_it_alike(rule: Rule) -> None:
    octets = flow_add(rule)
    read = parser.OFPFlowMod.parser(DATAPATH, *struct.unpack_from(ofp.OFP_HEADER_PACK_STR, octets), octets)
    read.serialize()
    assert bytes(read.buf) == octets


@given(rules.map(lambda rule: Rule(rule.table, rule.priority, rule.match, rule.cookie)))
def test_removing_a_rule(rule: Rule) -> None:
    assert flow_remove(rule) == written_by_ryu(ryu_flow_mod(ofp.OFPFC_DELETE_STRICT, rule, ALL_ONES))


@given(unsigned(64), unsigned(64))
def test_sweeping(cookie: int, mask: int) -> None:
    everywhere = Rule(ofp.OFPTT_ALL, 0, (), cookie)
    assert flow_sweep(CookieMask(cookie, mask)) == written_by_ryu(ryu_flow_mod(ofp.OFPFC_DELETE, everywhere, mask))


@given(groups)
def test_groups(group: Group) -> None:
    buckets = [
        parser.OFPBucket(
            bucket.weight,
            ofp.OFPP_ANY if bucket.watch_port is None else bucket.watch_port,
            ofp.OFPG_ANY if bucket.watch_group is None else bucket.watch_group,
            [ryu_action(action) for action in bucket.actions],
        )
        for bucket in group.buckets
    ]
    written = written_by_ryu(parser.OFPGroupMod(DATAPATH, 0x8000, group.type.value, group.group_id, buckets))
    assert group_write(group) == written
    gone = parser.OFPGroupMod(DATAPATH, ofp.OFPGC_DELETE, 0, group.group_id, [])
    assert group_delete(group.group_id) == written_by_ryu(gone)


@given(meters, st.booleans())
def test_meters(meter: Meter, known: bool) -> None:
    written = parser.OFPMeterMod(
        DATAPATH,
        ofp.OFPMC_MODIFY if known else ofp.OFPMC_ADD,
        METER_FLAGS[meter.unit],
        meter.meter_id,
        [parser.OFPMeterBandDrop(meter.rate, meter.burst)],
    )
    assert meter_write(meter, known=known) == written_by_ryu(written)
    gone = parser.OFPMeterMod(DATAPATH, ofp.OFPMC_DELETE, 0, meter.meter_id, [])
    assert meter_delete(meter.meter_id) == written_by_ryu(gone)


@given(unsigned(32), unsigned(32))
def test_questions_about_meters(xid: int, meter_id: int) -> None:
    asked = parser.OFPMeterStatsRequest(DATAPATH, 0, meter_id)
    body = meter_id.to_bytes(4) + bytes(4)
    assert multipart_request(ofp.OFPMP_METER, body, xid) == written_by_ryu(asked, xid)


@given(st.lists(st.tuples(unsigned(32), unsigned(32), unsigned(64), unsigned(64), st.integers(0, 3)), max_size=3))
def test_meters_are_counted_whatever_their_bands(listed: list[tuple[int, int, int, int, int]]) -> None:
    shown = b"".join(
        struct.pack("!IH6xIQQII", number, 40 + 16 * bands, rules, packets, octets, 5, 250_000_000)
        + struct.pack("!QQ", 7, 420) * bands
        for number, rules, packets, octets, bands in listed
    )
    reply = struct.pack("!BBHIHH4x", ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, 0, 0, ofp.OFPMP_METER, 0) + shown
    assert list(decode.meter_counts(reply)) == [MeterCount(*row[:4], 5.25, 7 * row[4]) for row in listed]


@given(st.lists(meters, max_size=3))
def test_meters_are_read_as_they_were_written(listed: list[Meter]) -> None:
    assert list(decode.meters(shown_meters(*(meter_entry(meter) for meter in listed)))) == listed


@pytest.mark.parametrize(
    "entry",
    [
        "0018 0009 00000007 0001 0010 00000001 00000002 00000000",
        "0018 0001 00000007 0001 0010 00000001 00000002 00000000",
        "0018 0005 00000007 0002 0010 00000001 00000002 01000000",
        "0008 0005 00000007",
        "0028 0005 00000007 0001 0010 00000001 00000002 00000000 0001 0010 00000001 00000002 00000000",
    ],
    ids=["no unit that is known", "no burst", "DSCP remark", "no band", "two bands"],
)
def test_a_meter_of_another_kind_is_like_none_of_ours(entry: str) -> None:
    assert list(decode.meters(shown_meters(bytes.fromhex(entry)))) == [Meter(7, 0, 0)]


def shown_meters(*entries: bytes) -> bytes:
    head = struct.pack("!BBHIHH4x", ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, 0, 0, ofp.OFPMP_METER_CONFIG, 0)
    return head + b"".join(entries)


@given(unsigned(32), unsigned(32), st.binary(max_size=100))
def test_frames(xid: int, port: int, data: bytes) -> None:
    for output, numbers, action in (
        (Output(port, 0), (port, None), parser.OFPActionOutput(port, 0)),
        (OutputGroup(port), (1, port), parser.OFPActionGroup(port)),
    ):
        written = parser.OFPPacketOut(DATAPATH, ofp.OFP_NO_BUFFER, ofp.OFPP_CONTROLLER, [action], data)
        assert packet_out(output, data, xid) == frame_out(*numbers, data, xid) == written_by_ryu(written, xid)


@given(unsigned(32), unsigned(32), rules)
def test_bundles(xid: int, bundle_id: int, rule: Rule) -> None:
    flags = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
    control = parser.ONFBundleCtrlMsg(DATAPATH, bundle_id, ofp.ONF_BCT_COMMIT_REQUEST, flags, [])
    assert bundle_control(bundle_id, ofp.ONF_BCT_COMMIT_REQUEST, xid) == written_by_ryu(control, xid)
    inner = ryu_flow_mod(ofp.OFPFC_ADD, rule)
    inner.set_xid(xid)
    inner.serialize()
    added = parser.ONFBundleAddMsg(DATAPATH, bundle_id, flags, inner, [])
    assert bundle_add(bundle_id, flow_add(rule), xid) == written_by_ryu(added, xid)


@given(unsigned(32), unsigned(64), unsigned(64))
def test_questions(xid: int, cookie: int, mask: int) -> None:
    asked = parser.OFPFlowStatsRequest(
        DATAPATH, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch()
    )
    assert flow_stats_request(Query(CookieMask(cookie, mask)), xid) == written_by_ryu(asked, xid)
    assert barrier(xid) == written_by_ryu(parser.OFPBarrierRequest(DATAPATH), xid)


def as_shown(rules: list[Rule]) -> bytes:
    """A flow statistics reply as Open vSwitch would write it."""
    shown = b""
    for rule in rules:
        tail = flow_add(rule)[FLOW_MOD_FIXED:]
        head = struct.pack(
            "!HBxIIHHHHxxxxQQQ",
            48 + len(tail),
            rule.table,
            5,
            6,
            rule.priority,
            rule.idle_timeout,
            rule.hard_timeout,
            0,
            rule.cookie,
            7,
            8,
        )
        shown += head + tail
    return struct.pack("!BBHIHH4x", ofp.OFP_VERSION, ofp.OFPT_MULTIPART_REPLY, 0, 0, ofp.OFPMP_FLOW, 0) + shown


@given(st.lists(rules, max_size=4))
def test_rules_are_read_as_they_were_written(written: list[Rule]) -> None:
    assert [flow_stats.rule(entry) for entry in flow_stats.entries(as_shown(written))] == written
    assert {(entry.packets, entry.octets) for entry in flow_stats.entries(as_shown(written))} <= {(7, 8)}


@given(rules, st.lists(actions, min_size=1, max_size=2).map(tuple))
def test_a_rule_with_an_unknown_action_is_shown_without_instructions(rule: Rule, listed: tuple[Action, ...]) -> None:
    shown = as_shown([Rule(rule.table, rule.priority, rule.match, rule.cookie, (*listed, PushVlan()))])
    altered = shown[:-6] + b"\x88\xa8" + shown[-4:]
    assert [flow_stats.rule(entry) for entry in flow_stats.entries(altered)] == [
        Rule(rule.table, rule.priority, rule.match, rule.cookie)
    ]


@given(rules)
def test_an_action_of_another_maker_is_unknown(rule: Rule) -> None:
    shown = as_shown([Rule(rule.table, rule.priority, rule.match, rule.cookie, (FinTimeout(1),))])
    altered = shown.replace(bytes.fromhex("0000232000130001"), bytes.fromhex("0000232100130001"))
    assert [flow_stats.rule(entry) for entry in flow_stats.entries(altered)] == [
        Rule(rule.table, rule.priority, rule.match, rule.cookie)
    ]


@given(st.lists(rules, min_size=1, max_size=5), unsigned(31))
def test_a_piece_is_its_messages_numbered(drawn: list[Rule], first: int) -> None:
    # Rules of several cookies are read back by several requests, and so are several pieces.
    listed = [replace(rule, cookie=drawn[0].cookie) for rule in drawn]
    (piece,) = pieces(RuleChange(blocks=(RuleBlock(tuple(listed)),)), PieceCache(), KnownObjects())
    alone = [numbered(flow_add(rule), xid) for xid, rule in enumerate(listed, first)]
    assert bytes(piece.numbered(first)) == b"".join(alone)

"""A rule or a group as one line of text in the notation of ovs-ofctl, for recordings, reports and the command line."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

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
from ryu_apps.evb.flow.match import FIELD_SIZES, REGISTERS, FieldMatch
from ryu_apps.evb.flow.rule import Bucket, Group, Rule
from ryu_apps.evb.pipeline.tables import Table


def rule_text(rule: Rule) -> str:
    """``table=ACL_FROM priority=1 cookie=0x... metadata=0x../0x.. actions=goto:FORWARD``."""
    head = f"table={_table(rule.table)} priority={rule.priority} cookie={rule.cookie:#x}"
    head += f" idle_timeout={rule.idle_timeout}" if rule.idle_timeout else ""
    head += f" hard_timeout={rule.hard_timeout}" if rule.hard_timeout else ""
    return f"{head} {match_text(rule)} actions={actions_text(rule)}"


def group_text(group: Group) -> str:
    """``group_id=0x100001 type=indirect bucket=actions=output:1``; buckets as ovs-ofctl writes them."""
    return " ".join([f"group_id={group.group_id:#x} type={group.type.name.lower()}", *map(_bucket, group.buckets)])


def _bucket(bucket: Bucket) -> str:
    parts = [f"weight:{bucket.weight}"] if bucket.weight else []
    parts += [f"watch_port:{bucket.watch_port}"] if bucket.watch_port is not None else []
    parts += [f"watch_group:{bucket.watch_group:#x}"] if bucket.watch_group is not None else []
    actions = ",".join(map(_action, bucket.actions)) or "drop"
    return "bucket=" + ",".join([*parts, f"actions={actions}"])


def match_text(rule: Rule) -> str:
    """The match of a rule; ``any`` if it matches every frame."""
    return ",".join(_field(field) for field in rule.match) or "any"


def actions_text(rule: Rule) -> str:
    """Instructions in the order in which a switch carries them out; ``drop`` for none."""
    parts = [f"meter:{rule.meter}"] if rule.meter is not None else []
    parts += [_action(action) for action in rule.apply]
    if rule.metadata is not None:
        value, mask = rule.metadata
        parts.append(f"write_metadata:{value:#x}/{mask:#x}")
    if rule.goto is not None:
        parts.append(f"goto:{_table(rule.goto)}")
    return ",".join(parts) or "drop"


def _table(number: int) -> str:
    return Table(number).name if number in set(Table) else str(number)


def _field(field: FieldMatch) -> str:
    if field.mask is None:
        return f"{field.name}={_writer(field.name)(field.value)}"
    show = _WRITERS.get(field.name, hex)
    return f"{field.name}={show(field.value)}/{_prefix(field) or show(field.mask)}"


def _prefix(field: FieldMatch) -> str | None:
    """The length of an IP prefix; None for any other field or mask."""
    bits = 8 * FIELD_SIZES[field.name]
    if field.name not in _IP_FIELDS or field.mask is None:
        return None
    length = field.mask.bit_count()
    return str(length) if field.mask == ((1 << length) - 1) << (bits - length) else None


def _action(action: Action) -> str:
    match action:
        case Output(port=port):
            return f"output:{port}"
        case OutputGroup(group_id=group_id):
            return f"group:{group_id:#x}"
        case SetField(name=name, value=value):
            return f"set_field:{_writer(name)(value)}->{name}"
        case PushVlan():
            return "push_vlan:0x8100"
        case PopVlan():
            return "pop_vlan"
        case Resubmit(table=table):
            return f"resubmit(,{_table(table)})"
        case Clone(table=table):
            return f"clone(resubmit(,{_table(table)}))"
        case ClearInPort():
            return "load:0->in_port"
        case RegLoad(target=target, value=value):
            return f"load:{load_text(target, value)}"
        case StackPush(source=source):
            return f"push:{bits_text(source)}"
        case StackPop(target=target):
            return f"pop:{bits_text(target)}"
        case FinTimeout(idle=idle):
            return f"fin_timeout(idle_timeout={idle})"
        case Learn():
            return f"learn({learn_text(action)})"


def learn_text(learn: Learn) -> str:
    """The arguments of a learn action; zero and absent ones are left out."""
    parts = [f"table={_table(learn.table)}"]
    parts += [f"idle_timeout={learn.idle_timeout}"] if learn.idle_timeout else []
    parts += [f"hard_timeout={learn.hard_timeout}"] if learn.hard_timeout else []
    parts += [f"fin_idle_timeout={learn.fin_idle_timeout}"] if learn.fin_idle_timeout else []
    parts += [f"priority={learn.priority}", f"cookie={learn.cookie:#x}"]
    parts += [f"limit={learn.limit}"] if learn.limit else []
    parts += [f"result_dst={bits_text(learn.result_dst)}"] if learn.result_dst else []
    parts += [*map(_learned_match, learn.match), *(f"load:{load_text(*write)}" for write in learn.writes)]
    return ",".join(parts)


def load_text(target: Bits, source: Bits | int) -> str:
    """``0x1->reg0[3..5]``: a write of some bits of a field from a constant or from other bits."""
    return f"{bits_text(source) if isinstance(source, Bits) else hex(source)}->{bits_text(target)}"


def _learned_match(spec: LearnSpec) -> str:
    target, source = spec
    if isinstance(source, Bits):
        return bits_text(target) if target == source else f"{bits_text(target)}={bits_text(source)}"
    if target == whole(target.name):
        return f"{target.name}={_writer(target.name)(source)}"
    return f"{bits_text(target)}={source:#x}"


def bits_text(bits: Bits) -> str:
    """A run of bits: ``reg0[]``, ``reg0[3]`` or ``reg0[3..5]``."""
    if bits == whole(bits.name):
        return f"{bits.name}[]"
    last = bits.offset + bits.width - 1
    return f"{bits.name}[{bits.offset}]" if bits.width == 1 else f"{bits.name}[{bits.offset}..{last}]"


def _mac(value: int) -> str:
    return value.to_bytes(6).hex(":")


_IP_FIELDS = {"ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "ipv6_src", "ipv6_dst", "ipv6_nd_target"}
_WRITERS: dict[str, Callable[[int], str]] = {
    **dict.fromkeys(("eth_src", "eth_dst", "arp_sha", "arp_tha", "ipv6_nd_sll", "ipv6_nd_tll"), _mac),
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), lambda value: str(IPv4Address(value))),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), lambda value: str(IPv6Address(value))),
    **dict.fromkeys(("metadata", "eth_type", "vlan_vid", "tcp_flags", "nd_reserved", *REGISTERS), hex),
}


def _writer(name: str) -> Callable[[int], str]:
    return _WRITERS.get(name, str)

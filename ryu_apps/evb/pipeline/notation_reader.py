"""The inverse of :mod:`~ryu_apps.evb.pipeline.notation`: a line of text to a rule or a group."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

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
from ryu_apps.evb.flow.match import (
    FIELD_SIZES,
    Match,
    MatchFields,
    match,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.tables import Table

_BITS = re.compile(r"(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]\Z")


def read_rule(text: str) -> Rule:
    """The rule of a text of :func:`~ryu_apps.evb.pipeline.notation.rule_text`.

    Raises:
        ValueError: the text is not of that form.
    """
    head, _, actions = text.partition(" actions=")
    *numbers, fields = head.split(" ")
    given = dict(number.split("=", 1) for number in numbers)
    try:
        return Rule(
            _table(given["table"]),
            int(given["priority"]),
            _match(fields),
            int(given["cookie"], 16),
            *_instructions(actions),
            idle_timeout=int(given.get("idle_timeout", 0)),
            hard_timeout=int(given.get("hard_timeout", 0)),
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"{text[:200]!r} is not a rule: {error}") from None


def read_group(text: str) -> Group:
    """The group of a text of :func:`~ryu_apps.evb.pipeline.notation.group_text`.

    Raises:
        ValueError: the text is not of that form.
    """
    head, *buckets = text.split(" bucket=")
    try:
        number, kind = (part.partition("=")[2] for part in head.split(" "))
        return Group(int(number, 16), GroupType[kind.upper()], tuple(map(_bucket, buckets)))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{text[:200]!r} is not a group: {error}") from None


def _bucket(text: str) -> Bucket:
    head, _, actions = text.partition("actions=")
    given = dict(part.split(":", 1) for part in head.split(",") if part)
    port, group = given.get("watch_port"), given.get("watch_group")
    return Bucket(
        _actions(actions),
        watch_port=None if port is None else int(port),
        weight=int(given.get("weight", 0)),
        watch_group=None if group is None else int(group, 16),
    )


class _Instructions(NamedTuple):
    apply: tuple[Action, ...] = ()
    metadata: tuple[int, int] | None = None
    goto: int | None = None
    meter: int | None = None


@lru_cache(4096)
def _instructions(text: str) -> _Instructions:
    found = _Instructions()
    for part in _parts(text):
        name, _, argument = part.partition(":")
        match name:
            case "drop":
                pass
            case "meter":
                found = found._replace(meter=int(argument))
            case "write_metadata":
                value, _, mask = argument.partition("/")
                found = found._replace(metadata=(int(value, 16), int(mask, 16)))
            case "goto":
                found = found._replace(goto=_table(argument))
            case _:
                found = found._replace(apply=(*found.apply, _action(part)))
    return found


def _actions(text: str) -> tuple[Action, ...]:
    return tuple(_action(part) for part in _parts(text) if part != "drop")


def _parts(text: str) -> Iterator[str]:
    """The parts between the commas outside of parentheses."""
    depth = start = 0
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            yield text[start:at]
            start = at + 1
    yield text[start:]


_PLAIN: dict[str, Action] = {
    "push_vlan:0x8100": PushVlan(),
    "pop_vlan": PopVlan(),
    "load:0->in_port": ClearInPort(),
}


def _action(text: str) -> Action:
    if text in _PLAIN:
        return _PLAIN[text]
    name, argument = re.split(r"[:(]", text, maxsplit=1)
    return _READERS[name](argument)


def _set_field(text: str) -> Action:
    value, _, name = text.rpartition("->")
    return SetField(name, _number(name, value))


def _clone(text: str) -> Action:
    return Clone(_table(text.removeprefix("resubmit(,").rstrip(")")))


def _load(text: str) -> Action:
    target, source = _write(text)
    if isinstance(source, Bits):
        raise ValueError(f"load:{text} is not from a constant")
    return RegLoad(target, source)


_READERS: dict[str, Callable[[str], Action]] = {
    "output": lambda text: Output(int(text)),
    "group": lambda text: OutputGroup(int(text, 16)),
    "set_field": _set_field,
    "resubmit": lambda text: Resubmit(_table(text.strip(",)"))),
    "clone": _clone,
    "load": _load,
    "push": lambda text: StackPush(_bits(text)),
    "pop": lambda text: StackPop(_bits(text)),
    "fin_timeout": lambda text: FinTimeout(int(text.removeprefix("idle_timeout=").rstrip(")"))),
    "learn": lambda text: _learn(text.removesuffix(")")),
}
_LEARN_NUMBERS = ("idle_timeout", "hard_timeout", "fin_idle_timeout", "priority", "limit")


def _learn(text: str) -> Learn:
    numbers, result, wanted, writes = dict.fromkeys(_LEARN_NUMBERS, 0), None, [], []
    table = cookie = 0
    for part in text.split(","):
        name, _, value = part.partition("=")
        if part.startswith("load:"):
            writes.append(LearnSpec(*_write(part.removeprefix("load:"))))
        elif name in numbers:
            numbers[name] = int(value)
        elif name == "table":
            table = _table(value)
        elif name == "cookie":
            cookie = int(value, 16)
        elif name == "result_dst":
            result = _bits(value)
        else:
            wanted.append(_learned_match(name, value))
    return Learn(table, cookie=cookie, result_dst=result, match=tuple(wanted), writes=tuple(writes), **numbers)


def _learned_match(name: str, value: str) -> LearnSpec:
    if not value:
        return LearnSpec(_bits(name), _bits(name))
    if "[" not in name:
        return LearnSpec(whole(name), _number(name, value))
    return LearnSpec(_bits(name), _bits(value) if "[" in value else int(value, 16))


def _write(text: str) -> tuple[Bits, Bits | int]:
    source, _, target = text.partition("->")
    return _bits(target), _bits(source) if "[" in source else int(source, 16)


def _bits(text: str) -> Bits:
    found = _BITS.match(text)
    if found is None or found[1] not in FIELD_SIZES:
        raise ValueError(f"{text!r} are no bits of a field")
    name, first, last = found.groups()
    if first is None:
        return whole(name)
    return Bits(name, int(first), int(last or first) - int(first) + 1)


@lru_cache(4096)
def _match(text: str) -> Match:
    fields: MatchFields = {}
    for part in text.split(",") if text != "any" else ():
        name, _, written = part.partition("=")
        value, _, mask = written.partition("/")
        number = _number(name, value)
        fields[name] = (number, _mask(name, mask)) if mask else number
    return match(**fields)


def _mask(name: str, text: str) -> int:
    bits = 8 * FIELD_SIZES[name]
    if text.isdigit() and name in _ADDRESSES:
        return (1 << bits) - (1 << bits - int(text))
    return _number(name, text)


def _table(text: str) -> int:
    return int(text) if text.isdigit() else Table[text]


_ADDRESSES: dict[str, Callable[[str], int]] = {
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), lambda text: int(IPv4Address(text))),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), lambda text: int(IPv6Address(text))),
}


def _number(name: str, text: str) -> int:
    if name in _ADDRESSES:
        return _ADDRESSES[name](text)
    if ":" in text:
        return int(text.replace(":", ""), 16)
    return int(text, 0)

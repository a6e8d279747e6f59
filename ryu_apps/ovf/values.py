"""The values of match fields: a policy's alternatives, what an operator would write, and CIM's octet strings."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from ryu_apps.evb.policy.address_set import referenced
from ryu_apps.evb.policy.fields import KINDS, MAX_EXACT, Alternatives, Masked, full_mask, range_blocks
from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text

#: A field's value as in a policy file: a number, a name, an address, a range, or a list of those.
Written = int | str | list[int | str]

_HEX = re.compile(r"[0-9a-fA-F]{12}\Z")


def written(field: str, alternatives: Alternatives) -> Written:
    """Return the alternatives of a field as an operator would write them.

    :func:`~ryu_apps.evb.policy.address_set.parse_value` makes the very same alternatives of it, in the same order.
    """
    items = list(_items(field, alternatives))
    return items[0] if len(items) == 1 else items


def ports_of(alternatives: Alternatives, bits: int = 16) -> tuple[int, int] | None:
    """The ends of the one range that alternatives stand for, None if it takes more than that to say them."""
    low = alternatives[0].value
    high = low
    for alternative in alternatives:
        if not _is_block(alternative, bits) or alternative.value not in (low, high + 1):
            return None
        high = alternative.value + _size(alternative, bits) - 1
    return (low, high) if tuple(range_blocks(low, high, bits)) == alternatives else None


def address_text(field: str, masked: Masked) -> str:
    """An address with its mask, as a prefix length where it is one."""
    bits = KINDS[field].bits
    text = _address(field, masked.value)
    if masked.mask == full_mask(field):
        return text
    if bits != 48 and _is_block(masked, bits):
        return f"{text}/{masked.mask.bit_count()}"
    return f"{text}/{_address(field, masked.mask)}"


def octets(text: str, size: int) -> int:
    """An address or a mask of ``size`` octets, as CIM's XML has it or as people write it.

    An ``OctetString`` is base64, with or without its length in the four octets before it; the usual notations of
    addresses are taken too.

    Raises:
        ValueError: none of these, or of another size.
    """
    usual = {4: _ipv4, 6: mac, 16: _ipv6}[size]
    try:
        return usual(text)
    except ValueError:
        pass
    try:
        found = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) == size + 4 and int.from_bytes(found[:4]) in (size, size + 4):
        found = found[4:]
    if len(found) != size:
        raise ValueError(f"{text!r} is neither an address nor {size} octets in base64")
    return int.from_bytes(found)


def octets_text(value: int, size: int) -> str:
    """Return the base64 text (DSP0230) that :func:`octets` reads."""
    return base64.b64encode(value.to_bytes(size)).decode("ascii")


def mac(text: str) -> int:
    """A MAC address with colons, with hyphens, or as twelve hexadecimal digits.

    Raises:
        ValueError: none of these.
    """
    if _HEX.match(text):
        return int(text, 16)
    return mac_from_text(text.replace("-", ":"))


def _ipv4(text: str) -> int:
    return int(IPv4Address(text))


def _ipv6(text: str) -> int:
    if "%" in text:
        raise ValueError(text)
    return int(IPv6Address(text))


def _items(field: str, alternatives: Alternatives) -> Iterator[int | str]:
    kind = KINDS[field]
    left = list(alternatives)
    while left:
        length = 1 if kind.address else _longest_range(field, left)
        taken, left = left[:length], left[length:]
        if (name := referenced(taken[0])) is not None:
            yield f"${name}"
        elif kind.address is not None:
            yield address_text(field, taken[0])
        elif length == 1 and taken[0].mask == full_mask(field):
            yield _number(field, taken[0].value)
        elif length == 1 and not _is_block(taken[0], kind.bits):
            yield f"{taken[0].value}/{taken[0].mask:#x}"
        else:
            yield f"{taken[0].value}-{taken[-1].value + _size(taken[-1], kind.bits) - 1}"


def _longest_range(field: str, blocks: list[Masked]) -> int:
    """Return the number of leading alternatives that one range makes exactly."""
    bits = KINDS[field].bits
    best, high = 1, blocks[0].value - 1
    most = 2 * bits if KINDS[field].maskable else MAX_EXACT
    for length, block in enumerate(blocks[:most], start=1):
        if not _is_block(block, bits) or block.value != high + 1:
            break
        high = block.value + _size(block, bits) - 1
        if _range(field, blocks[0].value, high) == blocks[:length]:
            best = length
    return best


def _range(field: str, low: int, high: int) -> list[Masked]:
    """Return the alternatives that :func:`parse_field` makes of a range; without masks, each value."""
    kind = KINDS[field]
    if kind.maskable:
        return list(range_blocks(low, high, kind.bits))
    if not 2 <= high - low < MAX_EXACT or any(low <= number <= high for number in kind.names.values()):
        return []
    return [Masked(number, full_mask(field)) for number in range(low, high + 1)]


def _is_block(masked: Masked, bits: int) -> bool:
    """Return True for the mask of an aligned block: ones, then zeros."""
    inverse = ~masked.mask & ((1 << bits) - 1)
    return inverse & (inverse + 1) == 0


def _size(masked: Masked, bits: int) -> int:
    return (~masked.mask & ((1 << bits) - 1)) + 1


def _number(field: str, value: int) -> int | str:
    return next((name for name, number in KINDS[field].names.items() if number == value), value)


def _address(field: str, value: int) -> str:
    match KINDS[field].bits:
        case 32:
            return str(IPv4Address(value))
        case 128:
            return str(IPv6Address(value))
    return mac_to_text(value)

"""The learn action of Open vSwitch as octets, and back (NXAST_LEARN, NXAST_LEARN2 in its ``ofp-actions.c``).

NXAST_LEARN2 is NXAST_LEARN with a limit and a place for the verdict in between; Open vSwitch shows each as
it was sent, and so each is used where it is enough.
"""

from __future__ import annotations

import struct

from ryu.ofproto import nicira_ext

from ryu_apps.evb.flow.actions import Bits, Learn, LearnSpec
from ryu_apps.southbound import bits

LEARN: int = nicira_ext.NXAST_LEARN
#: Ryu does not know it.
LEARN2 = 45

#: Idle and hard timeout, priority, cookie, flags, table, idle and hard timeout after a FIN.
_FIXED = struct.Struct("!HHHQHBxHH")
#: Limit, lowest bit of the verdict; its field follows if a flag says so.
_LIMITED = struct.Struct("!IH2x")
_WRITE_RESULT = 1 << 2
#: The head of a spec: the lower bits are the number of bits.
_IMMEDIATE, _LOAD, _WIDTH = 1 << 13, nicira_ext.NX_LEARN_DST_LOAD, 0x3FF


def encode(learn: Learn) -> tuple[int, bytes]:
    """Subtype, and what follows it, without padding."""
    limited = learn.limit != 0 or learn.result_dst is not None
    fixed = _FIXED.pack(
        learn.idle_timeout,
        learn.hard_timeout,
        learn.priority,
        learn.cookie,
        0 if learn.result_dst is None else _WRITE_RESULT,
        learn.table,
        learn.fin_idle_timeout,
        0,
    )
    extra = _limit(learn.limit, learn.result_dst) if limited else b""
    specs = [_spec(spec, 0) for spec in learn.match] + [_spec(spec, _LOAD) for spec in learn.writes]
    return LEARN2 if limited else LEARN, fixed + extra + b"".join(specs)


def _limit(limit: int, verdict: Bits | None) -> bytes:
    if verdict is None:
        return _LIMITED.pack(limit, 0)
    return _LIMITED.pack(limit, verdict.offset) + bits.header(verdict)


def _spec(one: LearnSpec, kind: int) -> bytes:
    width = one.target.width
    if isinstance(one.source, Bits):
        return struct.pack("!H", kind | width) + bits.place(one.source) + bits.place(one.target)
    value = one.source.to_bytes(_immediate(width))
    return struct.pack("!H", kind | _IMMEDIATE | width) + value + bits.place(one.target)


def _immediate(width: int) -> int:
    """Octets of a constant: it comes in units of 16 bits."""
    return (width + 15) // 16 * 2


def decode(subtype: int, octets: bytes) -> Learn | None:
    """Decode the body after the subtype; an unsupported one gives None or an action that encodes differently."""
    idle, hard, priority, cookie, flags, table, fin_idle, _ = _FIXED.unpack_from(octets)
    at = _FIXED.size
    limit, verdict = 0, None
    if subtype == LEARN2:
        limit, offset = _LIMITED.unpack_from(octets, at)
        at += _LIMITED.size
        if flags & _WRITE_RESULT:
            name = bits.named(octets[at : at + bits.HEADER])
            if name is None:
                return None
            verdict = Bits(name, offset, 1)
            at += bits.HEADER
    specs = _specs(octets, at)
    if specs is None:
        return None
    match, writes = specs
    return Learn(table, priority, cookie, idle, fin_idle, limit, verdict, match, writes, hard)


def _specs(octets: bytes, at: int) -> tuple[tuple[LearnSpec, ...], tuple[LearnSpec, ...]] | None:
    """Decode the match and write specs, up to a zero header or the end."""
    found: dict[int, list[LearnSpec]] = {0: [], _LOAD: []}
    while head := int.from_bytes(octets[at : at + 2]):
        width, kind = head & _WIDTH, head & ~_IMMEDIATE & ~_WIDTH
        size = _immediate(width) if head & _IMMEDIATE else bits.PLACE
        source, target = octets[at + 2 : at + 2 + size], octets[at + 2 + size : at + 2 + size + bits.PLACE]
        value = int.from_bytes(source) if head & _IMMEDIATE else bits.placed(source, width)
        into = bits.placed(target, width)
        if kind not in found or value is None or into is None:
            return None
        found[kind].append(LearnSpec(into, value))
        at += 2 + size + bits.PLACE
    return tuple(found[0]), tuple(found[_LOAD])

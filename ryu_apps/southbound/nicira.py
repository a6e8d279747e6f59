"""Open vSwitch's own actions as octets, and back (its ``ofp-actions.c``)."""

from __future__ import annotations

import struct

from ryu.ofproto import nicira_ext
from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    RegLoad,
    Resubmit,
    StackPop,
    StackPush,
)
from ryu_apps.southbound import bits, learn
from ryu_apps.southbound.oxm import pad

NiciraAction = Resubmit | Clone | ClearInPort | RegLoad | StackPush | StackPop | FinTimeout | Learn

#: Type, length, experimenter, subtype.
_HEAD = struct.Struct("!HHIH")
#: Port, table.
_RESUBMIT = struct.Struct("!HB3x")
#: Offset and number of bits less one, field, value.
_LOAD = struct.Struct("!H4sQ")
#: Offset, field, number of bits.
_STACK = struct.Struct("!H4sH")
#: Idle and hard timeout.
_FIN_TIMEOUT = struct.Struct("!HH2x")
#: The subtype of clone, which Ryu lacks; padding to the actions inside.
_CLONE, _CLONE_PAD = 42, 6
#: Port, octets.
_OUTPUT_TRUNC = struct.Struct("!HI")
#: The 16-bit ingress port is another field for Open vSwitch than the one of 32 bits that matches name.
_FORGET_IN_PORT = _LOAD.pack(16 - 1, nicira_ext.NXM_OF_IN_PORT.to_bytes(4), 0)


def encode(action: NiciraAction) -> bytes:
    """One action, padded."""
    match action:
        case Resubmit(table):
            subtype, body = nicira_ext.NXAST_RESUBMIT_TABLE, _RESUBMIT.pack(ofp.OFPP_IN_PORT & 0xFFFF, table)
        case Clone(table):
            subtype, body = _CLONE, bytes(_CLONE_PAD) + encode(Resubmit(table)) + _REAL_COPY
        case ClearInPort():
            subtype, body = nicira_ext.NXAST_REG_LOAD, _FORGET_IN_PORT
        case RegLoad(target, value):
            subtype = nicira_ext.NXAST_REG_LOAD
            body = _LOAD.pack(target.offset << 6 | target.width - 1, bits.header(target), value)
        case StackPush(source):
            subtype, body = nicira_ext.NXAST_STACK_PUSH, _stacked(source)
        case StackPop(target):
            subtype, body = nicira_ext.NXAST_STACK_POP, _stacked(target)
        case FinTimeout(idle):
            subtype, body = nicira_ext.NXAST_FIN_TIMEOUT, _FIN_TIMEOUT.pack(idle, 0)
        case Learn():
            subtype, body = learn.encode(action)
    return _action(subtype, body)


def _action(subtype: int, body: bytes) -> bytes:
    whole = pad(bytes(_HEAD.size) + body)
    head = _HEAD.pack(ofp.OFPAT_EXPERIMENTER, len(whole), common.NX_EXPERIMENTER_ID, subtype)
    return head + whole[_HEAD.size :]


#: Output to the ingress port, which sends nothing.  Open vSwitch makes no copy for a clone if it can restore the frame
#: behind it, and a drop by a meter is not among what it restores; for a truncation it always makes one.
_REAL_COPY = _action(nicira_ext.NXAST_OUTPUT_TRUNC, _OUTPUT_TRUNC.pack(ofp.OFPP_IN_PORT & 0xFFFF, 64))


def decode(octets: bytes) -> Action | None:
    """Decode an experimenter action by its subtype; None for one that evbridge does not use."""
    _, _, experimenter, subtype = _HEAD.unpack_from(octets)
    if experimenter != common.NX_EXPERIMENTER_ID:
        return None
    body = octets[_HEAD.size :]
    match subtype:
        case nicira_ext.NXAST_RESUBMIT_TABLE:
            return Resubmit(_RESUBMIT.unpack_from(body)[1])
        case number if number == _CLONE:
            inside = decode(body[_CLONE_PAD:])
            return Clone(inside.table) if isinstance(inside, Resubmit) else None
        case nicira_ext.NXAST_REG_LOAD:
            return ClearInPort() if body == _FORGET_IN_PORT else _load(body)
        case nicira_ext.NXAST_STACK_PUSH | nicira_ext.NXAST_STACK_POP:
            return _stack(StackPush if subtype == nicira_ext.NXAST_STACK_PUSH else StackPop, body)
        case nicira_ext.NXAST_FIN_TIMEOUT:
            return FinTimeout(_FIN_TIMEOUT.unpack_from(body)[0])
        case learn.LEARN | learn.LEARN2:
            return learn.decode(subtype, body)
    return None


def _load(body: bytes) -> RegLoad | None:
    place, header, value = _LOAD.unpack(body)
    name = bits.named(header)
    return None if name is None else RegLoad(Bits(name, place >> 6, (place & 0x3F) + 1), value)


def _stacked(some: Bits) -> bytes:
    return _STACK.pack(some.offset, bits.header(some), some.width)


def _stack(kind: type[StackPush | StackPop], body: bytes) -> StackPush | StackPop | None:
    offset, header, width = _STACK.unpack_from(body)
    name = bits.named(header)
    return None if name is None else kind(Bits(name, offset, width))

"""Texts of a URL to values: a reader for each name, in the path or in the query.

A reader raises ValueError with a reason for the client.  Its schema is for ``/evb/openapi.json``: it has the usual
spellings, while some readers take more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import NamedTuple

from ryu_apps.evb.bridge.migrations import HISTORY
from ryu_apps.evb.model import Phase, VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.rest.bridge import RestError
from ryu_apps.rest.event_ids import PATTERN, event_id
from ryu_apps.rest.flows import STATES, RulePlace
from ryu_apps.rest.page import SCRIPTS, SHEETS

#: Items of one answer.
MOST = 100_000

#: As in the REST resources of Ryu: 16 hexadecimal digits (``ryu.lib.dpid``), or a number of Python (``ofctl_rest``).
_DPID = re.compile(r"[0-9a-fA-F]{16}")
_DPID_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|0[oO][0-7]{1,22}|0[bB][01]{1,64}|0|[1-9][0-9]{0,19}")
_NUMBER = re.compile(r"[0-9]{1,10}")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_TYPE = re.compile(r"([0-9]{1,8})(?:/([0-9]{1,3}))?")
_RULE = re.compile(r"([0-9]{1,3})\.([0-9]{1,5})\.([0-9a-f]{16})\.([0-9]{1,7})")
_PHASES = [phase.value for phase in Phase if phase is not Phase.NONE]

_DPID_PATTERN = "^([0-9a-fA-F]{16}|0x[0-9a-fA-F]{1,16}|[1-9][0-9]{0,18})$"
_VSI_PATTERN = (
    "^([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    "|mac:[0-9a-f]{2}(:[0-9a-f]{2}){5}|ipv6:[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}|(mac|ipv4|ipv6|local):[0-9a-f]{32})$"
)


class TypeFilter(NamedTuple):
    """A VSI type ID, and perhaps one version of it."""

    type_id: int
    version: int | None

    def selects(self, key: VsiTypeKey | None) -> bool:
        """True for a type of this ID and version."""
        return key is not None and key.type_id == self.type_id and self.version in (None, key.version)


def _dpid(text: str) -> int:
    if _DPID.fullmatch(text):
        return int(text, 16)
    if not _DPID_NUMBER.fullmatch(text) or (number := int(text, 0)) >= 1 << 64:
        raise ValueError(f"{text!r} is not a datapath id: 16 hexadecimal digits, or a number as 1 or 0x1")
    return number


def _vsi(text: str) -> str:
    """The canonical text of a VSIID, however it was written."""
    return str(VsiId.from_text(text))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _between(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return read


def _among(what: str, values: list[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"{text!r} is not {what}; there are: {', '.join(values)}")
        return text

    return read


def _seconds(text: str) -> float:
    if not _SECONDS.fullmatch(text) or not isfinite(float(text)):
        raise ValueError(f"{text!r} is not a time in seconds")
    return float(text)


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text == "1"


def _port(text: str) -> PortId:
    dpid, colon, number = text.rpartition(":")
    if not colon or not _NUMBER.fullmatch(number):
        raise ValueError(f"{text!r} is not a port: a datapath id, a colon and a number")
    return PortId(_dpid(dpid), int(number))


def _type(text: str) -> TypeFilter:
    found = _TYPE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a VSI type: an ID, or an ID, a slash and a version")
    return TypeFilter(int(found[1]), None if found[2] is None else int(found[2]))


def _type_key(text: str) -> VsiTypeKey:
    type_id, version = _type(text)
    if version is None:
        raise ValueError(f"{text!r} is not a VSI type with a version")
    return VsiTypeKey(type_id, version)


def _rule(text: str) -> RulePlace:
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not the id of a rule")
    return RulePlace(int(found[1]), -int(found[2]), int(found[3], 16), int(found[4]))


class Reader(NamedTuple):
    """A kind of parameter.

    Attributes:
        read: the value of a text.
        schema: JSON schema of the value.
        meaning: one line for clients.
    """

    read: Callable[[str], object]
    schema: Mapping[str, object]
    meaning: str


def _text(pattern: str) -> Mapping[str, object]:
    return {"type": "string", "pattern": pattern}


def _integer(least: int, most: int) -> Mapping[str, object]:
    return {"type": "integer", "minimum": least, "maximum": most}


_DPID_READER = Reader(_dpid, _text(_DPID_PATTERN), "datapath id: 16 hexadecimal digits, or a number as 1 or 0x1")
_PORT_PATTERN = "^[0-9a-f]{16}:[0-9]{1,9}$"
_VSI_READER = Reader(_vsi, _text(_VSI_PATTERN), "VSIID: a UUID, or ipv4:, ipv6:, mac:, local: and a value")
_NUMBER_SCHEMA = _integer(0, 9_999_999_999)

READERS: dict[str, Reader] = {
    "dpid": _DPID_READER,
    "switch": _DPID_READER,
    "vsi": _VSI_READER,
    "port": Reader(_port, _text(_PORT_PATTERN), "datapath id, colon, OpenFlow port number"),
    "type": Reader(_type, _text("^[0-9]{1,8}(/[0-9]{1,3})?$"), "VSI type ID, or ID/version"),
    "type_key": Reader(_type_key, _text("^[0-9]{1,8}/[0-9]{1,3}$"), "VSI type ID/version"),
    "type_id": Reader(_number, _NUMBER_SCHEMA, "VSI type ID"),
    "version": Reader(_number, _NUMBER_SCHEMA, "version of the VSI type"),
    "number": Reader(_number, _NUMBER_SCHEMA, "id of the migration"),
    "manager": Reader(manager_from_text, _text("^([0-9a-f]{2}){1,16}$"), "VSI manager ID, as in evbridge.yaml"),
    "group_id": Reader(_number, _NUMBER_SCHEMA, "number of a group"),
    "meter_id": Reader(_number, _NUMBER_SCHEMA, "number of a meter"),
    "membership": Reader(str, {"type": "string"}, "id of a member of a group"),
    "set": Reader(str, {"type": "string"}, "id of a set"),
    "balancer": Reader(str, {"type": "string"}, "name of the load balancer"),
    "appliance": Reader(str, {"type": "string"}, "name of the appliance"),
    "vswitch": Reader(str, {"type": "string"}, "name of the vSwitch"),
    "backend": Reader(str, {"type": "string"}, "name of the back end"),
    "state": Reader(
        _among("a state of a rule", list(STATES)), {"type": "string", "enum": list(STATES)}, "state of the rules"
    ),
    "phase": Reader(_among("a phase", _PHASES), {"type": "string", "enum": _PHASES}, "state of the rules of a VSI"),
    "vlan": Reader(_between(1, 4094), _integer(1, 4094), "VID in the fabric"),
    "newest": Reader(_between(1, HISTORY), _integer(1, HISTORY), "only the newest so many"),
    "since": Reader(_seconds, {"type": "number", "minimum": 0}, "only what is later than this t, in seconds"),
    "fresh": Reader(_flag, {"type": "string", "enum": ["0", "1"]}, "1: the switches are queried first"),
    "rule": Reader(_rule, _text(r"^[0-9]{1,3}\.[0-9]{1,5}\.[0-9a-f]{16}\.[0-9]{1,7}$"), "id of a rule"),
    "after": Reader(event_id, _text(f"^{PATTERN}$"), "the last event that the client has"),
    "event": Reader(event_id, _text(f"^{PATTERN}$"), "id of an event"),
    "script": Reader(
        _among("a script of the page", SCRIPTS), {"type": "string", "enum": SCRIPTS}, "name of the module"
    ),
    "sheet": Reader(_among("a style sheet", SHEETS), {"type": "string", "enum": SHEETS}, "name of the style sheet"),
    "limit": Reader(_between(1, MOST), _integer(1, MOST), "the most items; the header Link has the URL of the next"),
}


def read(texts: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, object]:
    """Read parameters by their names.

    Args:
        kinds: names of readers, for the parameters that have not the name of theirs.

    Raises:
        RestError: 400, a text is not of the form that its name needs.
    """
    values = {}
    for name, text in texts.items():
        try:
            values[name] = READERS[kinds.get(name, name)].read(text)
        except ValueError as error:
            raise RestError(400, f"{name}: {error}") from None
    return values

"""Calls of a hypervisor to its station, and the answers, as JSON objects.

They are read without pydantic: Debian 12 has its first version only (decision 0064).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.evb.wire.port_name import PortName
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.description import VsiDescription
from ryu_apps.station.filter_text import filter_from_text

__all__ = ["Answer", "Call", "CallError", "Verb", "read_call"]

#: Seconds in which a call is answered, if it does not say otherwise; and the most it may say.
PATIENCE, LONGEST_PATIENCE = 10.0, 3600.0
#: Each address is a TLV of its own.
MAX_ADDRESSES = 16
#: Characters of an ``external_ids:iface-id``; usual are UUIDs.
LONGEST_IFACE_ID = 255


class Verb(Enum):
    """Request of a hypervisor for a VSI."""

    PROBE = "probe"
    """Would the bridge have the VM here?  A plain Pre-Associate; nothing is reserved."""
    RESERVE = "reserve"
    """The VM is expected: Pre-Associate with Resource Reservation."""
    ASSOCIATE = "associate"
    """The VM runs here: Associate."""
    SUSPEND = "suspend"
    """The VM has stopped here and moves away: Associate with the S bit."""
    RELEASE = "release"
    """The VM is not here, or will not come: De-Associate."""


class CallError(Enum):
    """Kind of a failure; the values are those of ``error`` in an answer."""

    BAD_CALL = "bad_call"
    UNKNOWN_VSI = "unknown_vsi"
    CONFLICT = "conflict"
    REFUSED = "refused"
    NO_ANSWER = "no_answer"
    WITHDRAWN = "withdrawn"
    DEADLINE = "deadline"
    TOO_MANY = "too_many"


@dataclass(frozen=True, slots=True)
class Call:
    """A call for one VSI.

    Attributes:
        verb: what is asked.
        vsi_id: the VSI.
        description: None for a VSI that an earlier call has described.
        uplink: name of the interface; None: the one where the VSI is, or the first one.
        migrating: the VM comes from another host (M bit).
        patience: seconds in which it has to be answered.
    """

    verb: Verb
    vsi_id: VsiId
    description: VsiDescription | None = None
    uplink: str | None = None
    migrating: bool = False
    patience: float = PATIENCE


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call.

    Attributes:
        error: None for success.
        reason: for people; empty for success.
        body: further keys of the JSON object.
    """

    error: CallError | None
    reason: str
    body: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        if self.error is None:
            return {"ok": True, **self.body}
        return {"ok": False, "error": self.error.value, "reason": self.reason, **self.body}


def _text(written: object) -> str:
    if not isinstance(written, str):
        raise ValueError("text was expected")
    return written


def _named(written: object) -> PortName:
    if not (text := _text(written)):
        raise ValueError("a name was expected")
    return PortName(text)


def _iface_id(written: object) -> str:
    text = _text(written)
    if not 0 < len(text) <= LONGEST_IFACE_ID:
        raise ValueError(f"1 to {LONGEST_IFACE_ID} characters were expected")
    return text


def _flag(written: object) -> bool:
    if not isinstance(written, bool):
        raise ValueError("true or false was expected")
    return written


def _up_to(most: int) -> Callable[[object], int]:
    def read(written: object) -> int:
        if not isinstance(written, int) or isinstance(written, bool) or not 0 <= written <= most:
            raise ValueError(f"a number from 0 to {most} was expected")
        return written

    return read


def _seconds(written: object) -> float:
    # Not a number fails the comparison, too.
    if not isinstance(written, int | float) or isinstance(written, bool) or not 0 < written <= LONGEST_PATIENCE:
        raise ValueError(f"seconds were expected, more than 0 and at most {LONGEST_PATIENCE:g}")
    return float(written)


def _list(written: object) -> tuple[str, ...]:
    if not isinstance(written, list) or not all(isinstance(entry, str) for entry in written):
        raise ValueError("a list of text was expected")
    return tuple(written)


def _manager(written: object) -> ManagerId:
    if not isinstance(written, str | int) or isinstance(written, bool):
        raise ValueError("text or a number was expected")
    return manager_from_text(written)


def _addresses(written: object) -> tuple[IPv4Address | IPv6Address, ...]:
    listed = _list(written)
    if len(listed) > MAX_ADDRESSES:
        raise ValueError(f"at most {MAX_ADDRESSES} addresses were expected")
    return tuple(map(ip_address, listed))


def _verb(written: object) -> Verb:
    try:
        return Verb(written)
    except ValueError:
        raise ValueError(f"one of {', '.join(verb.value for verb in Verb)} was expected") from None


#: Key of a call -> reader of its value, which raises ValueError.
_READERS: dict[str, Callable[[object], Any]] = {
    "verb": _verb,
    "vsi": lambda written: VsiId.from_text(_text(written)),
    "type": _up_to(0xFFFFFF),
    "version": _up_to(0xFF),
    "manager": _manager,
    "filters": lambda written: filter_from_text(_list(written)),
    "addresses": _addresses,
    "port": _named,
    "iface_id": _iface_id,
    "uplink": _text,
    "migrating": _flag,
    "deadline": _seconds,
}
_NEEDED = ("verb", "vsi")


def read_call(written: object) -> Call:
    """Read a call.

    Raises:
        ValueError: not an object of the form of a call; the message has each mistake with its key.
    """
    if not isinstance(written, Mapping):
        raise ValueError("call: an object was expected")
    read: dict[str, Any] = {}
    mistakes = [f"{key}: is missing" for key in _NEEDED if key not in written]
    for key, value in written.items():
        if value is None and key not in _NEEDED:
            continue  # null is as if the key was not there
        try:
            read[key] = _reader(key)(value)
        except ValueError as error:
            mistakes.append(f"{key}: {error}")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    described = _description(read)
    return Call(
        read["verb"],
        read["vsi"],
        described,
        read.get("uplink"),
        read.get("migrating", False),
        read.get("deadline", PATIENCE),
    )


def _reader(key: str) -> Callable[[object], Any]:
    if key not in _READERS:
        raise ValueError("is not a key of a call")
    return _READERS[key]


def _description(read: Mapping[str, Any]) -> VsiDescription | None:
    if "filters" not in read and "type" not in read:
        return None
    if "filters" not in read or "type" not in read:
        raise ValueError("call: type and filters belong together")
    if "port" in read and "iface_id" in read:
        raise ValueError("call: one of port and iface_id was expected")
    version, manager = read.get("version", 1), read.get("manager", ManagerId())
    addresses, port = read.get("addresses", ()), read.get("port")
    place = port, read.get("iface_id")
    return VsiDescription(read["vsi"], read["type"], version, manager, read["filters"], addresses, *place)

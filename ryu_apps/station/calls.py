"""Calls of a hypervisor to its station, and the answers, as JSON objects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.description import VsiDescription
from ryu_apps.station.filter_text import filter_from_text

__all__ = ["Answer", "Call", "CallError", "Verb", "read_call"]

#: Seconds in which a call is answered, if it does not say otherwise; and the most it may say.
PATIENCE, LONGEST_PATIENCE = 10.0, 3600.0
#: Each address is a TLV of its own.
MAX_ADDRESSES = 16


class Verb(Enum):
    """Request of a hypervisor for a VSI."""

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


def _of_text(read: Any) -> BeforeValidator:
    def convert(written: object) -> object:
        if not isinstance(written, str):
            raise ValueError("text was expected")
        return read(written)

    return BeforeValidator(convert)


def _manager(written: object) -> ManagerId:
    if not isinstance(written, str | int) or isinstance(written, bool):
        raise ValueError("text or a number was expected")
    return manager_from_text(written)


def _filter(written: object) -> FilterInfo:
    if not isinstance(written, list) or not all(isinstance(entry, str) for entry in written):
        raise ValueError("a list of text was expected")
    return filter_from_text(tuple(written))


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)

    verb: Annotated[Verb, BeforeValidator(Verb)]
    vsi: Annotated[VsiId, _of_text(VsiId.from_text)]
    type: Annotated[int, Field(ge=0, le=0xFFFFFF)] | None = None
    version: Annotated[int, Field(ge=0, le=0xFF)] = 1
    manager: Annotated[ManagerId, BeforeValidator(_manager)] = ManagerId()
    filters: Annotated[FilterInfo, BeforeValidator(_filter)] | None = None
    addresses: Annotated[
        list[Annotated[IPv4Address | IPv6Address, _of_text(ip_address)]], Field(max_length=MAX_ADDRESSES)
    ] = []
    uplink: str | None = None
    migrating: bool = False
    deadline: Annotated[float, Field(gt=0, le=LONGEST_PATIENCE, allow_inf_nan=False)] = PATIENCE

    def description(self) -> VsiDescription | None:
        if self.filters is None and self.type is None:
            return None
        if self.filters is None or self.type is None:
            raise ValueError("call: type and filters belong together")
        return VsiDescription(self.vsi, self.type, self.version, self.manager, self.filters, tuple(self.addresses))


def read_call(written: object) -> Call:
    """Read a call.

    Raises:
        ValueError: not an object of the form of a call; the message has each mistake with its key.
    """
    try:
        call = _Written.model_validate(written)
    except ValidationError as error:
        raise ValueError("; ".join(map(_mistake, error.errors()))) from None
    return Call(call.verb, call.vsi, call.description(), call.uplink, call.migrating, call.deadline)


def _mistake(details: Any) -> str:
    place = ".".join(map(str, details["loc"])) or "call"
    return f"{place}: {details['msg'].removeprefix('Value error, ')}"

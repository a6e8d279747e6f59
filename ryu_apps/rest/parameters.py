"""Texts of a URL to values: a reader for each name, in the path or in the query.

A reader raises ValueError with a reason for the client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ryu_apps.evb.wire.manager_text import manager_from_text
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.rest.bridge import RestError
from ryu_apps.rest.flows import STATES

_DPID = re.compile(r"[0-9a-fA-F]{16}\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?\Z")


def _dpid(text: str) -> int:
    if not _DPID.match(text):
        raise ValueError(f"{text!r} is not a datapath id of 16 hexadecimal digits")
    return int(text, 16)


def _vsi(text: str) -> str:
    """The canonical text of a VSIID, however it was written."""
    return str(VsiId.from_text(text))


def _manager(text: str) -> ManagerId:
    return manager_from_text(text)


def _number(text: str) -> int:
    if not _NUMBER.match(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def _seconds(text: str) -> float:
    if not _SECONDS.match(text):
        raise ValueError(f"{text!r} is not a time in seconds")
    return float(text)


def _state(text: str) -> str:
    if text not in STATES:
        raise ValueError(f"{text!r} is not a state of a rule; there are: {', '.join(STATES)}")
    return text


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text == "1"


READERS: dict[str, Callable[[str], object]] = {
    "dpid": _dpid,
    "vsi": _vsi,
    "type_id": _number,
    "version": _number,
    "number": _number,
    "manager": _manager,
    "balancer": str,
    "backend": str,
    "state": _state,
    "since": _seconds,
    "fresh": _flag,
}


def read(texts: Mapping[str, str]) -> dict[str, object]:
    """Read parameters by their names.

    Raises:
        RestError: 400, a text is not of the form that its name needs.
    """
    values = {}
    for name, text in texts.items():
        try:
            values[name] = READERS[name](text)
        except ValueError as error:
            raise RestError(400, f"{name}: {error}") from None
    return values

"""Sets of addresses that VSI types define, and their members."""

from __future__ import annotations

from operator import itemgetter

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.set_queries import MemberStatus, SetStatus
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge
from ryu_apps.rest.parameters import TypeFilter
from ryu_apps.rest.text import dpid_text


class DefinedJson(TypedDict):
    """A VSI type that defines a set, and the name that it gives it."""

    type: str
    name: str


class SetBindingJson(TypedDict):
    """A VID and a MAC address of a member."""

    vid: int
    mac: str


class SetMemberJson(TypedDict):
    """A VSI at a port; each of its bindings with each of its addresses is in the set."""

    vsi: str
    port: str
    active: bool
    bindings: list[SetBindingJson]
    addresses: list[str]


class SetJson(TypedDict):
    """A set of addresses: of the VSIs of some types or with some labels."""

    id: str
    types: list[str]
    labels: list[str]
    defined: list[DefinedJson]
    switches: list[str]
    members: list[SetMemberJson]


def sets(
    bridge: Bridge,
    now: float,
    type: TypeFilter | None = None,
    vsi: str | None = None,
    switch: int | None = None,
    after: str = "",
) -> list[SetJson]:
    """All sets, each with the types that define it, its members, and the switches that have them.

    Args:
        type: only those that it defines.
        vsi: only those of which it is a member.
        switch: only those that it has.
    """
    found = sorted(((_identifier(status), status) for status in bridge.queries.sets.all()), key=itemgetter(0))
    return [
        _set_json(identifier, status)
        for identifier, status in found
        if identifier > after
        and (type is None or any(type.selects(key) for key, _ in status.defined))
        and (vsi is None or any(member.vsi == vsi for member in status.members))
        and (switch is None or switch in status.switches)
    ]


def _identifier(status: SetStatus) -> str:
    """Types and labels that a set names: no two sets have the same."""
    types = ",".join(str(selector) for selector in status.address_set.types)
    return f"{types};{','.join(status.address_set.labels)}"


def _set_json(identifier: str, status: SetStatus) -> SetJson:
    return {
        "id": identifier,
        "types": [str(selector) for selector in status.address_set.types],
        "labels": list(status.address_set.labels),
        "defined": [{"type": str(key), "name": name} for key, name in status.defined],
        "switches": [dpid_text(dpid) for dpid in status.switches],
        "members": [_member_json(member) for member in status.members],
    }


def _member_json(member: MemberStatus) -> SetMemberJson:
    return {
        "vsi": member.vsi,
        "port": str(member.port),
        "active": member.active,
        "bindings": [
            {"vid": binding.vid, "mac": mac_to_text(binding.mac)}
            for binding in member.bindings
            if binding.mac is not None
        ],
        "addresses": [str(address) for address in member.addresses],
    }

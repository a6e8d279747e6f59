"""Sets of addresses that VSI types define, and their members."""

from __future__ import annotations

from ryu_apps.evb.bridge.set_queries import MemberStatus, SetStatus
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.text import dpid_text


def sets(bridge: Bridge, now: float) -> list[JsonValue]:
    """All sets, each with the types that define it, its members, and the switches that have them."""
    return [_set_json(status) for status in bridge.queries.sets.all()]


def _set_json(status: SetStatus) -> JsonValue:
    return {
        "types": [str(selector) for selector in status.address_set.types],
        "labels": list(status.address_set.labels),
        "defined": [{"type": str(key), "name": name} for key, name in status.defined],
        "switches": [dpid_text(dpid) for dpid in status.switches],
        "members": [_member_json(member) for member in status.members],
    }


def _member_json(member: MemberStatus) -> JsonValue:
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

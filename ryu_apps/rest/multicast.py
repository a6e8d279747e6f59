"""Multicast: queriers and group members of each VLAN, expiry of memberships, and counters of ignored messages."""

from __future__ import annotations

from operator import itemgetter
from typing import Literal

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.multicast_queries import MemberStatus, QuerierStatus
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge


class QuerierJson(TypedDict):
    """A querier of a VLAN."""

    protocol: Literal["igmp", "mld"]
    on: bool
    state: str
    queries: int
    next_in: float | None


class GroupMemberJson(TypedDict):
    """A VSI that listens to a group."""

    vsi: str
    port: str | None
    mac: str | None
    mode: Literal["exclude", "include"]
    sources: list[str]
    configured: bool
    joined: bool
    version: int | None
    heard: float | None
    expires_in: float | None
    asked_because: str | None


class MembershipJson(GroupMemberJson):
    """A member with its VLAN and its group."""

    id: str
    vid: int
    group: str


class MembersJson(TypedDict):
    """A multicast group with its members."""

    group: str
    members: list[GroupMemberJson]


class VlanJson(TypedDict):
    """A VLAN with snooped VSIs."""

    vid: int
    queriers: list[QuerierJson]
    groups: list[MembersJson]


class VsiCountersJson(TypedDict):
    """Messages of a VSI that were ignored, by reason."""

    vsi: str
    counters: dict[str, int]


class MulticastJson(TypedDict):
    """Memberships of all VLANs, and counters of ignored messages."""

    vlans: list[VlanJson]
    vsis: list[VsiCountersJson]
    counters: dict[str, int]


def multicast(bridge: Bridge, now: float, vlan: int | None = None) -> MulticastJson:
    """VLANs with snooped VSIs, with queriers and groups; then counters of VSIs and of all others."""
    queries = bridge.queries.multicast
    return {
        "vlans": [
            {
                "vid": found.vid,
                "queriers": [_querier_json(querier, now) for querier in found.queriers],
                "groups": [
                    {"group": group, "members": [_member_json(member, now) for member in members]}
                    for group, members in sorted((str(group), members) for group, members in found.groups.items())
                ],
            }
            for found in queries.vlans()
            if vlan in (None, found.vid)
        ],
        "vsis": [{"vsi": vsi, "counters": counters} for vsi, counters in queries.counters_of_vsis().items()],
        "counters": queries.counters(),
    }


def memberships(
    bridge: Bridge,
    now: float,
    vlan: int | None = None,
    vsi: str | None = None,
    port: PortId | None = None,
    switch: int | None = None,
    after: str = "",
) -> list[MembershipJson]:
    """The members of all multicast groups, each with its VLAN and its group."""
    found = (
        (f"{listed.vid}/{group}/{member.vsi}", listed.vid, str(group), member)
        for listed in bridge.queries.multicast.vlans()
        if vlan in (None, listed.vid)
        for group, members in listed.groups.items()
        for member in members
        if vsi in (None, member.vsi)
        and port in (None, member.port)
        and (switch is None or (member.port is not None and member.port.dpid == switch))
    )
    return [
        {"id": identifier, "vid": vid, "group": group, **_member_json(member, now)}
        for identifier, vid, group, member in sorted(found, key=itemgetter(0))
        if identifier > after
    ]


def _querier_json(querier: QuerierStatus, now: float) -> QuerierJson:
    return {
        "protocol": "igmp" if querier.version == 4 else "mld",
        "on": querier.on,
        "state": querier.state,
        "queries": querier.sent,
        "next_in": None if querier.next is None else querier.next - now,
    }


def _member_json(member: MemberStatus, now: float) -> GroupMemberJson:
    binding, _, source_filter = member.subscription
    return {
        "vsi": member.vsi,
        "port": str(member.port) if member.port else None,
        "mac": None if binding.mac is None else mac_to_text(binding.mac),
        "mode": "exclude" if source_filter.exclude else "include",
        "sources": sorted(str(source) for source in source_filter.sources),
        "configured": member.configured,
        "joined": member.version is not None,
        "version": member.version,
        "heard": None if member.heard is None else now - member.heard,
        "expires_in": None if member.lapses is None else member.lapses - now,
        "asked_because": member.doubt,
    }

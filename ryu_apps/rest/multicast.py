"""Multicast: queriers and group members of each VLAN, expiry of memberships, and counters of ignored messages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import Subscription
from ryu_apps.evb.snooping.listener import Membership
from ryu_apps.evb.vsi.registry import Vsi
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, JsonValue


def multicast(bridge: Bridge, now: float) -> JsonValue:
    """VLANs with snooped VSIs, with queriers and groups; then counters of VSIs and of all others."""
    engine = bridge.engine
    groups: dict[int, dict[str, list[JsonValue]]] = defaultdict(lambda: defaultdict(list))
    for vsi in engine.registry:
        for subscription in engine.snooper.subscriptions(vsi):
            group = str(subscription.group)
            groups[subscription.binding.vid][group].append(_member_json(engine, vsi, subscription, now))
    vids = sorted({*groups, *(vid for vid, _ in engine.snooper.queriers)})
    return {
        "vlans": [
            {
                "vid": vid,
                "queriers": list(_queriers(engine, vid, now)),
                "groups": [{"group": group, "members": members} for group, members in sorted(groups[vid].items())],
            }
            for vid in vids
        ],
        "vsis": [
            {"vsi": vsi.text, "counters": dict(vsi.listener.counters)}
            for vsi in engine.registry
            if vsi.listener.counters
        ],
        "counters": dict(engine.snooper.counters),
    }


def _queriers(engine: Engine, vid: int, now: float) -> Iterator[JsonValue]:
    for (where, version), querier in sorted(engine.snooper.queriers.items()):
        if where == vid:
            deadline = querier.deadline
            yield {
                "protocol": "igmp" if version == 4 else "mld",
                "on": querier.on,
                "state": querier.state,
                "queries": querier.sent,
                "next_in": None if deadline is None or querier.state == "other" else deadline - now,
            }


def _member_json(engine: Engine, vsi: Vsi, subscription: Subscription, now: float) -> JsonValue:
    binding, group, source_filter = subscription
    held: Membership | None = vsi.listener.memberships.get((binding, group))
    lapses = engine.snooper.lapses(vsi, binding, group)
    return {
        "vsi": vsi.text,
        "port": str(vsi.owner.port) if vsi.owner else None,
        "mac": None if binding.mac is None else mac_to_text(binding.mac),
        "mode": "exclude" if source_filter.exclude else "include",
        "sources": sorted(str(source) for source in source_filter.sources),
        "configured": engine.snooper.is_configured(vsi, group),
        "joined": held is not None,
        "version": None if held is None else int(held.generation),
        "heard": None if held is None else now - held.heard,
        "expires_in": None if lapses is None else lapses - now,
        "asked_because": held.check.doubt.value if held is not None and held.check is not None else None,
    }

"""Questions about multicast in a running bridge: queriers, memberships, and messages that were counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import MulticastGroup, Subscription
from ryu_apps.evb.snooping.querier import Querier
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Vsi


class QuerierStatus(NamedTuple):
    """The querier of a VLAN for one version of IP.

    Attributes:
        version: 4 (IGMP) or 6 (MLD).
        on: it may send queries.
        state: as in the manual; ``other``: another querier is present.
        sent: number of its general queries.
        next: time of the next one, monotonic seconds; None: none is planned.
    """

    version: int
    on: bool
    state: str
    sent: int
    next: float | None


class MemberStatus(NamedTuple):
    """A VSI that receives a group; times are monotonic seconds.

    Attributes:
        port: port of its gate; None: it is closed.
        configured: the VSI type names the group.
        version: protocol version of the newest report, 1 to 3; None: the VSI has not joined.
        heard: time of that report.
        lapses: time at which the VSI is asked whether it still listens; None: never.
        doubt: reason why it is being asked; None: it is not.
    """

    vsi: str
    port: PortId | None
    subscription: Subscription
    configured: bool
    version: int | None
    heard: float | None
    lapses: float | None
    doubt: str | None


class VlanStatus(NamedTuple):
    """A VLAN in which memberships are snooped: its queriers, and the members of each group."""

    vid: int
    queriers: tuple[QuerierStatus, ...]
    groups: Mapping[MulticastGroup, tuple[MemberStatus, ...]]


class MulticastQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def vlans(self) -> list[VlanStatus]:
        """Return the VLANs with a querier or a member, by VID."""
        groups: dict[int, dict[MulticastGroup, list[MemberStatus]]] = defaultdict(lambda: defaultdict(list))
        for vsi in self._engine.registry:
            for subscription in self._engine.snooper.subscriptions(vsi):
                groups[subscription.binding.vid][subscription.group].append(self._member(vsi, subscription))
        queriers: dict[int, list[QuerierStatus]] = defaultdict(list)
        for (vid, version), querier in sorted(self._engine.snooper.queriers.items()):
            queriers[vid].append(_querier(version, querier))
        return [
            VlanStatus(vid, tuple(queriers[vid]), {group: tuple(members) for group, members in groups[vid].items()})
            for vid in sorted({*groups, *queriers})
        ]

    def counters(self) -> dict[str, int]:
        """Return the membership messages, and those that were not taken, by name; names that are 0 are left out."""
        return dict(self._engine.snooper.counters)

    def counters_of_vsis(self) -> dict[str, dict[str, int]]:
        """Return the same of each VSI that has sent any, by its canonical text."""
        return {vsi.text: dict(vsi.listener.counters) for vsi in self._engine.registry if vsi.listener.counters}

    def _member(self, vsi: Vsi, subscription: Subscription) -> MemberStatus:
        snooper, (binding, group, _) = self._engine.snooper, subscription
        held = vsi.listener.memberships.get((binding, group))
        return MemberStatus(
            vsi.text,
            vsi.owner.port if vsi.owner else None,
            subscription,
            snooper.is_configured(vsi, group),
            None if held is None else int(held.generation),
            None if held is None else held.heard,
            snooper.lapses(vsi, binding, group),
            None if held is None or held.check is None else held.check.doubt.value,
        )


def _querier(version: int, querier: Querier) -> QuerierStatus:
    due = None if querier.state == "other" else querier.deadline
    return QuerierStatus(version, querier.on, querier.state, querier.sent, due)

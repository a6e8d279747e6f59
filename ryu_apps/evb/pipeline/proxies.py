"""End systems that a service works with: where each switch finds them.

The bodies of VSI types are the same at every switch; what differs from switch to switch is here.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import VLAN_PRESENT, ClearInPort, RegLoad, Resubmit, Rule, RuleChange, SetField, match
from ryu_apps.evb.pipeline.tables import FROM_PROXY, PROXY_FOUND, CookieKind, Priority, Table, cookie
from ryu_apps.evb.topology.fabric import Fabric, Interface, Role

#: The service of transparent proxies.
TCP_PROXY = "tcp_proxy"
#: Above the gates of VSIs that own a whole VID, below those of host ports and trunks.
_IMPOSTORS = (Priority.WIDE + Priority.EXACT) // 2

_COOKIE = cookie(CookieKind.INFRASTRUCTURE)


def appliances(fabric: Fabric, dpid: int) -> RuleChange:
    """What a switch needs to know of the appliances of its fabric."""
    everywhere = [one for port in fabric.ports(Role.HOST) if (one := fabric.interface(port)) is not None]
    here = fabric.switches[dpid].interfaces.values()
    return RuleChange(
        add=(
            *(rule for one in everywhere if one.appliance == TCP_PROXY for rule in _known(one)),
            *(rule for one in here if one.appliance == TCP_PROXY for rule in _nearest(one)),
            *_errors([one for one in everywhere if one.appliance == TCP_PROXY]),
        )
    )


def _known(interface: Interface) -> Iterator[Rule]:
    for mac in interface.macs:
        yield Rule(Table.INGRESS, _IMPOSTORS, match(eth_src=mac), _COOKIE)
        for vid in interface.vids:
            fields = match(vlan_vid=VLAN_PRESENT | vid, eth_src=mac)
            yield Rule(Table.PROXY_SOURCES, Priority.EXACT, fields, _COOKIE, apply=(RegLoad(FROM_PROXY, 1),))


def _nearest(interface: Interface) -> Iterator[Rule]:
    for vid in interface.vids:
        found = (SetField("eth_dst", interface.macs[0]), RegLoad(PROXY_FOUND, 1))
        yield Rule(Table.PROXY_HERE, Priority.EXACT, match(vlan_vid=VLAN_PRESENT | vid), _COOKIE, apply=found)


def _errors(proxies: list[Interface]) -> Iterator[Rule]:
    """A copy for each proxy of a VLAN, wherever it is, of what none of them has sent."""
    for vid in sorted({vid for one in proxies for vid in one.vids}):
        macs = [mac for one in proxies if vid in one.vids for mac in one.macs[:1]]
        copies = (action for mac in macs for action in (SetField("eth_dst", mac), Resubmit(Table.FORWARD)))
        of_others = match(vlan_vid=VLAN_PRESENT | vid, reg2=(0, 1 << FROM_PROXY.offset))
        # They may have to leave by the port that the error came in by.
        yield Rule(Table.PROXY_ERRORS, Priority.EXACT, of_others, _COOKIE, (ClearInPort(), *copies))

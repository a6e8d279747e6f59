"""Copies of frames to a VM that moves: rules of some seconds, which the switches end by themselves.

A switch that is neither end of the move sends each frame to both.  The end that does not deliver drops such copies at
the ports by which they come in (a *guard*), since its own rule would send them on to the other end.  At a staged VSI
whose gate has a meter the guard leads through this meter, so that an open meter is enough to deliver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.actions import Action, Resubmit
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import VLAN_PRESENT, Match, match
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import Meter, MeterUnit, Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import COPY_METER, CookieKind, Priority, Table, cookie

#: Seconds for which switches copy, and for which an end drops the copies: longer than any switch may still send one.
SECONDS, GUARD_SECONDS = 10, 14
#: Most of a switch's copies: 1 Gbit/s, with 0.1 s of it at once.
_KILOBITS, _BURST = 1_000_000, 100_000


def limit_of_copies() -> RuleChange:
    """Rule and meter of a switch that may copy: the limit of all its copies."""
    rule = Rule(Table.COPIES, Priority.DEFAULT, (), cookie(CookieKind.INFRASTRUCTURE), meter=COPY_METER)
    return RuleChange(meters=(Meter(COPY_METER, _KILOBITS, _BURST, MeterUnit.KILOBITS),), add=(rule,))


def copies(first: Action, second: Action, binding: VsiBinding, more: tuple[Match, ...] = ()) -> RuleSet:
    """The rules of a switch that is neither end.

    Args:
        first: output to the end that delivers; without limit.
        second: output to the other end, within the limit of copies.
        binding: index, generation, VIDs and MAC addresses of the VSI at its destination.
        more: matches of other frames for it.
    """
    # What a meter drops loses the rest of the actions, too: so the copy is the last of them.
    apply = first, Resubmit(Table.COPIES), second
    return rule_set(_rule(binding, found, apply, SECONDS) for found in _destinations(binding, more))


def guards(ports: Iterable[int], binding: VsiBinding, metered: bool, more: tuple[Match, ...] = ()) -> RuleSet:
    """The rules of the end that does not deliver.

    Args:
        ports: by which copies come in.
        metered: frames go through the meter of the staged VSI instead of being dropped.
        more: matches of other frames for it.
    """
    # In a table of the body: when the body is gone, there is no way on.
    apply = (Resubmit(Table.GATE_COPIES),) if metered else ()
    return rule_set(
        _rule(binding, (*match(in_port=port), *found), apply, GUARD_SECONDS)
        for port in ports
        for found in _destinations(binding, more)
    )


def _rule(binding: VsiBinding, found: Match, apply: tuple[Action, ...], seconds: int) -> Rule:
    owner = cookie(CookieKind.DETOUR, binding.vsi_index, binding.generation)
    return Rule(Table.FORWARD, Priority.COPY, found, owner, apply, hard_timeout=seconds)


def _destinations(binding: VsiBinding, more: tuple[Match, ...]) -> Iterator[Match]:
    for vid_mac in binding.bindings:
        if vid_mac.mac is not None:
            yield match(vlan_vid=VLAN_PRESENT | vid_mac.vid, eth_dst=vid_mac.mac)
    yield from more

"""Rules of a VSI port beside those of its VSI's gate: egress groups, frames for the controller, and tags.

The tags are those of a VSI, which may be one of several native VLANs, and come and go with its gate; all else with the
port.  They let no frame in or out by themselves.  The switch of a VSI port has Open vSwitch's extensions.
"""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.edge import incoming_at, outgoing
from ryu_apps.evb.pipeline.infrastructure import port_groups
from ryu_apps.evb.pipeline.punting import punting, punting_meters
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.vid_translation import VidTranslation


def vsi_port(interface: Interface) -> RuleChange:
    """The state of a switch for a VSI port that is there, whether it has a VSI or not."""
    return RuleChange(
        meters=tuple(punting_meters(interface)),
        groups=port_groups(interface, reflective_relay=False),
        add=tuple(punting(interface, station=None)),
    )


def tags(interface: Interface, translation: VidTranslation, binding: VsiBinding) -> RuleSet:
    """The rules by which frames at a VSI port get and lose their tags.

    Args:
        interface: with the native VLAN of its VSI.
        binding: the VSI, of whose gate they are a part.
    """
    owner = cookie(CookieKind.GATE, binding.vsi_index, binding.generation)
    rules = (*incoming_at(interface, translation), *outgoing(interface, translation))
    return rule_set(replace(rule, cookie=owner) for rule in rules)


def without_vsi_port(interface: Interface) -> RuleChange:
    """The change that removes :func:`vsi_port` when the port is gone; a bundle cannot carry it out."""
    there = vsi_port(interface)
    return RuleChange(
        remove=there.add,
        delete_groups=tuple(group.group_id for group in there.groups),
        delete_meters=tuple(meter.meter_id for meter in there.meters),
    )

"""Rules of a VSI port that depend on its number and not on the VSI: tags, egress groups, and frames for the controller.

They let no frame in or out by themselves: that takes a gate.  The switch of a VSI port has Open vSwitch's extensions.
"""

from __future__ import annotations

from ryu_apps.evb.flow.rule import Rule, RuleChange
from ryu_apps.evb.pipeline.edge import incoming_at, outgoing
from ryu_apps.evb.pipeline.infrastructure import port_groups
from ryu_apps.evb.pipeline.punting import punting, punting_meters
from ryu_apps.evb.topology.fabric import Interface
from ryu_apps.evb.topology.vid_translation import VidTranslation


def vsi_port(interface: Interface, translation: VidTranslation) -> RuleChange:
    """All state of a switch for a VSI port that is there."""
    return RuleChange(
        meters=tuple(punting_meters(interface)),
        groups=port_groups(interface, reflective_relay=False),
        add=(*punting(interface, station=None), *tags(interface, translation)),
    )


def tags(interface: Interface, translation: VidTranslation) -> tuple[Rule, ...]:
    """The rules by which frames at a VSI port get and lose their tags."""
    return (*incoming_at(interface, translation), *outgoing(interface, translation))


def without_vsi_port(interface: Interface, translation: VidTranslation) -> RuleChange:
    """The change that removes :func:`vsi_port` when the port is gone; a bundle cannot carry it out."""
    there = vsi_port(interface, translation)
    return RuleChange(
        remove=there.add,
        delete_groups=tuple(group.group_id for group in there.groups),
        delete_meters=tuple(meter.meter_id for meter in there.meters),
    )

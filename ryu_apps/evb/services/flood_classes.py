"""Judgement of whole classes of broadcasts by the access control list of a type (``pipeline.flood_classes``)."""

from __future__ import annotations

from ryu_apps.evb.flow.match import GROUP_BIT
from ryu_apps.evb.pipeline.flood_classes import FloodClass
from ryu_apps.evb.policy.fields import Alternatives, Masked, full_mask
from ryu_apps.evb.policy.model import Acl, AclRule, VsiType
from ryu_apps.evb.policy.rule_kinds import PLAIN_ETH_TYPES


def permitted_classes(vsi_type: VsiType, vid: int) -> frozenset[int]:
    """Numbers of the classes of which a VM of a type may receive every frame in a VID."""
    return frozenset(found.number for found in FloodClass if _permits(vsi_type.to_vm, _known(found, vid)))


def _known(found: FloodClass, vid: int) -> dict[str, Masked]:
    """The bits that all frames of a class have in common."""
    known = {"eth_dst": Masked(GROUP_BIT, GROUP_BIT), "vlan_vid": Masked(vid, full_mask("vlan_vid"))}
    for name, value in found.fields.items():
        known[name] = Masked(value, full_mask(name))
    return known


def _permits(acl: Acl, known: dict[str, Masked]) -> bool:
    """Return True if an access control list permits every frame of a class, whatever its other bits."""
    for _, rule in acl.numbered:
        if _decides(rule, known):
            return rule.allow
        if not rule.allow and _meets(rule, known):
            return False
    eth_type = known.get("eth_type")
    return acl.default and eth_type is not None and eth_type.value in PLAIN_ETH_TYPES


def _decides(rule: AclRule, known: dict[str, Masked]) -> bool:
    """Return True if a rule matches every frame of a class."""
    return all(_covers(alternatives, known.get(name)) for name, alternatives in rule.tests)


def _covers(alternatives: Alternatives, known: Masked | None) -> bool:
    bits = known or Masked(0, 0)
    return any(alternative.covers(bits) for alternative in alternatives)


def _meets(rule: AclRule, known: dict[str, Masked]) -> bool:
    """Return True if a rule may match a frame of a class."""
    return all(_overlaps(alternatives, known.get(name)) for name, alternatives in rule.tests)


def _overlaps(alternatives: Alternatives, known: Masked | None) -> bool:
    if known is None:
        return True
    return any(not (alternative.value ^ known.value) & alternative.mask & known.mask for alternative in alternatives)

"""The inert body of a VSI: what all services together stage for it.

No rule here can be reached before the VSI's gate writes the metadata that the rules match on.
"""

from __future__ import annotations

from ryu_apps.evb.flow.rule import Rule, RuleBlock
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.acl import ACL
from ryu_apps.evb.services.anti_spoofing import ANTI_SPOOFING
from ryu_apps.evb.services.base import Service
from ryu_apps.evb.services.split_horizon import SPLIT_HORIZON
from ryu_apps.evb.vsi.model import VsiBinding

#: In the order in which a frame meets them.
SERVICES: tuple[Service, ...] = (ANTI_SPOOFING, ACL, SPLIT_HORIZON)


def body_of_type(vsi_type: VsiType, epoch: int) -> RuleBlock:
    """The rules that all VSIs of a type epoch share: compiled anew at each call, so keep the block.

    Args:
        vsi_type: the policy.
        epoch: its 20-bit number in metadata and cookies.
    """
    return RuleBlock(tuple(rule for service in SERVICES for rule in service.per_type(vsi_type, epoch)))


def body_of_vsi(vsi_type: VsiType, binding: VsiBinding) -> tuple[Rule, ...]:
    """The rules of one VSI alone: a handful, however long its policy is."""
    return tuple(rule for service in SERVICES for rule in service.per_vsi(vsi_type, binding))

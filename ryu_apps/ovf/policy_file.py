"""A VSI type as the policy file that an operator gets."""

from __future__ import annotations

import re
from typing import Any

from ryu_apps.ovf.concise import concise
from ryu_apps.ovf.model import FilterAcl, FilterRule, PortProfile
from ryu_apps.ovf.policy_text import policy_lines


def policy_file_name(profile: PortProfile) -> str:
    """The name of the policy file of a VSI type."""
    words = re.sub(r"[^a-z0-9]+", "_", profile.name.lower()).strip("_")
    return f"{words[:40] or 'type'}_{profile.key.type_id}_{profile.key.version}.yaml"


def policy_text(profile: PortProfile, origin: str) -> str:
    """The policy file of a VSI type.

    Args:
        profile: the VSI type.
        origin: what it was read from, for the comment at the top.
    """
    comments = [f"# VSI type {profile.key}, imported from {' '.join(origin.split())}."]
    if profile.bare:
        comments.append("# The package has no filters for it: nothing passes but ARP and neighbour discovery.")
    sections: list[dict[str, Any]] = [
        {
            "version": 1,
            "vsi_type": {"type_id": profile.key.type_id, "version": profile.key.version, "name": profile.name},
        },
        dict(profile.rest),
        *(
            {name: _acl(acl)}
            for name, acl in (("to_vm", profile.to_vm), ("from_vm", profile.from_vm))
            if acl is not None
        ),
    ]
    blocks = ["\n".join(policy_lines(section)) for section in sections if section]
    return "\n".join(comments) + "\n" + "\n\n".join(blocks) + "\n"


def _acl(acl: FilterAcl) -> dict[str, Any]:
    data: dict[str, Any] = {"default": "allow" if acl.default else "deny"}
    if acl.rules:
        data["rules"] = [{"rule": _rule(rule)} for rule in acl.rules]
    return data


def _rule(rule: FilterRule) -> dict[str, Any]:
    data: dict[str, Any] = {"description": rule.description} if rule.description else {}
    return data | concise(dict(rule.tests)) | {"actions": {"allow": int(rule.allow)}}

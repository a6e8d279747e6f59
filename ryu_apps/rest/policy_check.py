"""A check of policies that a VSI manager is about to serve, at the bridge that would fetch them.  Nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from ryu_apps.evb.policy.diagnostic import Diagnostic, has_errors
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.services.body import SECTIONS, missing_names
from ryu_apps.rest.bridge import Aside, Bridge

#: Octets of the body of a request, and policies in it.
MAX_CHECKED, _MOST = 4_000_000, 1000
_Checked = tuple[PolicySet | None, list[Diagnostic]]


class PolicyText(Strict):
    """A policy file: a name for mistakes, and its text."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    text: Annotated[str, Field(max_length=MAX_CHECKED)]


class PolicyTexts(Strict):
    """Policies that are to be served together."""

    policies: Annotated[list[PolicyText], Field(min_length=1, max_length=_MOST)]


class CheckedJson(TypedDict):
    """VSI types of the policies, and what is against them: none can be served with a mistake."""

    types: list[str]
    mistakes: list[str]
    warnings: list[str]


def check_policies(bridge: Bridge, now: float, body: PolicyTexts) -> Aside[CheckedJson]:
    """Check policies that a VSI manager is about to serve; nothing changes."""
    sources = [(policy.name, policy.text) for policy in body.policies]
    return Aside(lambda: load_policies(sources, SECTIONS), lambda checked: _answer(bridge, checked))


def _answer(bridge: Bridge, checked: _Checked) -> CheckedJson:
    policies, found = checked
    mistakes = [str(diagnostic) for diagnostic in found if has_errors([diagnostic])]
    warnings = [str(diagnostic) for diagnostic in found if not has_errors([diagnostic])]
    if policies is not None:
        mistakes += _conflicts(bridge, policies)
        fabric = bridge.queries.fabric
        mistakes += [
            str(found) for key in sorted(policies.types) for found in missing_names(policies.types[key], fabric)
        ]
    types = [str(key) for key in sorted(policies.types)] if policies is not None else []
    return {"types": types, "mistakes": mistakes, "warnings": warnings}


def _conflicts(bridge: Bridge, policies: PolicySet) -> Iterator[str]:
    """Types that VSIs use with another content: that stays in force until they have left."""
    for status in bridge.queries.types.all():
        used, offered = status.vsi_type, policies.types.get(status.vsi_type.key)
        if offered is not None and status.users and offered.digest != used.digest:
            yield f"{offered.file}: VSI type {used.key} is in use with another content: give it a new version"

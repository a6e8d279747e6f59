"""VSI types from text."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS


def loaded_types(bodies: Mapping[tuple[int, int], str], name: str) -> PolicySet:
    """Load VSI types.

    Args:
        bodies: everything but version and key of each type's file, by type ID and version.
        name: of all of them.
    """
    head = "version: 1\nvsi_type: {{type_id: {0}, version: {1}, name: {2}}}\n"
    texts = [(str(key), head.format(*key, name) + body) for key, body in bodies.items()]
    loaded, found = load_policies(texts, SECTIONS)
    assert loaded is not None, found
    return loaded

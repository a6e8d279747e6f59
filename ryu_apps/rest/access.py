"""The token of a client: its name and role, for clients that show no more than they may do."""

from __future__ import annotations

from ryu_apps.rest.bridge import Bridge, JsonValue
from ryu_apps.rest.tokens import Role, Token


def access(bridge: Bridge, now: float, caller: Token | None) -> JsonValue:
    """Name and role of the client's token; without tokens every client has the highest role."""
    return {
        "tokens": bridge.rest.tokens is not None,
        "name": None if caller is None else caller.name,
        "role": str(Role.ADMIN if caller is None else caller.role),
    }

"""The token of a client: its name and role, for clients that show no more than they may do."""

from __future__ import annotations

from typing_extensions import TypedDict

from ryu_apps.rest.bridge import Bridge
from ryu_apps.rest.tokens import Role, Token


class AccessJson(TypedDict):
    """The token of a client."""

    tokens: bool
    name: str | None
    role: str


def access(bridge: Bridge, now: float, caller: Token | None) -> AccessJson:
    """Name and role of the client's token; without tokens every client has the highest role."""
    return {
        "tokens": bridge.rest.tokens is not None,
        "name": None if caller is None else caller.name,
        "role": str(Role.ADMIN if caller is None else caller.role),
    }

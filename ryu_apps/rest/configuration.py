"""The configuration of the bridge."""

from __future__ import annotations

from typing_extensions import TypedDict

from ryu_apps.rest.bridge import Bridge, Reply
from ryu_apps.rest.vsitypes import RefusedFilesJson


class ConfigurationLoadedJson(TypedDict):
    """Numbers of switches and of VSI types of the local directory."""

    switches: int
    types: int


def reload(bridge: Bridge, now: float) -> Reply[ConfigurationLoadedJson | RefusedFilesJson]:
    """Read evbridge.yaml and the policies again and put them in force, whole or not at all.

    Returns:
        200 and the numbers of switches and types; 409 and every mistake, and every change that cannot be taken while
        VSIs are in use, with its file and place, and nothing has changed.
    """
    mistakes = bridge.reloader.configuration()
    if mistakes:
        return Reply(409, {"error": "the configuration in force stays", "mistakes": mistakes})
    queries = bridge.queries
    return Reply(200, {"switches": len(queries.fabric.switches), "types": len(queries.types.local())})

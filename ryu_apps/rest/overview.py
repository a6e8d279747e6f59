"""All VSIs in brief, for lists and searches.

For 8,192 VSIs this is a quarter of the octets of ``/evb/vsis``, and of the time that the bridge needs to write them.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.vsi_queries import AttachmentStatus, VsiStatus
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge


class BriefAttachmentJson(TypedDict):
    """A VSI at one port."""

    port: str
    phase: str
    type: str | None
    macs: list[str]
    addresses: list[str]


class BriefVsiJson(TypedDict):
    """A VSI in brief."""

    vsi: str
    name: str | None
    attachments: list[BriefAttachmentJson]


def overview(bridge: Bridge, now: float, after: str = "") -> Iterator[BriefVsiJson]:
    """All VSIs in brief: name, and the ports, state, type and addresses of each."""
    return map(_vsi_json, bridge.vsis().all(after))


def _vsi_json(found: VsiStatus) -> BriefVsiJson:
    return {
        "vsi": found.text,
        "name": found.name,
        "attachments": [_attachment_json(attachment) for attachment in found.attachments],
    }


def _attachment_json(attachment: AttachmentStatus) -> BriefAttachmentJson:
    macs = (bound.binding.mac for bound in attachment.bindings)
    return {
        "port": str(attachment.port),
        "phase": attachment.phase,
        "type": None if attachment.type is None else str(attachment.type),
        "macs": [mac_to_text(mac) for mac in macs if mac is not None],
        "addresses": [str(address) for address in attachment.addresses],
    }

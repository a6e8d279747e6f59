"""The configured cluster as a picture: switches, stations, end systems and links in their places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.picture import render
from ryu_apps.rest.bridge import Aside, Bridge, Document

SVG = "image/svg+xml"
_TITLE = "evbridge"
#: Opened by itself the picture is a document of this origin; it has styles and nothing that acts.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(slots=True)
class _Drawn:
    """The newest picture: some 100 ms for 256 nodes, and the fabric seldom changes."""

    fabric: Fabric | None = None
    octets: bytes = b""

    def of(self, fabric: Fabric) -> bytes:
        """The picture of a fabric."""
        if self.fabric is not fabric:
            octets = render(_TITLE, fabric).encode()
            self.fabric, self.octets = fabric, octets
        return self.octets


_DRAWN = _Drawn()


def picture(bridge: Bridge, now: float) -> Aside[Any]:
    """The configured cluster as SVG; groups have their ``data-port``, ``data-switch`` or ``data-ends``."""
    fabric = bridge.queries.fabric
    return Aside(lambda: Document(SVG, _DRAWN.of(fabric), _HEADERS))

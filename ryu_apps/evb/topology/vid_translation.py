"""The VID translation table of a switch (802.1Q 6.9): VIDs at its station ports, and VIDs everywhere else.

A *local VID* is what frames have at a station port, a *relay VID* what they have in the pipeline, on trunks and at
host ports.  Most VLANs have the same VID in both places.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class VidTranslation:
    """The VLANs of one switch whose local VIDs differ from their relay VIDs.

    Attributes:
        local_vids: relay VID -> local VID; no two have the same local VID.
    """

    local_vids: dict[int, int] = field(default_factory=dict)
    _relays: dict[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_relays", {local: relay for relay, local in self.local_vids.items()})

    def __bool__(self) -> bool:
        return bool(self.local_vids)

    def local(self, relay: int) -> int | None:
        """The local VID of a relay VID; None: its number is the local VID of another VLAN."""
        return self.local_vids.get(relay, None if relay in self._relays else relay)

    def relay(self, local: int) -> int | None:
        """The relay VID of a local VID; None: it is of no VLAN at station ports."""
        return self._relays.get(local, None if local in self.local_vids else local)

    def unused(self) -> Iterator[int]:
        """The VIDs that are of no VLAN at station ports: relay VIDs of VLANs with another local VID."""
        return (relay for relay in self.local_vids if relay not in self._relays)

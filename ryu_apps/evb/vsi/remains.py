"""What switches that are away still hold of VSIs that were released: it goes when they return, and not before."""

from __future__ import annotations

from collections.abc import Collection

from ryu_apps.evb.vsi.registry import Attachment

#: VSIs whose remains are remembered; the oldest go first.
MAX_REMAINS = 4096


class Remains:
    """For the question whether a VSI is gone; what returning switches have to remove, a comparison finds."""

    def __init__(self, up: Collection[int]) -> None:
        """
        Args:
            up: the datapath ids of the switches that are there.
        """
        self._up = up
        self._of: dict[str, set[int]] = {}

    def __contains__(self, text: str) -> bool:
        return text in self._of

    def of(self, text: str) -> list[int]:
        """The switches that are away and hold rules of a VSI that was released."""
        return sorted(self._of.get(text, ()))

    def released(self, attachment: Attachment) -> None:
        """A VSI is about to leave a port, with its gates if they are open there."""
        vsi = attachment.vsi
        holders = {attachment.port.dpid} if attachment.programs else set()
        if vsi.owner is attachment:
            holders |= {dpid for dpid, rules in vsi.gates.items() if rules}
        away = {dpid for dpid in holders if dpid not in self._up}
        if away:
            if vsi.text not in self._of and len(self._of) >= MAX_REMAINS:
                del self._of[next(iter(self._of))]
            self._of.setdefault(vsi.text, set()).update(away)

    def returned(self, dpid: int) -> None:
        """A switch holds what it should."""
        for text, dpids in list(self._of.items()):
            dpids.discard(dpid)
            if not dpids:
                del self._of[text]

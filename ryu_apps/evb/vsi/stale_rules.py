"""Stale rules: those of released VSIs in switches that are disconnected; they are removed when the switch returns."""

from __future__ import annotations

from collections.abc import Collection

from ryu_apps.evb.vsi.registry import Attachment

#: VSIs whose stale rules are recorded; the oldest go first.
MAX_VSIS = 4096


class StaleRules:
    """Switches with stale rules, by VSI, for REST; the comparison at the return of a switch removes the rules."""

    def __init__(self, up: Collection[int]) -> None:
        """
        Args:
            up: datapath ids of the connected switches.
        """
        self._up = up
        self._of: dict[str, set[int]] = {}

    def __contains__(self, text: str) -> bool:
        return text in self._of

    def of(self, text: str) -> list[int]:
        """Return the disconnected switches that hold rules of a released VSI."""
        return sorted(self._of.get(text, ()))

    def released(self, attachment: Attachment) -> None:
        """Record the disconnected switches that hold rules of a VSI which is about to leave a port."""
        vsi = attachment.vsi
        holders = {attachment.port.dpid} if attachment.holding.programs else set()
        if vsi.owner is attachment:
            holders |= {dpid for dpid, rules in vsi.gates.items() if rules}
        away = {dpid for dpid in holders if dpid not in self._up}
        if away:
            if vsi.text not in self._of and len(self._of) >= MAX_VSIS:
                del self._of[next(iter(self._of))]
            self._of.setdefault(vsi.text, set()).update(away)

    def returned(self, dpid: int) -> None:
        """Remove a switch that holds its desired rules again."""
        for text, dpids in list(self._of.items()):
            dpids.discard(dpid)
            if not dpids:
                del self._of[text]

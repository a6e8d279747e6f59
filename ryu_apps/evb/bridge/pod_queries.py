"""Questions about VSIs that other pods have asked for."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.state_exports import ExportStatus


class PodQueries:
    """Answers of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def state(self, vsi: str) -> ExportStatus | None:
        """State of a VSI that was asked for; None: there is none."""
        return self._engine.pods.exports.status(vsi)

    def active(self) -> Iterator[str]:
        """VSIs whose gate is open, or about to be."""
        return (vsi.text for vsi in list(self._engine.registry) if vsi.owner is not None)

    def is_shut(self, vsi: str) -> bool:
        """True if no switch has an open gate of a VSI, and none will after a restart."""
        found = self._engine.registry.named(vsi)
        if self._engine.pods.is_leaving(vsi) or self.is_doubtful(vsi):
            return False
        if found is None:
            return True
        return found.owner is None and not any(held.holding.closing for held in found.attachments.values())

    def is_doubtful(self, vsi: str) -> bool:
        """True if the switch of a VSI is not connected, and may have its gate open."""
        return self._engine.pods.home(vsi) in self._engine.associations.stale_rules.of(vsi)

"""A station port of a bridge that does not know its VSI types yet: requests are received, and none is answered."""

from __future__ import annotations

from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.outputs import PortOutput


class HoldingPort(BridgePort):
    """A bridge port that keeps what ECP delivers to VDP.

    ECP acknowledges each ECPDU, which confirms its receipt and not its processing (802.1Q 43.3).

    Attributes:
        received: data units that ECP has delivered, each once.
    """

    received = 0

    def _delivered(self, payload: bytes, now: float) -> list[PortOutput]:
        self.received += 1
        return []

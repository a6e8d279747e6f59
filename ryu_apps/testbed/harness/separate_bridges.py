"""Two fabrics with a bridge each that do not know each other, and a link between them."""

from __future__ import annotations

from pathlib import Path

from ryu_apps.evb.config import BridgeConfig
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.harness.cluster import StationMaker
from ryu_apps.testbed.harness.pods import SWITCHES, PodsCluster, two_pods


class SeparateBridges(PodsCluster):
    """Switches and links of two pods, whose bridges have no section ``pod``: their directory has no client."""

    def __init__(self, folder: Path, policies: Path, station: StationMaker, timers: Timers) -> None:
        """
        Args:
            timers: that station ports propose.
        """
        super().__init__(folder, policies, station, dict.fromkeys(SWITCHES, ""), two_pods(timers))

    def _config_of(self, pod: str, folder: Path, policies: Path, rule: str) -> BridgeConfig:
        return BridgeConfig(self._layout.fabrics[pod], (str(policies),), str(folder / f"state-{pod}"))

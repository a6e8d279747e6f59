"""The NMS of ``evbridge vcm run``: moves wait until its components have done a step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.nms import NmsHost
from ryu_apps.testbed.harness.shell import PATIENCE, wait_until
from ryu_apps.testbed.moves.attempt import Attempt
from ryu_apps.vcm.components import PendingComponent, not_ready, pending, steps_path
from ryu_apps.vcm.move_events import Coordination, MoveStep

#: End system on which it runs; port of the bridge's REST; seconds between two questions.
HOST, _REST, _NAP = "nms", 8080, 0.02


class NotReadyError(TestbedError):
    """Components have not done a step: one has given up, or the time is over."""


class ClusterNms:
    """``evbridge nms serve`` on the end system ``nms``."""

    def __init__(self, cluster: Cluster, config: Path, coordination: Coordination) -> None:
        """
        Args:
            config: its file, of which a copy is used, so that its state is the run's.
        """
        self._coordination = coordination
        folder = cluster.folder / HOST
        folder.mkdir()
        copy = Path(shutil.copy(config, folder / "nms.yaml"))
        self._host = NmsHost(cluster.hosts[HOST].namespace, copy, (_REST,))

    def start(self) -> None:
        """Start it, and wait until it follows the bridge.

        Raises:
            TimeoutError, OSError: it does not.
        """
        self._host.start()
        wait_until(self._follows, f"bridge {self._coordination.bridge} at the NMS", PATIENCE, pause=0.05)

    def close(self) -> None:
        """End it."""
        self._host.close()

    def wait(self, step: MoveStep, attempt: Attempt, is_unwanted: Callable[[], bool]) -> None:
        """Wait until all components have done what a step of a move waits for, with each VSI of the VM.

        Raises:
            NotReadyError: see there.
        """
        place = attempt.source if step is MoveStep.AWAIT_RELEASE else attempt.destination
        deadline = time.monotonic() + self._coordination.deadline
        for vsi in attempt.vsis:
            while left := self._left(step, steps_path(self._coordination, vsi.uuid, str(place.port))):
                failed = any(found.failed for found in left)
                if failed or is_unwanted() or time.monotonic() > deadline:
                    raise NotReadyError(not_ready(left, self._coordination))
                time.sleep(_NAP)

    def _left(self, step: MoveStep, path: str) -> list[PendingComponent]:
        try:
            return pending(self._coordination, step, self._host.get(path))
        except (OSError, ValueError) as error:
            return [PendingComponent(f"the NMS does not answer: {error}", False)]

    def _follows(self) -> bool:
        with suppress(OSError):
            bridges = {found["name"]: found for found in self._host.get("/nms/bridges")}
            if self._coordination.bridge not in bridges:
                raise NotReadyError(f"the NMS has no bridge {self._coordination.bridge}")
            bridge = bridges[self._coordination.bridge]
            return bridge["error"] is None and all(member["error"] is None for member in bridge["events"])
        return False

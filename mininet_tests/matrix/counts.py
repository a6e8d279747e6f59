"""Datagrams both ways, before, between and after: does the bridge count each of them once?"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing, suppress

from mininet_tests.harness.shell import wait_until
from mininet_tests.matrix.workload import Stage, Verdict

PORT = 5001
#: Datagrams each way, each time.
BATCH = 200
_PAUSE, _PATIENCE = 0.001, 2.0


class Counts:
    """The rule that lets them pass counts what was sent from the VM, and what it has received."""

    service = "statistics"
    section = (
        "statistics: {per_rule: true}\n"
        f"to_vm: {{rules: [{{rule: {{udp_dst: {PORT}, actions: {{allow: 1}}}}}}]}}\n"
        f"from_vm: {{rules: [{{rule: {{udp_dst: {PORT}, actions: {{allow: 1}}}}}}]}}"
    )
    scales = False

    def __init__(self) -> None:
        self._resources = ExitStack()
        self._sent = self._heard = 0

    def begin(self, stage: Stage, live: int) -> None:
        """The first batch; before it, one that waits for ARP."""
        self._stage = stage
        self._ours = self._socket(stage.vm.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM), stage.vm.ip)
        client = stage.client.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._theirs = self._socket(client, stage.client.ip)
        self._exchange(1)
        self._exchange(BATCH)

    def more(self) -> None:
        """The second one, while the VM is about to move."""
        self._exchange(BATCH)

    def judge(self) -> Verdict:
        """The third one; then the counts of the rule are compared with those of both ends."""
        self._exchange(BATCH)
        expected = {"from_vm": self._sent, "to_vm": self._heard}
        with suppress(TimeoutError):
            wait_until(lambda: self._counted() == expected, "counts", _PATIENCE)
        counted = self._counted()
        return Verdict(sum(expected.values()), sum(abs(counted[way] - expected[way]) for way in expected))

    def end(self) -> None:
        """Close both sockets."""
        self._resources.close()

    def _socket(self, made: socket.socket, address: str) -> socket.socket:
        self._resources.enter_context(closing(made))
        made.bind((address, PORT))
        made.settimeout(_PATIENCE)
        return made

    def _exchange(self, count: int) -> None:
        for _ in range(count):
            self._ours.sendto(b"counted", (self._stage.client.ip, PORT))
            self._theirs.sendto(b"counted", (self._stage.vm.ip, PORT))
            self._sent += 1
            time.sleep(_PAUSE)
        with suppress(TimeoutError):
            for _ in range(count):
                self._ours.recv(16)
                self._heard += 1

    def _counted(self) -> dict[str, int]:
        controller, mac = self._stage.cluster.controller, self._stage.vm.mac
        vsis = controller.get("/evb/vsis")
        mine = next(
            one["vsi"] for one in vsis for there in one["attachments"] for b in there["bindings"] if b["mac"] == mac
        )
        shown = controller.get(f"/evb/statistics/{mine}?fresh=1")
        return {
            way: next(one["packets"] for one in shown[way]["rules"] if one["what"] == "rule")
            for way in ("from_vm", "to_vm")
        }

"""A hypervisor's edge as a Virtual Ethernet Bridge (802.1Q 5.24): frames between its VMs stay in the hypervisor.

* a frame from a VM port for a VM that is here goes to the port of that VM, and to nothing else;
* a group frame goes to every other port, and to the uplink;
* every other frame leaves by the uplink, and what comes in by the uplink is treated as by a VEPA.

Built from traffic control, for the reason that :mod:`.vepa` gives.  The port of a VM that does not run here yet is not
among those that the VMs of the hypervisor reach: a bridge learns an address from the first frame.
"""

from __future__ import annotations

from ryu_apps.testbed.harness.shell import Namespace
from ryu_apps.testbed.harness.vepa import GROUP_BIT, VepaEdge, match_destination, mirrored, redirected

# Preferences of the filters of a VM's port, behind those of guards and before the one that leads to the uplink; the
# group filter is in one of two.
_LOCAL, _GROUPS = 100, (200, 201)


class VebEdge(VepaEdge):
    """The ports behind ``uplink`` in a hypervisor's namespace, bridged."""

    ACCESS_PORTS = False

    def __init__(self, namespace: Namespace, uplink: str) -> None:
        super().__init__(namespace, uplink)
        self._learned: list[str] = []
        self._bank = 0

    def attach(self, port: str, mac: str, used: bool = True) -> None:
        """Connect a port, to the uplink and, if it is used, to the others."""
        super().attach(port, mac)
        if not used:
            return
        with self._turn:
            pairs = [ends for other in self._learned for ends in ((other, port), (port, other))]
            self.namespace.tc(*(self._local(source, target) for source, target in pairs))
            self._learned.append(port)
            self._flood(without=port)

    def detach(self, port: str) -> None:
        """Disconnect a port; frames for its VM leave by the uplink from now on."""
        if port in self._learned:
            with self._turn:
                self._learned.remove(port)
                slot = _LOCAL + self._slots[port]
                gone = (f"filter del dev {other} ingress protocol all pref {slot}" for other in self._learned)
                self.namespace.tc(*gone)
                self._flood()
        super().detach(port)

    def _local(self, source: str, target: str) -> str:
        destination = f"{match_destination(self._ports[target])} {redirected(target)}"
        return f"filter add dev {source} ingress protocol all pref {_LOCAL + self._slots[target]} u32 {destination}"

    def _flood(self, without: str = "") -> None:
        """Write the group filters of all ports into the bank not in use, then drop the others.

        Args:
            without: a port that has none yet.
        """
        old, self._bank = _GROUPS[self._bank], 1 - self._bank
        for port in self._learned:
            copies = " ".join(mirrored(other) for other in self._learned if other != port)
            flood = f"{GROUP_BIT} flowid 1:1 {copies} {redirected(self.uplink)}"
            self.namespace.tc(f"filter add dev {port} ingress protocol all pref {_GROUPS[self._bank]} u32 {flood}")
            if port != without:
                self.namespace.tc(f"filter del dev {port} ingress protocol all pref {old}")

"""Appliances of the fabric: VMs through which the bridge leads chosen traffic of others.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

#: The highest number of an appliance: each number has 16 groups in a switch.
MOST_APPLIANCES = 0x5FFF


class ApplianceInstance(NamedTuple):
    """One VM of an appliance.

    Attributes:
        name: operator's name, unique in its appliance.
        inside, outside: VIDs of its two legs, towards the clients and away from them; 0: it is a router.
        mac: address of a router in the VLAN of its clients, 48 bits; 0: it is a bump in the wire.
        address: of a router there; None: not known.
    """

    name: str
    inside: int = 0
    outside: int = 0
    mac: int = 0
    address: IPv4Address | IPv6Address | None = None

    @property
    def legs(self) -> tuple[int, ...]:
        """The VIDs of its legs."""
        return tuple(vid for vid in (self.inside, self.outside) if vid)


class Probing(NamedTuple):
    """Test of the instances of an appliance by frames.

    Attributes:
        interval: seconds between two probes of an instance.
        missed: number of probes without an answer, one after the other, from which on it is out of use.
    """

    interval: float = 1.0
    missed: int = 3


@dataclass(frozen=True, slots=True)
class Appliance:
    """One appliance, of one VM or of several that share the traffic.

    Attributes:
        number: 1 to :data:`MOST_APPLIANCES`, unique in the fabric (:func:`.numbers_of`).
        name: operator's name.
        vid: VLAN of the clients.
        instances: all of them bumps in the wire, or all of them routers.
        passed: VID on trunks of frames that have passed a bump in the wire; 0: they are routers.
        probing: test of the instances; None: there is none.
    """

    number: int
    name: str
    vid: int
    instances: tuple[ApplianceInstance, ...]
    passed: int = 0
    probing: Probing | None = None

    @property
    def own_vids(self) -> frozenset[int]:
        """The VIDs that nothing else may use."""
        legs = {vid for instance in self.instances for vid in instance.legs}
        return frozenset(legs | ({self.passed} if self.passed else set()))

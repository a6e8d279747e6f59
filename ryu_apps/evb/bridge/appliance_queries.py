"""Questions about the appliances of a running bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.topology.appliance import Appliance
from ryu_apps.evb.vsi.steering import PartPlace


class ApplianceStatus(NamedTuple):
    """One appliance.

    Attributes:
        in_use: names of the instances that get traffic.
        places: instance and VID -> where this part of it is active.
        silent: names of the instances that do not answer probes.
    """

    appliance: Appliance
    in_use: frozenset[str]
    places: Mapping[tuple[str, int], PartPlace]
    silent: frozenset[str]


class ApplianceQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> Iterator[ApplianceStatus]:
        """Yield all appliances, by name."""
        steering = self._engine.steering
        for appliance in sorted(self._engine.fabric.appliances, key=lambda found: found.name):
            used = frozenset(steering.in_use(appliance))
            names = (instance.name for instance in appliance.instances)
            silent = frozenset(name for name in names if steering.is_silent(appliance.name, name))
            yield ApplianceStatus(appliance, used, steering.places[appliance.name], silent)

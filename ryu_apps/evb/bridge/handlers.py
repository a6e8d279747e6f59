"""Components that events are handed to, built on those that know and decide (:mod:`ryu_apps.evb.bridge.components`)."""

from __future__ import annotations

from functools import partial

from ryu_apps.evb.bridge.appliance_probes import ApplianceProbes
from ryu_apps.evb.bridge.balancer_events import BalancerEvents
from ryu_apps.evb.bridge.bond_links import BondLinks
from ryu_apps.evb.bridge.components import Components
from ryu_apps.evb.bridge.express import Express
from ryu_apps.evb.bridge.fencing import Fencing
from ryu_apps.evb.bridge.icmp_translator import IcmpTranslator
from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.port_events import PortEvents
from ryu_apps.evb.bridge.repetitions import Repetitions
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.bridge.store_events import StoreEvents
from ryu_apps.evb.bridge.switch_events import SwitchEvents
from ryu_apps.evb.bridge.timers import Timers
from ryu_apps.evb.bridge.vsi_port_events import VsiPortEvents
from ryu_apps.evb.generation import Life
from ryu_apps.evb.snooping.settings import Snooping
from ryu_apps.evb.switches.fragment_handling import FragmentHandling


class EventHandlers:
    """Components that take one kind of event each.

    Attributes:
        ports, vsi_ports, links: frames and link states of ports, the VSI ports among them, and links between switches.
        snooper, translator, probes: membership messages, ICMP errors about balanced connections, probes of appliances.
        switches, fencing, fragments: switches that connect, their roles, their handling of fragments.
        store, balancers: answers of the store, back ends that a load balancer's operator takes out.
        timers: deadlines of all components.
        express: changes ahead of Associates.
    """

    def __init__(
        self,
        components: Components,
        snooping: Snooping,
        statistics_interval: float,
        life: Life,
        secret: bytes,
        alone: bool,
    ) -> None:
        """
        Args:
            all: as of :class:`~ryu_apps.evb.bridge.engine.Engine`.
        """
        fabric, registry, lifecycle = components.fabric, components.registry, components.lifecycle
        tokens, effects, agenda = components.tokens, components.effects, components.agenda
        requests, bringup, comparisons = components.associations, components.bringup, components.comparisons
        stations, steering = components.stations, components.steering
        self.snooper = Snooper(fabric, registry, lifecycle, snooping, effects)
        self.fragments = FragmentHandling()
        self.translator = IcmpTranslator(fabric, tokens, effects, comparisons.refused)
        self.links = Links(fabric, components.rewiring, bringup.ready, tokens, effects, agenda)
        self.vsi_ports = VsiPortEvents(fabric, components.vsi_ports, registry, lifecycle, requests, effects)
        self.probes = ApplianceProbes(fabric, steering, lifecycle.up, bringup.ready, secret, tokens, effects, agenda)
        self.ports = PortEvents(
            *(stations, bringup, self.links, requests, self.snooper, self.translator, lifecycle.up),
            *(Repetitions(registry), BondLinks(fabric), self.vsi_ports, steering, self.probes),
            *(tokens, effects, agenda),
        )
        self.switches = SwitchEvents(
            *(fabric, stations, lifecycle, components.ledger, components.wanted, bringup, components.recovery),
            *(comparisons, self.links, self.ports, requests, self.snooper, components.floods),
            *(tokens, effects, agenda),
        )
        retreat, proving = partial(self.switches.down, channel=False), lifecycle.installer.gate_meters.to_prove
        self.fencing = Fencing(life, retreat, tokens, effects, agenda, proving)
        self.balancers = BalancerEvents(components.pools, lifecycle.up, tokens, effects)
        self.store = StoreEvents(components.types, lifecycle, requests, tokens, effects, agenda)
        self.timers = Timers(
            *(agenda, self.switches, self.fencing, comparisons, self.links, self.ports, self.store, requests),
            *(self.snooper, lifecycle, components.in_flight, components.copies, bringup, self.probes, effects),
            statistics_interval,
        )
        self.express = Express(registry, stations, bringup, self.links, requests, lifecycle, alone)
        components.send = self.ports.answer

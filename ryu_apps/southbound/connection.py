"""A connection of Ryu to a switch, and the driver that it has while it serves the switch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from ryu.base.app_manager import lookup_service_brick
from ryu.controller import ofp_event
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.event import Event
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound.channel import Channel
from ryu_apps.southbound.complaints import complaints
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.piece import PieceCache
from ryu_apps.southbound.watch import Alien, changes_groups_or_meters

LOG = logging.getLogger(__name__)

#: Why a change is rejected that could be sent.
ASIDE = "this controller is not MASTER of the switch"
_MAX_XID = 0xFFFFFFFF


class Connection:
    """A datapath of Ryu, and its driver.

    Attributes:
        serves: the switch has granted the role that lets it be changed.
        profile: of the switch, when it connected.
    """

    def __init__(self, datapath: Any, emit: Callable[[Event], None], cache: PieceCache, profile: Profile) -> None:
        self.datapath = datapath
        self.channel: Channel = datapath.socket
        self.profile = profile
        self._made = partial(SwitchDriver, datapath.id, self.channel.write, self._reserve, emit, cache, profile)
        self.driver = self._made()
        self.serves = False
        self._ryu = lookup_service_brick(ofp_event.NAME)

    def _reserve(self, count: int) -> range:
        # From the counter from which Ryu and other apps take theirs; never 0, which is the switch's own.
        first = self.datapath.xid + 1
        if first + count > _MAX_XID:
            first = 1
        self.datapath.xid = first + count - 1
        return range(first, first + count)

    def serve(self, proof: bool) -> None:
        """Ask the switch what it is and has; ``proof``: and have it prove first that gates may open by meters."""
        self.serves = True
        self.driver.query_features(proof)

    def stand_aside(self) -> None:
        """Reject what is open, and begin anew with a driver that takes no frames."""
        self.serves = False
        before = self.driver
        self.driver = self._made(watched=before.watched)
        before.close(ASIDE)

    def receive(self, octets: bytes) -> bool:
        """Offer a message to the driver; a packet-in goes on to Ryu only if another app wants it."""
        try:
            ours = self.driver.receive(octets)
        except Exception as error:
            LOG.debug("switch %016x: cannot deal with %s", self.driver.dpid, octets.hex(), exc_info=True)
            what = f"cannot deal with a message of type {octets[1]} and {len(octets)} octets"
            complaints(self.datapath).add(f"switch {self.driver.dpid:016x}", f"{what}: {type(error).__name__} {error}")
            return False
        if octets[1] == ofp.OFPT_PACKET_IN:
            return not self._ryu.observers.get(ofp_event.EventOFPPacketIn)
        return ours

    def overhear(self, octets: bytes) -> None:
        """Note a change by another app of this process: the switch does not report it on a shared connection."""
        if changes_groups_or_meters(octets):
            self.driver.alter(Alien.OURS)
            self.channel.flush()

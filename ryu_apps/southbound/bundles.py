"""Bundles that are encoded before they are sent: only transaction ids and the bundle's id are still to be filled in.

A bundle is committed (:class:`ryu_apps.southbound.changes.BundleJob`), or discarded when the switch has checked
messages of shapes that it has not taken before.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import replace

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import XID_OFFSET, barrier, bundle_add, bundle_control
from ryu_apps.southbound.piece import KnownObjects, QueuedMessage, other_messages
from ryu_apps.southbound.shape import Shape, shape

#: Bundles that a driver keeps for changes that may come.
ROOM = 256

_ID = struct.Struct("!I")
#: Offset of the bundle's id in control and add messages, and of the message in an add message.
_BUNDLE_OFFSET, _INNER_OFFSET = 16, 24


class Bundle:
    """Encoded messages of a bundle.

    Attributes:
        messages: each with its subject.
        shapes: theirs, of those that have one.
        checked: every one has a shape.
    """

    def __init__(self, messages: tuple[QueuedMessage, ...]) -> None:
        self.messages = messages
        shapes = set(map(shape, messages))
        self.checked = None not in shapes
        self.shapes: frozenset[Shape] = frozenset(known for known in shapes if known is not None)
        parts = [bundle_control(0, ofp.ONF_BCT_OPEN_REQUEST, 0)]
        parts += [bundle_add(0, octets, 0) for octets, _subject in messages]
        self._octets = b"".join(parts)
        self._starts: list[int] = []
        at = 0
        for part in parts:
            self._starts.append(at)
            at += len(part)

    def __len__(self) -> int:
        return len(self.messages)

    def numbered(self, opening: int, first: int, bundle_id: int) -> bytearray:
        """The opening and the messages, with the transaction ids ``opening``, ``first``, ``first + 1`` and so on."""
        octets = bytearray(self._octets)
        for number, start in enumerate(self._starts):
            xid = first + number - 1 if number else opening
            _ID.pack_into(octets, start + XID_OFFSET, xid)
            _ID.pack_into(octets, start + _BUNDLE_OFFSET, bundle_id)
            if number:
                # Both carry the same transaction id, as the extension demands.
                _ID.pack_into(octets, start + _INNER_OFFSET + XID_OFFSET, xid)
        return octets


class PreparedBundles:
    """Bundles of changes that may come, by the change itself; the oldest make room for new ones."""

    def __init__(self) -> None:
        self._by_change: OrderedDict[int, tuple[RuleChange, Bundle]] = OrderedDict()

    def prepare(self, change: RuleChange) -> Bundle | None:
        """Encode a change and keep its bundle; None: what it needs depends on the switch's state."""
        # Meters are not part of the bundle.
        bundled = RuleChange(groups=change.groups, add=change.add, remove=change.remove)
        if replace(change, meters=(), opened=()) != bundled or not bundled:
            return None
        # A switch with extensions adds or replaces a group by the same message.
        bundle = Bundle(tuple(other_messages(bundled, KnownObjects())))
        # With the change: so no other one has its identity meanwhile.
        self._by_change[id(change)] = change, bundle
        if len(self._by_change) > ROOM:
            self._by_change.popitem(last=False)
        return bundle

    def take(self, change: RuleChange) -> Bundle | None:
        """Remove and return the bundle of this very change; None: it is not prepared."""
        prepared = self._by_change.pop(id(change), None)
        return None if prepared is None else prepared[1]


class RehearsalJob(Job):
    """A bundle that is discarded: the switch checks shapes of messages, which saves a later bundle a round trip.

    Args:
        accepted: shapes that the switch is known to take; kept up.
    """

    def __init__(self, wire: Transport, dpid: int, bundle: Bundle, accepted: set[Shape]) -> None:
        super().__init__(wire, dpid, token=0)
        self._bundle = bundle
        self._accepted = accepted
        self._discard = 0
        self._taken = True

    def send(self) -> None:
        xids = self.wire.reserve(len(self._bundle) + 3)
        opening, check, self._discard = xids[-3:]
        self.wire.launch(SentRequest(self, xids, self._bundle.messages))
        octets = self._bundle.numbered(opening, xids.start, self._discard)
        self.wire.send(octets + barrier(check))

    def interim(self, xid: int, octets: bytes) -> None:
        if octets[1] == ofp.OFPT_BARRIER_REPLY:
            self.all_sent = True
            self.wire.send(bundle_control(self._discard, ofp.ONF_BCT_DISCARD_REQUEST, self._discard))

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        if self._taken:
            self._accepted |= self._bundle.shapes
        self._end()

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        # The change itself will be refused, if it is asked for; this bundle changes nothing.
        self._taken = False
        if xid == flight.xids[-1]:
            self._end()

    def _end(self) -> None:
        self.outcome = self.outcome or Confirmed(self.dpid, self.token)

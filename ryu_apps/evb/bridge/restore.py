"""From the records of an earlier life of the bridge back to a registry.

A record that cannot be used is left out, with a reason: its VSI comes back with the next keep-alive
of its station, exactly as if it were new, while the switches go on forwarding by the old rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import msgpack

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import VsiNotRestored
from ryu_apps.evb.event_catalogue.vsis import VsiRestored
from ryu_apps.evb.model import Binding, VsiTypeKey
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.protocol.vdp_bridge import VdpBridge
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.snooping.memory import unpack
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.conversation import Meaning
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.places import Place
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, RecordError
from ryu_apps.evb.vsi.records.keeper import MULTICAST, STATISTICS
from ryu_apps.evb.vsi.registry import Registry, Vsi
from ryu_apps.evb.vsi.treatment import treatment_of
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.vdp import ManagerId, identity_of

PlaceLookup = Callable[[PortId, str], Place | None]
FitnessCheck = Callable[[VsiType, int, tuple[Binding, ...]], str | None]

#: What divides the VSIID from the port in the subject of a record.
_AT = "@"


class TypeSource(Protocol):
    """The VSI types that can be known without a question to a VSI manager."""

    def origin(self, manager_id: ManagerId, key: VsiTypeKey) -> str:
        """Source of a manager's type: the local directory or a URL."""

    def recall(self, key: VsiTypeKey, digest: str) -> VsiType | None:
        """The type of exactly this content."""


class Restorer:
    """The registry as the records of attachments have it, from the first record to the lead.

    Attributes:
        records: those that were read, by their keys.
        left_out: keys of records that could not be used, and why.
    """

    def __init__(
        self, registry: Registry, lifecycle: Lifecycle, types: TypeSource, place: PlaceLookup, unfit: FitnessCheck
    ) -> None:
        """
        Args:
            place: VLANs of a port, or of a VSI port of its switch by name; None if it is no station port.
            unfit: reason for which the configuration has no place for a VSI of a type at a switch; None: it has.
        """
        self.records: dict[str, bytes] = {}
        self.left_out: dict[str, str] = {}
        self._registry = registry
        self._lifecycle = lifecycle
        self._types = types
        self._place = place
        self._unfit = unfit
        self._keys: dict[str, set[str]] = {}
        self._restored: dict[str, VsiRestored] = {}

    def follow(self, changes: Mapping[str, bytes | None], now: float) -> Iterator[LogEvent]:
        """Restore new records, and anew each VSI of which a record has changed or gone.

        All VSIs that have changed are taken out before the first one is restored: they may have exchanged what each of
        them has alone.

        Yields:
            One event a record, restored or left out.
        """
        vsis = dict.fromkeys(_vsi_of(key) for key in changes)
        for text in vsis:
            self._retire(text)
        for key, record in changes.items():
            if record is None:
                self.records.pop(key, None)
                self._keys.get(_vsi_of(key), set()).discard(key)
            else:
                self.records[key] = record
                self._keys.setdefault(_vsi_of(key), set()).add(key)
        wanted = {key for text in vsis for key in self._keys.get(text, ())}
        for text in vsis:
            if not self._keys.get(text):
                self._keys.pop(text, None)
        yield from self._restore(sorted(wanted), now)

    def _restore(self, keys: Iterable[str], now: float) -> Iterator[LogEvent]:
        for key in keys:
            self.left_out.pop(key, None)
            try:
                record = AttachmentRecord.decode(self.records[key])
                _restore(record, self._registry, self._lifecycle, self._types, self._place, self._unfit, now)
            except RecordError as error:
                self.left_out[key] = str(error)
                yield VsiNotRestored(key, str(error))
            else:
                event = self._restored[key] = VsiRestored(record.port, str(record.newest.vsi_id), record.mode)
                yield event

    def _retire(self, text: str) -> None:
        for key in self._keys.get(text, ()):
            self.left_out.pop(key, None)
            self._restored.pop(key, None)
        vsi = self._registry.named(text)
        for attachment in list(vsi.attachments.values()) if vsi is not None else ():
            self._lifecycle.retire(attachment)
            self._registry.forget(attachment)

    def begin(self, now: float) -> Iterator[LogEvent]:
        """Restore what was left out, if that is possible now, and begin the times of all: until now they stood still.

        Yields:
            One event a record, restored or left out.
        """
        left_out = [event for event in self._restore(sorted(self.left_out), now) if isinstance(event, VsiNotRestored)]
        for attachment in self._registry.attachments():
            attachment.since = now
            attachment.machine.restart_keep_alive(now)
        for vsi in self._registry:
            for membership in vsi.listener.memberships.values():
                membership.heard = now
        yield from left_out
        yield from self._restored.values()


def _vsi_of(key: str) -> str:
    return ATTACHMENT.subject_of(key).rpartition(_AT)[0]


def _restore(
    record: AttachmentRecord,
    registry: Registry,
    lifecycle: Lifecycle,
    types: TypeSource,
    place: PlaceLookup,
    unfit: FitnessCheck,
    now: float,
) -> None:
    found = place(record.port, record.vsi_port)
    if found is None:
        raise RecordError(f"{record.port} is no station port any more")
    if (found.interface.role is Role.VSI) is not bool(record.vsi_port) or found.interface.is_local:
        raise RecordError(f"{record.port} is configured otherwise than it was, or VSI port {record.vsi_port!r}")
    placed = found.placed(_answered(record, found))
    if isinstance(placed, str):
        raise RecordError(placed)
    if record.owner and record.program is not None and placed.bindings != record.program.binding.bindings:
        raise RecordError("its VLANs are not what they were")
    vsi_type = _type(record, types)
    if vsi_type is not None and (reason := unfit(vsi_type, record.port.dpid, placed.bindings)):
        raise RecordError(reason)
    if record.program is not None and record.program.binding.vsi_index in lifecycle.installer.indices:
        raise RecordError(f"index {record.program.binding.vsi_index} stands for another program")
    machine = VdpBridge.resumed(Operational(*record.operational), record.mode, now)
    attachment = registry.attach(record.newest.vsi_id, record.port, record.manager_id, machine, now)
    conversation = attachment.conversation
    conversation.newest = conversation.requests[record.mode] = record.newest
    conversation.told, conversation.inherited = record.told, record.inherited
    conversation.name, conversation.left, conversation.announced = record.name, record.left, record.announced
    conversation.filled = placed.filled
    attachment.silent = conversation.suspended = record.silent
    conversation.port_name = record.port_name
    treatment = treatment_of(found.interface, record.manager_id, record.newest, vsi_type)
    conversation.keeps_null_vids = treatment.keep_null_vids
    key = VsiTypeKey(record.newest.type_id, record.newest.version)
    identity = identity_of(record.manager_id, record.newest)
    origin = types.origin(record.manager_id, key)
    first = record.newest.filter_info
    conversation.asked = Meaning(origin, key, first, conversation.claimed, identity, record.port_name)
    conversation.stand()
    registry.hold(attachment, placed.bindings, conversation.claimed, placed.priorities, record.vsi_port)
    _restore_groups(record, attachment.vsi, now)
    if record.services or attachment.vsi.brought:
        _restore_totals(record, attachment.vsi)
    if record.program is not None and vsi_type is not None:
        lifecycle.resume(attachment, record.program, vsi_type, record.owner)


def _answered(record: AttachmentRecord, place: Place) -> FilterInfo:
    """Return the filter that the station has been answered; records of earlier versions do not have it."""
    asked = record.newest.filter_info
    if record.filled is not None or all(entry.vid for entry in asked.entries):
        return record.filled or asked
    native = place.interface.native_vlan or next(iter(place.interface.tagged_vlans), 0)
    return replace(asked, entries=tuple(entry if entry.vid else entry.with_vid(native) for entry in asked.entries))


def _restore_groups(record: AttachmentRecord, vsi: Vsi, now: float) -> None:
    """Restore the memberships of a VSI from the record of its owner or, without an owner, of a staged port."""
    octets = record.services.get(MULTICAST)
    if record.owner:
        vsi.listener.memberships.clear()
    if octets is None or vsi.owner is not None or vsi.listener.memberships:
        return
    try:
        unpack(vsi.listener, octets, now)
    except (ValueError, TypeError, msgpack.UnpackException):
        # The VSI is restored all the same; a querier asks for its memberships.
        vsi.listener.memberships.clear()


def _restore_totals(record: AttachmentRecord, vsi: Vsi) -> None:
    """Restore totals that an NMS has brought; behind an open gate those of a reservation are in an account."""
    octets = record.services.get(STATISTICS, b"")
    if record.owner or (octets and vsi.owner is None):
        vsi.brought = octets


def _type(record: AttachmentRecord, types: TypeSource) -> VsiType | None:
    if record.program is None:
        return None
    vsi_type = types.recall(record.program.key, record.program.digest)
    if vsi_type is None:
        raise RecordError(f"VSI type {record.program.key} is not what it was")
    return vsi_type

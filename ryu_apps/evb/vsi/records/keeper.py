"""Records of granted attachments: the changes that write and delete them, and what is to be written again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.record_kinds import ATTACHMENT, at_port
from ryu_apps.evb.snooping.memory import pack
from ryu_apps.evb.vsi.conversation import Standing
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, ProgramRecord
from ryu_apps.evb.vsi.records.opening import OpeningMarks, encode, mark_key
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.wire.vdp import VdpMode

#: The service whose state is the group memberships of a VSI.
MULTICAST = "multicast"
#: The service whose state is the totals that an NMS has brought, and no account has yet.
STATISTICS = "statistics"

Pages = Callable[[Vsi], tuple[int | None, ...]]
RecordChanges = dict[str, bytes | None]
Documents = Callable[[Attachment], RecordChanges]


def record_key(attachment: Attachment) -> str:
    """Key of the record of an attachment."""
    return ATTACHMENT.key(at_port(attachment.text, attachment.port))


class RecordKeeper:
    """Builder of the changes of the store from the state in force.

    Args:
        pages: the flood pages of a VSI's gate.
        documents: further records that the record of an attachment refers to, and that the store does not have.

    Attributes:
        marks: gates that are being opened, as far as the store has to know.
    """

    def __init__(self, pages: Pages, documents: Documents) -> None:
        self.marks = OpeningMarks()
        self._pages = pages
        self._documents = documents
        self._undeleted: set[str] = set()
        self._outdated: dict[str, Attachment] = {}

    def grant(self, granted: Mapping[Attachment, VdpMode]) -> RecordChanges:
        """Return the changes that write what some attachments are granted: the newest request of each, in a mode."""
        changes: RecordChanges = {}
        for attachment, mode in granted.items():
            conversation, program = attachment.conversation, attachment.holding.program
            announced = mode is not VdpMode.ASSOCIATE and conversation.announced
            record = self._record(attachment, mode, conversation.asking, program, announced)
            changes.update(self._written(attachment, record))
        return changes

    def keep(self, attachments: Iterable[Attachment], voided: Collection[Attachment] = ()) -> RecordChanges:
        """Return the changes that write what is in force at some attachments; of those without, the record is deleted.

        A grant that the store has, or is about to have, counts as in force.

        Args:
            voided: attachments whose announcements do not count any more.
        """
        changes: RecordChanges = {}
        for former in attachments:
            # The port may have the VSI anew.
            attachment = former.vsi.attachments.get(former.port, former)
            vsi, conversation, machine = attachment.vsi, attachment.conversation, attachment.machine
            mode = machine.in_force
            recorded = attachment.holding.recorded
            if recorded is not None and machine.wanted is not None and machine.awaits(recorded):
                changes.update(self.grant({attachment: machine.wanted}))
                continue
            if mode is None:
                changes[record_key(attachment)] = None
                self._outdated.pop(record_key(attachment), None)
                continue
            # A request that is not decided yet is not in force, nor is its program.
            standing = conversation.asking if machine.wanted is None else conversation.granted
            program = vsi.gate_program if vsi.owner is attachment else attachment.holding.program
            announced = mode is not VdpMode.ASSOCIATE and conversation.announced and attachment not in voided
            record = self._record(attachment, mode, standing, program, announced)
            changes.update(self._written(attachment, record))
        return changes

    def mark(self, attachment: Attachment, former: Iterable[Attachment]) -> RecordChanges:
        """Return the change that marks the gate of an attachment as being opened; ``former``: who had it before."""
        key = mark_key(attachment)
        self.marks.put(key)
        self._undeleted.discard(key)
        return {key: encode(other.port for other in former)}

    def drop(self, keys: frozenset[str]) -> RecordChanges:
        """Return the changes that delete some records."""
        for key in keys:
            self._outdated.pop(key, None)
        return dict.fromkeys(keys)

    def keys(self, attachment: Attachment) -> frozenset[str]:
        """Return the keys of all that the store may have of an attachment."""
        key = mark_key(attachment)
        return frozenset((record_key(attachment), key) if self.marks.forget(key) else (record_key(attachment),))

    def not_dropped(self, keys: frozenset[str]) -> None:
        """Record that the store has failed to delete these; a mark that was written anew since is not to go."""
        self._undeleted |= {key for key in keys if not self.marks.has(key)}

    def not_kept(self, attachments: Iterable[Attachment]) -> None:
        """Record that the store has failed to write what is in force at these."""
        self._outdated.update((record_key(attachment), attachment) for attachment in attachments)

    def kept(self, attachment: Attachment) -> None:
        """Record that the store has what is in force at an attachment."""
        self._outdated.pop(record_key(attachment), None)

    def take_undeleted(self) -> frozenset[str]:
        """Return and clear the keys that still have to be deleted; the caller tries again."""
        keys, self._undeleted = frozenset(self._undeleted), set()
        return keys

    def take_outdated(self) -> tuple[Attachment, ...]:
        """Return and clear the attachments whose records have to be written again; the caller tries again."""
        attachments, self._outdated = tuple(self._outdated.values()), {}
        return attachments

    def outdated(self, vsi: Vsi) -> tuple[Attachment, ...]:
        """Return the attachments of a VSI whose records have to be written again."""
        return tuple(attachment for attachment in self._outdated.values() if attachment.vsi is vsi)

    def _written(self, attachment: Attachment, record: AttachmentRecord) -> RecordChanges:
        key = record_key(attachment)
        self._undeleted.discard(key)
        self._outdated.pop(key, None)
        return {key: record.encode(), **self._documents(attachment)}

    def _record(
        self, attachment: Attachment, mode: VdpMode, standing: Standing, program: Installation | None, announced: bool
    ) -> AttachmentRecord:
        vsi, conversation = attachment.vsi, attachment.conversation
        assert standing.newest is not None
        return AttachmentRecord(
            port=attachment.port,
            mode=mode,
            manager_id=standing.manager_id,
            newest=standing.newest,
            told=standing.told,
            inherited=conversation.inherited,
            name=conversation.name,
            # A Pre-Associate shuts the gate when it is granted, which is when this is written.
            owner=mode is VdpMode.ASSOCIATE and vsi.owner is attachment,
            left=mode is VdpMode.ASSOCIATE and vsi.owner is not attachment,
            program=None if program is None else self._program(vsi, program),
            operational=_numbers(attachment.machine.operational),
            services=_services(vsi),
            announced=announced,
            filled=standing.filled,
            silent=attachment.silent,
            port_name=standing.port_name,
            vsi_port=attachment.vsi_port if program is None else program.binding.vsi_port,
        )

    def _program(self, vsi: Vsi, program: Installation) -> ProgramRecord:
        pages = self._pages(vsi) if vsi.gate_program is program else ()
        return ProgramRecord(program.vsi_type.key, program.vsi_type.digest, program.epoch, program.binding, pages)


def _services(vsi: Vsi) -> dict[str, bytes]:
    found = {MULTICAST: pack(vsi.listener)} if vsi.listener.memberships else {}
    return {**found, STATISTICS: vsi.brought} if vsi.brought else found


def _numbers(timers: Operational) -> tuple[int, int, int, int]:
    return timers.r, timers.rte, timers.rwd, timers.rka

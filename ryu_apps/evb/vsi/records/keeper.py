"""Records of granted attachments: the changes that write and delete them, and deletions to repeat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.snooping.memory import pack
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, ProgramRecord
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
    return ATTACHMENT.key(f"{attachment.text}@{attachment.port}")


class RecordKeeper:
    """Builder of the changes of the store from the state in force.

    Args:
        pages: the flood pages of a VSI's gate.
        documents: further records that the record of an attachment refers to, and that the store does not have.
    """

    def __init__(self, pages: Pages, documents: Documents) -> None:
        self._pages = pages
        self._documents = documents
        self._undeleted: set[str] = set()

    def grant(self, granted: Mapping[Attachment, VdpMode | None]) -> RecordChanges:
        """Return the changes that write the mode in force of some attachments; a mode of None deletes."""
        changes: RecordChanges = {}
        for attachment, mode in granted.items():
            key = record_key(attachment)
            changes[key] = None if mode is None else self._record(attachment, mode).encode()
            if mode is not None:
                changes.update(self._documents(attachment))
            self._undeleted.discard(key)
        return changes

    def drop(self, keys: frozenset[str]) -> RecordChanges:
        """Return the changes that delete some records."""
        return dict.fromkeys(keys)

    def not_dropped(self, keys: frozenset[str]) -> None:
        """Record that the store has failed to delete these."""
        self._undeleted |= keys

    def take_undeleted(self) -> frozenset[str]:
        """Return and clear the keys that still have to be deleted; the caller tries again."""
        keys, self._undeleted = frozenset(self._undeleted), set()
        return keys

    def _record(self, attachment: Attachment, mode: VdpMode) -> AttachmentRecord:
        vsi, program, conversation = attachment.vsi, attachment.holding.program, attachment.conversation
        assert conversation.newest is not None
        return AttachmentRecord(
            port=attachment.port,
            mode=mode,
            manager_id=conversation.manager_id,
            newest=conversation.newest,
            told=conversation.told,
            inherited=conversation.inherited,
            name=conversation.name,
            # A Pre-Associate shuts the gate when it is granted, which is when this is written.
            owner=mode is VdpMode.ASSOCIATE and vsi.owner is attachment,
            left=mode is VdpMode.ASSOCIATE and vsi.owner is not attachment,
            program=None if program is None else self._program(vsi, program),
            operational=_numbers(attachment.machine.operational),
            services=_services(vsi),
            announced=mode is not VdpMode.ASSOCIATE and conversation.announced,
            filled=conversation.filled,
            silent=attachment.silent,
            port_name=conversation.port_name,
            vsi_port=attachment.vsi_port,
        )

    def _program(self, vsi: Vsi, program: Installation) -> ProgramRecord:
        pages = self._pages(vsi) if vsi.gate_program is program else ()
        return ProgramRecord(program.vsi_type.key, program.vsi_type.digest, program.epoch, program.binding, pages)


def _services(vsi: Vsi) -> dict[str, bytes]:
    found = {MULTICAST: pack(vsi.listener)} if vsi.listener.memberships else {}
    return {**found, STATISTICS: vsi.brought} if vsi.brought else found


def _numbers(timers: Operational) -> tuple[int, int, int, int]:
    return timers.r, timers.rte, timers.rwd, timers.rka

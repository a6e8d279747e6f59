"""The VSIs of a cluster as the records of its leader have them, for the answers of a standby.

A record has what was granted.  What only the leader knows is None: requests under way, deadlines, numbers of rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ryu_apps.evb.bridge.vsi_queries import (
    AttachmentStatus,
    BindingStatus,
    InstallationStatus,
    VsiPortStatus,
    VsiStatus,
)
from ryu_apps.evb.model import Binding, Phase, VsiTypeKey
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.record_kinds import ATTACHMENT, OPENING, at_port
from ryu_apps.evb.services.body import services_of
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.vsi_ports import UNNAMED
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord, ProgramRecord, RecordError


class FollowedVsis:
    """VSIs in records; the questions are those of :class:`~ryu_apps.evb.bridge.vsi_queries.VsiQueries`."""

    def __init__(
        self,
        fabric: Fabric,
        records: Mapping[str, bytes],
        recall: Callable[[VsiTypeKey, str], VsiType | None],
    ) -> None:
        """
        Args:
            records: as the leader has saved them.
            recall: returns the VSI type of a key and a digest, if it is known here.
        """
        self._fabric = fabric
        self._recall = recall
        self._groups = {vid: group for group, vid in fabric.groups.items()}
        self._records: dict[str, list[bytes]] = {}
        self._opening = {OPENING.subject_of(key) for key in records if key.startswith(OPENING.prefix)}
        for key, record in sorted(records.items()):
            if key.startswith(ATTACHMENT.prefix):
                text, _, _ = ATTACHMENT.subject_of(key).partition("@")
                self._records.setdefault(text, []).append(record)

    def all(self, after: str = "") -> Iterator[VsiStatus]:
        """Return the VSIs behind a text, in the order of their texts."""
        found = (self.named(text) for text in sorted(self._records) if text > after)
        return (vsi for vsi in found if vsi is not None)

    def named(self, text: str) -> VsiStatus | None:
        """Return the VSI of a canonical text; None: it is at no port, or this version cannot read its records."""
        records = list(self._readable(text))
        owner = next((record.port for record in records if record.owner), None)
        return VsiStatus(text, owner, tuple(map(self._attachment, records))) if records else None

    def _readable(self, text: str) -> Iterator[AttachmentRecord]:
        for octets in self._records.get(text, ()):
            try:
                yield AttachmentRecord.decode(octets)
            except RecordError:
                continue  # its VSI would not be restored here, either

    def _attachment(self, record: AttachmentRecord) -> AttachmentStatus:
        program = record.program
        opening = at_port(record.newest.vsi_id, record.port) in self._opening
        owned = Phase.ACTIVATING if opening else Phase.ACTIVE
        phase = Phase.PREASSOCIATED if program is None else owned if record.owner else Phase.STAGED
        key = VsiTypeKey(record.newest.type_id, record.newest.version) if program is None else program.key
        return AttachmentStatus(
            record.port,
            record.name,
            phase.value,
            record.mode.name.lower(),
            None,
            key,
            tuple(self._bindings(record)),
            tuple(dict.fromkeys((*record.told, *record.inherited))),
            None,
            None,
            None,
            self._installation(program, phase) if program is not None else None,
            (),
            _vsi_port(record.vsi_port),
        )

    def _bindings(self, record: AttachmentRecord) -> Iterator[BindingStatus]:
        entries = (record.filled or record.newest.filter_info).entries
        asked = dict.fromkeys(Binding(entry.vid, entry.mac) for entry in entries if entry.vid)
        for binding in record.program.binding.bindings if record.program is not None else asked:
            local_vid = self._fabric.vid_at(record.port, binding.vid)
            yield BindingStatus(binding, local_vid, self._groups.get(binding.vid), None)

    def _installation(self, program: ProgramRecord, phase: Phase) -> InstallationStatus:
        vsi_type = self._recall(program.key, program.digest)
        return InstallationStatus(
            program.key,
            program.digest,
            phase.value,
            program.epoch,
            program.binding.vsi_index,
            program.binding.generation,
            None,
            None,
            services_of(vsi_type) if vsi_type is not None else (),
            {},
            {},
        )


def _vsi_port(name: str) -> VsiPortStatus | None:
    if not name:
        return None
    return VsiPortStatus(None if name == UNNAMED else name, None)

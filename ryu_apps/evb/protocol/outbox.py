"""VDP answers waiting for an ECPDU (802.1Q 41.2): collected while the channel is busy, then packed.

One ECPDU has answers of one VSI manager only; others wait for a later ECPDU.  Packing allows hundreds of
keep-alives a second in spite of the minimum gap between ECPDUs to a station.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from ryu_apps.evb.protocol.ecp import EcpEndpoint, EcpOutput, Submit
from ryu_apps.evb.wire.tlv import END_TLV
from ryu_apps.evb.wire.vdp import Association, MalformedAssociation, ManagerId, VdpPdu, identity_of

__all__ = ["MAX_PAYLOAD", "Outbox"]

MAX_PAYLOAD = 1496
"""Octets of an ECPDU behind its header; together a full Ethernet frame."""

MAX_ANSWERS = 8192
"""Answers that wait; further ones are dropped, and a station that acknowledges so slowly repeats its requests."""

_LOOKAHEAD = 256
"""Answers considered for one ECPDU, so that packing takes a bounded time for any number of waiting answers."""

_EMPTY = len(VdpPdu(ManagerId()).encode())
"""Octets of a VDP data unit without associations."""

AssociationTlv = Association | MalformedAssociation


@dataclass(frozen=True, slots=True)
class _PendingAnswer:
    manager_id: ManagerId
    vsi: bytes
    """Format and octets of the VSIID; answers for one VSI keep their order."""
    tlv: AssociationTlv
    octets: bytes


class Outbox:
    """Answers and unsolicited De-Associates for one station that are not yet in an ECPDU."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[object, _PendingAnswer] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def add(self, manager_id: ManagerId, answer: AssociationTlv) -> None:
        """Append an answer or an unsolicited De-Associate.

        It replaces a waiting one of the same kind for the same VSI.  With ``MAX_ANSWERS`` waiting it is dropped.
        """
        vsi, kind = _addressee(answer)
        key = (manager_id, vsi, kind)
        # Removed, not overwritten: the new answer is last in order.
        self._pending.pop(key, None)
        if len(self._pending) >= MAX_ANSWERS:
            return
        self._pending[key] = _PendingAnswer(manager_id, vsi, answer, answer.encode())

    def cancel(self, manager_id: ManagerId, asked: Association) -> None:
        """Remove the unsolicited De-Associate that waits for a VSI, as that of the identity of a request."""
        if not self._pending:
            return
        key = (manager_id, *_addressee(asked.unsolicited_deassociate()))
        waiting = self._pending.get(key)
        notice = waiting.tlv if waiting is not None else None
        if isinstance(notice, Association) and identity_of(manager_id, notice) == identity_of(manager_id, asked):
            del self._pending[key]

    def clear(self) -> list[tuple[ManagerId, AssociationTlv]]:
        """Remove all answers and return them."""
        pending, self._pending = self._pending, {}
        return [(answer.manager_id, answer.tlv) for answer in pending.values()]

    def pop(self) -> bytes:
        """Remove the payload of the next ECPDU: the oldest answer and all later ones that fit with it.

        Raises:
            IndexError: no answer is waiting.
        """
        chosen = self._choose()
        pending = [self._pending.pop(key) for key in chosen]
        return b"".join([pending[0].manager_id.encode(), *[answer.octets for answer in pending], END_TLV])

    def flush(self, endpoint: EcpEndpoint, now: float) -> list[EcpOutput]:
        """Submit the next payload if an answer waits and the endpoint can send at once; call after every feed."""
        if not self._pending or not endpoint.ready:
            return []
        return endpoint.feed(Submit(self.pop()), now)

    def _choose(self) -> list[object]:
        if not self._pending:
            raise IndexError("the outbox is empty")
        manager_id = next(iter(self._pending.values())).manager_id
        room = MAX_PAYLOAD - _EMPTY
        chosen: list[object] = []
        overtaken: set[bytes] = set()
        for key, answer in islice(self._pending.items(), _LOOKAHEAD):
            if answer.manager_id != manager_id or len(answer.octets) > room or answer.vsi in overtaken:
                overtaken.add(answer.vsi)
                continue
            chosen.append(key)
            room -= len(answer.octets)
        return chosen


def _addressee(answer: AssociationTlv) -> tuple[bytes, object]:
    """The VSI of an answer, and the key by which its answers replace each other."""
    if isinstance(answer, MalformedAssociation):
        # Only VSIID format and VSIID are used: the other octets may be invalid.
        return answer.octets[5:22], (answer.mode, answer.octets)
    vsi = bytes((answer.vsi_id.format,)) + answer.vsi_id.octets
    return vsi, (answer.MODE, answer.type_id, answer.version, answer.is_response)

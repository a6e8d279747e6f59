"""VDP answers on their way into ECPDUs (802.1Q 41.2): collected while the channel is busy, then packed.

One ECPDU carries answers of one VSI manager only, so what cannot travel together waits its turn.
Packing is what keeps hundreds of keep-alives a second possible although ECPDUs to a station keep
their distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from ryu_apps.evb.protocol.ecp import EcpEndpoint, EcpOutput, Submit
from ryu_apps.evb.wire.vdp import Association, MalformedAssociation, ManagerId, VdpPdu

__all__ = ["MAX_PAYLOAD", "Outbox"]

MAX_PAYLOAD = 1496
"""Octets of an ECPDU behind its header; with it a full Ethernet frame."""

MAX_LETTERS = 8192
"""Answers that wait; who acknowledges so slowly has to ask again."""

_IN_SIGHT = 256
"""Answers that are looked at for one ECPDU, so that packing one costs the same however many wait."""

AssociationTlv = Association | MalformedAssociation


@dataclass(frozen=True, slots=True)
class _Letter:
    manager_id: ManagerId
    vsi: bytes
    """Which VSI; the answers for one keep their order."""
    answer: AssociationTlv
    size: int


class Outbox:
    """Answers and announcements for one station that no ECPDU carries yet."""

    __slots__ = ("_letters",)

    def __init__(self) -> None:
        self._letters: dict[object, _Letter] = {}

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, manager_id: ManagerId, answer: AssociationTlv) -> None:
        """Put an answer (or an unsolicited De-Associate) behind the others.

        It replaces one of the same kind for the same VSI that has not left yet.  With ``MAX_LETTERS``
        waiting it is dropped.
        """
        vsi, kind = _addressee(answer)
        key = (manager_id, vsi, kind)
        # Removed, not overwritten: it belongs behind what was added since.
        self._letters.pop(key, None)
        if len(self._letters) >= MAX_LETTERS:
            return
        self._letters[key] = _Letter(manager_id, vsi, answer, len(answer.encode()))

    def clear(self) -> list[tuple[ManagerId, AssociationTlv]]:
        """Take out everything: what will not be sent."""
        letters, self._letters = self._letters, {}
        return [(letter.manager_id, letter.answer) for letter in letters.values()]

    def pop(self) -> bytes:
        """Take out the payload of the next ECPDU: the longest waiting answer and all that can go with it.

        Raises:
            IndexError: there is none.
        """
        chosen = self._choose()
        letters = [self._letters.pop(key) for key in chosen]
        return VdpPdu(letters[0].manager_id, tuple(letter.answer for letter in letters)).encode()

    def flush(self, endpoint: EcpEndpoint, now: float) -> list[EcpOutput]:
        """Submit the next payload if there is one and it would leave at once; call behind every feed."""
        if not self._letters or not endpoint.ready:
            return []
        return endpoint.feed(Submit(self.pop()), now)

    def _choose(self) -> list[object]:
        if not self._letters:
            raise IndexError("the outbox is empty")
        manager_id = next(iter(self._letters.values())).manager_id
        room = MAX_PAYLOAD - len(VdpPdu(manager_id).encode())
        chosen: list[object] = []
        overtaken: set[bytes] = set()
        for key, letter in islice(self._letters.items(), _IN_SIGHT):
            if letter.manager_id != manager_id or letter.size > room or letter.vsi in overtaken:
                overtaken.add(letter.vsi)
                continue
            chosen.append(key)
            room -= letter.size
        return chosen


def _addressee(answer: AssociationTlv) -> tuple[bytes, object]:
    """The VSI an answer is for, and which of its answers replace each other."""
    if isinstance(answer, MalformedAssociation):
        # VSIID format and VSIID; the rest of the octets cannot be trusted to mean anything.
        return answer.octets[5:22], (answer.mode, answer.octets)
    vsi = bytes((answer.vsi_id.format,)) + answer.vsi_id.octets
    return vsi, (answer.MODE, answer.type_id, answer.version, answer.is_response)

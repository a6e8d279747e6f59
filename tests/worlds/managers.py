"""A bridge with VSI managers, one of them over HTTP; its types are a dictionary."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.events.effect import FetchType
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.offer import HttpSource, NotFound, NotModified, Offer, Unreachable, Validators, read_offer
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.vsi_types.managers import Here, VsiManagers
from ryu_apps.evb.wire.manager_text import manager_from_text
from tests.worlds.bridge import Vm
from tests.worlds.rest import RestWorld

REMOTE, OTHER, ELSEWHERE = manager_from_text("mgr1"), manager_from_text("mgr2"), manager_from_text("mgr3")
SOURCE = HttpSource("http://manager.example/types/", timeout=30.0, lifetime=300.0)
TYPE = VsiTypeKey(70, 1)
URL = SOURCE.of(TYPE)
VM, SECOND = Vm(7, TYPE), Vm(8, TYPE)


def policy(key: VsiTypeKey = TYPE, port: int = 80) -> bytes:
    """Text of a small policy."""
    return (
        f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: remote}}\n"
        f"to_vm:\n  rules:\n    - rule: {{tcp_dst: {port}, actions: {{allow: 1}}}}\n"
        "from_vm: {default: allow}\n"
    ).encode()


def offered(key: VsiTypeKey = TYPE, port: int = 80, etag: str | None = '"1"') -> Offer:
    """Offer of a manager that has the type."""
    return read_offer(SOURCE.of(key), key, policy(key, port), Validators(etag), SECTIONS)


@dataclass
class ManagersWorld(RestWorld):
    """A bridge with VSI managers.

    Attributes:
        types: policies of the manager; it answers when :meth:`serve` is called.
        away: the manager cannot be reached.
        asked: number of fetches answered.
    """

    managers: VsiManagers = VsiManagers({REMOTE: SOURCE, OTHER: Here.LOCAL, ELSEWHERE: Here.REFUSED})
    types: dict[VsiTypeKey, bytes] = field(default_factory=lambda: {TYPE: policy()})
    away: bool = False
    asked: int = 0

    def serve(self) -> None:
        """Answer all pending fetches."""
        while self.fetching:
            self.asked += 1
            self.answer_fetch(self._answer(self.fetching[0]))

    def _answer(self, wanted: FetchType) -> Offer:
        if self.away:
            return Unreachable("connection refused")
        data = self.types.get(wanted.key)
        if data is None:
            return NotFound()
        etag = f'"{hash(data)}"'
        if wanted.known is not None and wanted.known.etag == etag:
            return NotModified()
        return read_offer(wanted.source.of(wanted.key), wanted.key, data, Validators(etag), SECTIONS)

    def count(self, outcome: str) -> int:
        """Return the number of fetches with an outcome."""
        return self.engine.types.fetches[SOURCE.url, outcome]

    def kinds(self, prefix: str = "vsitype.") -> list[str]:
        """Return the kinds of events about types."""
        return [event.kind for event in self.happened if event.kind.startswith(prefix)]

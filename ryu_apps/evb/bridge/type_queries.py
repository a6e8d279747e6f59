"""Questions about the VSI types of a running bridge: their origins, their users, and their rules in the switches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.vsi.bodies import TypeBody
from ryu_apps.evb.vsi_types.cache import Cached
from ryu_apps.evb.vsi_types.database import LOCAL
from ryu_apps.evb.wire.vdp import ManagerId

#: Origin and key of a type: at each VSI manager one key may mean another type.
_TypeName = tuple[str, VsiTypeKey]


class TypeBodyStatus(NamedTuple):
    """Rules that VSIs of a type share in one switch.

    Attributes:
        rules, users: number of rules, and of programs that need them.
        confirmed: the switch has them.
    """

    dpid: int
    epoch: int
    rules: int
    users: int
    confirmed: bool


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """One VSI type.

    Attributes:
        origin: its URL; None: the local directory.
        managers: the VSI managers of the configuration that have it there.
        checked, valid_until: time of the manager's last confirmation, and end of its validity, monotonic seconds.
        refused: reason why the manager's present version cannot replace it; None: it can, or it is the same.
        users: canonical texts of the VSIs that are granted it, request it, or still have rules of it.
        bodies: its rules in the switches.
    """

    vsi_type: VsiType
    origin: str | None
    managers: tuple[ManagerId, ...]
    checked: float | None
    valid_until: float | None
    refused: str | None
    users: tuple[str, ...]
    bodies: tuple[TypeBodyStatus, ...]

    def stale(self, now: float) -> bool:
        """True if its manager may have another version by now."""
        expired = self.valid_until is None or now >= self.valid_until
        return self.origin is not None and (self.refused is not None or expired)


class TypeQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[TypeStatus]:
        """Return the types of the local directory, and those that VSI managers have sent; by key and origin."""
        types = self._engine.types
        known = [*types.local.types.values(), *(cached.vsi_type for cached in types.cache)]
        users = self._users()
        return [
            self._status(vsi_type, users)
            for vsi_type in sorted(known, key=lambda vsi_type: (vsi_type.key, vsi_type.file))
        ]

    def find(self, key: VsiTypeKey, manager: ManagerId | None = None) -> TypeStatus | None:
        """Return the type of a manager; ``manager`` None: of the local directory or else of any VSI manager."""
        found = self._find(key, manager)
        return None if found is None else self._status(found, self._users())

    def local(self) -> dict[VsiTypeKey, VsiType]:
        """Return the types of the local directory."""
        return dict(self._engine.policies.types)

    def _find(self, key: VsiTypeKey, manager: ManagerId | None) -> VsiType | None:
        types = self._engine.types
        fetched = [cached for cached in types.cache if cached.vsi_type.key == key]
        if manager is None:
            return types.local.types.get(key) or next((cached.vsi_type for cached in fetched), None)
        origin = types.origin(manager, key)
        if origin == LOCAL:
            return types.local.types.get(key)
        return next((cached.vsi_type for cached in fetched if cached.url == origin), None)

    def _status(self, vsi_type: VsiType, users: dict[_TypeName, tuple[str, ...]]) -> TypeStatus:
        types = self._engine.types
        name = origin, key = types.origin_of(vsi_type), vsi_type.key
        cached = next((cached for cached in types.cache if cached.url == origin), None)
        listed = tuple(manager for manager in types.managers.listed if types.origin(manager, key) == origin)
        return TypeStatus(
            vsi_type,
            origin or None,
            listed if cached is not None else (),
            cached.checked if cached is not None else None,
            _valid_until(cached),
            cached.refused if cached is not None else None,
            users.get(name, ()),
            tuple(self._bodies(name)),
        )

    def _users(self) -> dict[_TypeName, tuple[str, ...]]:
        users: dict[_TypeName, dict[str, None]] = defaultdict(dict)
        for attachment in self._engine.registry.attachments():
            for used in self._engine.types.used_by(attachment):
                users[used][attachment.text] = None
        return {name: tuple(texts) for name, texts in users.items()}

    def _bodies(self, name: _TypeName) -> Iterator[TypeBodyStatus]:
        types = self._engine.types
        for body in self._engine.lifecycle.installer.bodies.values():
            used = (program.vsi_type for program in body.users)
            if any((types.origin_of(vsi_type), vsi_type.key) == name for vsi_type in used):
                yield _body(body)


def _body(body: TypeBody) -> TypeBodyStatus:
    return TypeBodyStatus(body.dpid, body.epoch, len(body.block), len(body.users), body.token is None)


def _valid_until(cached: Cached | None) -> float | None:
    if cached is None or cached.checked is None:
        return None
    return cached.checked + cached.lifetime

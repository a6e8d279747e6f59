"""What must outlive the controller about one attachment: its state in force, as a record in a store.

Written before the station is answered, never for a keep-alive.  A record says what was *granted*;
what was under way when the controller died was never answered, so it did not happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import msgpack

from ryu_apps.evb.model import Binding, VsiBinding, VsiTypeKey
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.wire.association import decode_association
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpMode

#: Version of the layout; a reader refuses what it does not know.  Version 1 had no ``services``.
SCHEMA = 2
_READABLE = (1, 2)
_TLV_HEADER = 2


class RecordError(ValueError):
    """A record cannot be read: it is damaged, or written by a newer version."""


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """The program of an attachment.

    Attributes:
        key, digest: its VSI type; another digest means that the policy has changed since.
        epoch, binding: what its rules carry.
        pages: the flood page of each binding, None where it has none.
    """

    key: VsiTypeKey
    digest: str
    epoch: int
    binding: VsiBinding
    pages: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class AttachmentRecord:
    """One VSI at one port.

    Attributes:
        mode: what is in force.
        newest: the request as the station made it.
        owner: its gate is open.
        operational: the agreed timers (r, rte, rwd, rka), by which the station will be heard again.
        services: what services keep of the VSI, by name; each knows how to read its own.
        inherited: addresses that the station before told.
        left: the VSI has moved away and the station may not know yet.
        announced: the station has sent a Pre-Associate since the VSI's present owner became its owner.
    """

    port: PortId
    mode: VdpMode
    manager_id: ManagerId
    newest: Association
    told: tuple[IPv4Address | IPv6Address, ...]
    name: str | None
    owner: bool
    left: bool
    program: ProgramRecord | None
    operational: tuple[int, int, int, int]
    services: dict[str, bytes] = field(default_factory=dict)
    announced: bool = False
    inherited: tuple[IPv4Address | IPv6Address, ...] = ()

    def encode(self) -> bytes:
        """The record as msgpack."""
        program = self.program
        fields = [
            SCHEMA,
            list(self.port),
            int(self.mode),
            self.manager_id.octets,
            int(self.newest.MODE),
            self.newest.encode()[_TLV_HEADER:],
            [str(one) for one in self.told],
            self.name,
            self.owner,
            self.left,
            None if program is None else _pack_program(program),
            list(self.operational),
            {"services": self.services, **self._more()},
        ]
        encoded = msgpack.packb(fields)
        assert isinstance(encoded, bytes)
        return encoded

    def _more(self) -> dict[str, object]:
        """What most records do not have."""
        more: dict[str, object] = {"announced": True} if self.announced else {}
        return {**more, **({"inherited": [str(one) for one in self.inherited]} if self.inherited else {})}

    @classmethod
    def decode(cls, data: bytes) -> AttachmentRecord:
        """Read a record.

        Raises:
            RecordError: damaged, or of another schema.
        """
        try:
            schema, *fields = msgpack.unpackb(data)
            if schema not in _READABLE:
                raise RecordError(f"schema {schema}, not {SCHEMA}")
            return cls._of(*fields)
        except (ValueError, TypeError, KeyError, WireError, msgpack.UnpackException) as error:
            raise RecordError(str(error)) from error

    @classmethod
    def _of(
        cls,
        port: list[int],
        mode: int,
        manager_id: bytes,
        newest_mode: int,
        newest: bytes,
        told: list[str],
        name: str | None,
        owner: bool,
        left: bool,
        program: list[Any] | None,
        operational: list[int],
        more: dict[str, Any] | None = None,
    ) -> AttachmentRecord:
        more = more or {}
        return cls(
            PortId(*port),
            VdpMode(mode),
            ManagerId(manager_id),
            decode_association(VdpMode(newest_mode), newest),
            tuple(map(ip_address, told)),
            name,
            owner,
            left,
            None if program is None else _unpack_program(program),
            (operational[0], operational[1], operational[2], operational[3]),
            dict(more.get("services", {})),
            bool(more.get("announced", False)),
            tuple(map(ip_address, more.get("inherited", ()))),
        )


def _pack_program(program: ProgramRecord) -> list[object]:
    binding = program.binding
    return [
        list(program.key),
        program.digest,
        program.epoch,
        binding.vsi_index,
        binding.generation,
        [list(one) for one in binding.bindings],
        [str(one) for one in binding.addresses],
        list(program.pages),
    ]


def _unpack_program(fields: list[Any]) -> ProgramRecord:
    key, digest, epoch, index, generation, bindings, addresses, pages = fields
    binding = VsiBinding(
        index,
        generation,
        tuple(Binding(*one) for one in bindings),
        tuple(map(ip_address, addresses)),
    )
    return ProgramRecord(VsiTypeKey(*key), digest, epoch, binding, tuple(pages))

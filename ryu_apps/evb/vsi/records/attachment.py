"""Record of one attachment in a store: the state in force, for a restart of the controller.

Written before the station is answered, never for a keep-alive.  A record holds what was *granted*; a request that was
under way when the controller ended was never answered, so its station repeats it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import msgpack

from ryu_apps.evb.model import Binding, GateMeter, VsiBinding, VsiTypeKey
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.association import decode_association
from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.filter_info import FilterInfo
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpMode

_READABLE = (1, 2)
_TLV_HEADER = 2


class RecordError(ValueError):
    """A record that cannot be read: it is damaged, or written by a newer version."""


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """The program of an attachment.

    Attributes:
        key, digest: its VSI type; with another digest, the policy has changed since.
        epoch, binding: the numbers in its rules.
        pages: the flood page of each binding, None if it has none.
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
        mode: the mode in force.
        newest: the newest request of the station.
        owner: its gate is open.
        operational: the agreed timers (r, rte, rwd, rka), which bound the time until the next keep-alive.
        services: state of services for the VSI, by name; each service decodes its own.
        inherited: addresses from the previous station.
        filled: the filter as answered; None: it is that of the request.
        silent: the station has reported that the VM does not run there.
        left: the VSI has moved away, and the station may not have acknowledged it.
        announced: the station has sent a Pre-Associate since the VSI's present owner became its owner.
        port_name: name of the VSI port that the station has given; empty: none.
        vsi_port: name of the VSI port behind which the VM is; empty: it is behind ``port``.
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
    filled: FilterInfo | None = None
    silent: bool = False
    port_name: str = ""
    vsi_port: str = ""

    def encode(self) -> bytes:
        """The record as msgpack."""
        program = self.program
        fields = [
            ATTACHMENT.schema,
            list(self.port),
            int(self.mode),
            self.manager_id.octets,
            int(self.newest.MODE),
            self.newest.encode()[_TLV_HEADER:],
            [str(address) for address in self.told],
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
        """Optional fields, which most records do not have."""
        more: dict[str, object] = {"announced": True} if self.announced else {}
        if self.silent:
            more["silent"] = True
        if self.port_name:
            more["port_name"] = self.port_name
        if self.vsi_port:
            more["vsi_port"] = self.vsi_port
        if self.inherited:
            more["inherited"] = [str(address) for address in self.inherited]
        if self.filled is not None and self.filled != self.newest.filter_info:
            more["filled"] = self.filled.encode()
        return more

    @classmethod
    def decode(cls, data: bytes) -> AttachmentRecord:
        """Read a record.

        Raises:
            RecordError: damaged, or of another schema.
        """
        try:
            schema, *fields = msgpack.unpackb(data)
            if schema not in _READABLE:
                raise RecordError(f"schema {schema}, not {ATTACHMENT.schema}")
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
            _filter_info(more["filled"]) if "filled" in more else None,
            bool(more.get("silent", False)),
            str(more.get("port_name", "")),
            str(more.get("vsi_port", "")),
        )


def _filter_info(octets: bytes) -> FilterInfo:
    with Cursor(octets) as cursor:
        return FilterInfo.decode(cursor)


def _pack_program(program: ProgramRecord) -> list[object]:
    binding = program.binding
    return [
        list(program.key),
        program.digest,
        program.epoch,
        binding.vsi_index,
        binding.generation,
        [list(pair) for pair in binding.bindings],
        [str(address) for address in binding.addresses],
        list(program.pages),
        *_pack_more(binding),
    ]


def _pack_more(binding: VsiBinding) -> list[object]:
    """Optional fields in their order; those behind the last one that is there are left out."""
    priorities = [[*pair, pcp] for pair, pcp in binding.priorities]
    meter = None if binding.gate_meter is None else list(binding.gate_meter)
    more: list[object] = [priorities, binding.vsi_port, meter]
    while more and not more[-1]:
        more.pop()
    return more


def _unpack_program(fields: list[Any]) -> ProgramRecord:
    key, digest, epoch, index, generation, bindings, addresses, pages, *more = fields
    binding = VsiBinding(
        index,
        generation,
        tuple(Binding(*pair) for pair in bindings),
        tuple(map(ip_address, addresses)),
        tuple((Binding(vid, mac), pcp) for vid, mac, pcp in (more[0] if more else ())),
        str(more[1]) if more[1:] else "",
        GateMeter(*more[2]) if more[2:] and more[2] else None,
    )
    return ProgramRecord(VsiTypeKey(*key), digest, epoch, binding, tuple(pages))

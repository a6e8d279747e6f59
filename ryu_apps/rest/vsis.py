"""The VSIs: the ports at which each is attached, and the rules that switches hold for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, NotRequired

from typing_extensions import TypedDict

from ryu_apps.evb.bridge.vsi_queries import AttachmentStatus, BindingStatus, InstallationStatus, VsiStatus
from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, Reply, RestError
from ryu_apps.rest.parameters import TypeFilter
from ryu_apps.rest.text import PortJson, port_json


class ProgramJson(TypedDict):
    """Rules of a VSI at one switch."""

    type: str
    digest: str
    phase: str
    epoch: int
    index: int
    generation: int
    rules: int | None
    waiting: int | None
    services: list[str]
    carried: dict[str, int]
    fixed_up: dict[str, int]


class BindingJson(TypedDict):
    """A VID and a MAC address of a VSI at a port."""

    vid: int
    mac: str | None
    local_vid: int | None
    group: int | None
    pcp: int | None


class VsiPortJson(TypedDict):
    """The VM's own port of a switch."""

    name: str | None
    port_no: int | None


class AttachmentJson(PortJson):
    """A VSI at one port."""

    vsi_port: VsiPortJson | None
    phase: str
    mode: str | None
    wanted: str | None
    type: str | None
    bindings: list[BindingJson]
    addresses: list[str]
    since: float | None
    age: float | None
    deadline: float | None
    deadline_for: str | None
    expires_in: float | None
    program: ProgramJson | None
    replaced: list[ProgramJson]


class VsiJson(TypedDict):
    """A VSI, the port of its gate, and all ports that it is at."""

    vsi: str
    name: str | None
    owner: str | None
    attachments: list[AttachmentJson]


class DeassociatedJson(TypedDict):
    """Ports at which a VSI was de-associated, and the switches that still have to confirm or to reconnect."""

    vsi: str
    recalled: list[str]
    gone: bool
    away: NotRequired[list[str]]


class _Filter(NamedTuple):
    """Properties that one attachment of a VSI has to have; None: any."""

    phase: str | None
    port: PortId | None
    type: TypeFilter | None
    vlan: int | None
    switch: int | None

    def selects(self, attachment: AttachmentStatus) -> bool:
        """True if it has all of them."""
        return (
            self.phase in (None, attachment.phase)
            and self.port in (None, attachment.port)
            and self.switch in (None, attachment.port.dpid)
            and (self.type is None or self.type.selects(attachment.type))
            and (self.vlan is None or any(bound.binding.vid == self.vlan for bound in attachment.bindings))
        )


def vsis(
    bridge: Bridge,
    now: float,
    phase: str | None = None,
    port: PortId | None = None,
    type: TypeFilter | None = None,
    vlan: int | None = None,
    switch: int | None = None,
    after: str = "",
) -> Iterator[VsiJson]:
    """All VSIs, or those that one port has with all of the properties; a VSI that leaves meanwhile is left out."""
    wanted = _Filter(phase, port, type, vlan, switch)
    return (
        _vsi_json(bridge, vsi, now) for vsi in bridge.vsis().all(after) if any(map(wanted.selects, vsi.attachments))
    )


def vsi(bridge: Bridge, now: float, vsi: str) -> VsiJson:
    """One VSI, by the text of its VSIID.

    Raises:
        RestError: 404, it is attached to no port.
    """
    return _vsi_json(bridge, _known(vsi, bridge.vsis().named(vsi)), now)


def deassociate(bridge: Bridge, now: float, vsi: str) -> Reply[DeassociatedJson]:
    """De-associate a VSI at every port; its stations get an unsolicited De-Associate.

    Returns:
        200 if nothing is left of it, 202 while switches still have to confirm or to reconnect; and its ports.

    Raises:
        RestError: 404, it is attached to no port, and no disconnected switch holds a rule of it.
    """
    queries = bridge.queries.vsis
    known = queries.named(vsi)
    if not queries.has_stale_rules(vsi):
        _known(vsi, known)
    recalled = (
        [str(attachment.port) for attachment in known.attachments if attachment.awaited is not None] if known else []
    )
    bridge.deliver(OperatorDeassociate(vsi))
    away = list(queries.stale_switches(vsi))
    gone = queries.named(vsi) is None and not away
    body: DeassociatedJson = {"vsi": vsi, "recalled": recalled, "gone": gone}
    if away:
        body["away"] = away
    return Reply(200 if gone else 202, body)


def _known(text: str, found: VsiStatus | None) -> VsiStatus:
    if found is None:
        raise RestError(404, f"no VSI {text}")
    return found


def _vsi_json(bridge: Bridge, found: VsiStatus, now: float) -> VsiJson:
    return {
        "vsi": found.text,
        "name": found.name,
        "owner": str(found.owner) if found.owner else None,
        "attachments": [_attachment_json(bridge, attachment, now) for attachment in found.attachments],
    }


def _attachment_json(bridge: Bridge, attachment: AttachmentStatus, now: float) -> AttachmentJson:
    deadline, there = attachment.deadline, attachment.vsi_port
    return {
        **port_json(bridge.queries.fabric, attachment.port),
        "vsi_port": {"name": there.name, "port_no": there.port_no} if there else None,
        "phase": attachment.phase,
        "mode": attachment.mode,
        "wanted": attachment.wanted,
        "type": None if attachment.type is None else str(attachment.type),
        "bindings": [_binding_json(binding) for binding in attachment.bindings],
        "addresses": [str(address) for address in attachment.addresses],
        "since": None if attachment.since is None else attachment.since + bridge.wall_offset,
        "age": None if attachment.since is None else now - attachment.since,
        "deadline": None if deadline is None else deadline + bridge.wall_offset,
        "deadline_for": None if deadline is None else attachment.awaited,
        "expires_in": None if deadline is None else deadline - now,
        "program": _program_json(attachment.in_force) if attachment.in_force else None,
        "replaced": [_program_json(program) for program in attachment.retired],
    }


def _binding_json(found: BindingStatus) -> BindingJson:
    """The VID in the fabric and at the port, the MAC address unless the VSI has all of the VID, GroupID, priority."""
    mac = found.binding.mac
    return {
        "vid": found.binding.vid,
        "mac": None if mac is None else mac_to_text(mac),
        "local_vid": found.local_vid,
        "group": found.group,
        "pcp": found.pcp,
    }


def _program_json(program: InstallationStatus) -> ProgramJson:
    return {
        "type": str(program.type),
        "digest": program.digest,
        "phase": program.phase,
        "epoch": program.epoch,
        "index": program.index,
        "generation": program.generation,
        "rules": program.rules,
        "waiting": program.waiting,
        "services": list(program.services),
        "carried": dict(program.carried),
        "fixed_up": dict(program.fixed_up),
    }

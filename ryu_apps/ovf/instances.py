"""``instances.yaml``: networks, and which adapter of which VM is a VSI of which type."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, error, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Document, Path, read_document
from ryu_apps.evb.policy.validate import Strict, validate
from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.ovf.markup import unwritable
from ryu_apps.ovf.model import MAX_UINT32, MAX_VLAN, NULL_VID, Package, PortNetwork, VsiAdapter, clashes, settled
from ryu_apps.ovf.policy_text import policy_lines, scalar

_HEAD = """\
# Networks, and the VSIs in them: which adapter of which VM has which VSI type (a policy file has its rules).
# What is not here is not known, and is the station's to say.
"""


def _name(written: object) -> str:
    if not isinstance(written, str) or not written or written != " ".join(written.split()) or unwritable(written):
        raise ValueError("a name was expected: text without control characters, single spaces only between words")
    return written


def _mac(written: object) -> int:
    if not isinstance(written, str):
        raise ValueError("a MAC address was expected, such as 52:54:00:11:22:33")
    return mac_from_text(written)


def _vsi_id(written: object) -> VsiId:
    if not isinstance(written, str):
        raise ValueError("a VSIID was expected, such as a UUID")
    return VsiId.from_text(written)


_TEXT = WithJsonSchema({"type": "string"})
ElementName = Annotated[str, PlainValidator(_name), _TEXT]
Vlan = Annotated[int, Field(ge=NULL_VID, le=MAX_VLAN)]
Uint32 = Annotated[int, Field(ge=0, le=MAX_UINT32)]


class TypeReference(Strict):
    """A VSI type, as policy files name theirs."""

    type_id: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    version: Annotated[int, Field(ge=0, le=0xFF)]


class NetworkEntry(Strict):
    """One network; its name is the key."""

    vlan: Vlan | None = None
    vsi_types: list[TypeReference] = Field(default_factory=list)
    description: ElementName | Literal[""] = ""


class VsiEntry(Strict):
    """One VSI."""

    vm: ElementName
    adapter: ElementName
    network: ElementName | None = None
    vsi_type: TypeReference | None = None
    mac: Annotated[int, PlainValidator(_mac), _TEXT] | None = None
    vlan: Vlan | None = None
    vsi_id: Annotated[VsiId, PlainValidator(_vsi_id), _TEXT] | None = None
    manager_id: Uint32 | None = None
    group_id: Uint32 | None = None


class InstancesFile(Strict):
    """The whole file."""

    version: Literal[1]
    networks: dict[ElementName, NetworkEntry] = Field(default_factory=dict)
    vsis: list[VsiEntry]


def load_instances(file: str, text: str) -> tuple[Package | None, list[Diagnostic]]:
    """Check a file of instances.

    Returns:
        its networks and VSIs, None if there is any error, and all diagnostics in reading order.
    """
    document = read_document(file, text)
    if document.data is None:
        return None, document.diagnostics
    parsed, found = validate(InstancesFile, document)
    found += document.diagnostics
    if parsed is None:
        return None, in_reading_order(found)
    networks = {name: _network(name, entry) for name, entry in parsed.networks.items()}
    vsis = tuple(settled(_vsi(entry), networks) for entry in parsed.vsis)
    found += _inconsistencies(vsis, networks, document)
    return None if has_errors(found) else Package(tuple(networks.values()), (), vsis), in_reading_order(found)


def instances_text(package: Package) -> str:
    """The file that :func:`load_instances` reads the same networks and VSIs from."""
    networks = {network.name: _network_data(network) for network in package.networks}
    lines = [*policy_lines({"version": 1}), "networks:" if networks else "networks: {}"]
    lines += [f"  {scalar(name)}: {scalar(value)}" for name, value in networks.items()]
    lines.append("vsis:" if package.vsis else "vsis: []")
    for vsi in package.vsis:
        first, *others = policy_lines(_vsi_data(vsi))
        lines += [f"  - {first}", *(f"    {line}" for line in others)]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _inconsistencies(
    vsis: tuple[VsiAdapter, ...], networks: dict[str, PortNetwork], document: Document
) -> list[Diagnostic]:
    wrong: list[tuple[Path, str]] = [
        (("vsis", index, "network"), f"there is no network {vsi.network!r}")
        for index, vsi in enumerate(vsis)
        if vsi.network is not None and vsi.network not in networks
    ]
    wrong += [(("vsis", index, attribute), reason) for index, attribute, reason in clashes(vsis)]
    return [error(document.file, document.value_place(path), reason) for path, reason in wrong]


def _network(name: str, entry: NetworkEntry) -> PortNetwork:
    return PortNetwork(name, entry.vlan, tuple(_key(text) for text in entry.vsi_types), entry.description)


def _vsi(entry: VsiEntry) -> VsiAdapter:
    given = {name: getattr(entry, name) for name in VsiEntry.model_fields}
    return VsiAdapter(**given | {"vsi_type": _key(entry.vsi_type) if entry.vsi_type else None})


def _key(written: TypeReference) -> VsiTypeKey:
    return VsiTypeKey(written.type_id, written.version)


def _network_data(network: PortNetwork) -> dict[str, Any]:
    data: dict[str, Any] = {}
    if network.vlan is not None:
        data["vlan"] = network.vlan
    if network.vsi_types:
        data["vsi_types"] = [key._asdict() for key in network.vsi_types]
    if network.description:
        data["description"] = network.description
    return data


def _vsi_data(vsi: VsiAdapter) -> dict[str, Any]:
    data = {name: getattr(vsi, name) for name in VsiEntry.model_fields}
    said: dict[str, Any] = {name: value for name, value in data.items() if value is not None}
    if vsi.vsi_type is not None:
        said["vsi_type"] = vsi.vsi_type._asdict()
    if vsi.mac is not None:
        said["mac"] = mac_to_text(vsi.mac)
    if vsi.vsi_id is not None:
        said["vsi_id"] = str(vsi.vsi_id)
    return said

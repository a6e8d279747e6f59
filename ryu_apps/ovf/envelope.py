"""An OVF envelope (DSP0243 2.x) to networks, VSI types and VSIs; a DSP8049 document to VSI types.

Of an envelope only what concerns networks is looked at: ``NetworkSection``, the network port profiles in it or that it
points to, and the Ethernet adapters of each ``VirtualHardwareSection``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Diagnostic, has_errors, in_reading_order
from ryu_apps.evb.policy.document import Document
from ryu_apps.evb.policy.loader import load_documents
from ryu_apps.evb.policy.section import Section
from ryu_apps.ovf.markup import MAX_TEXT, Element, read_markup
from ryu_apps.ovf.model import Package, PortNetwork, VsiAdapter, clashes, settled
from ryu_apps.ovf.names import NPP, OVF
from ryu_apps.ovf.port import EthernetPort, read_port
from ryu_apps.ovf.profile import Allowance, bare_document, profile_of, read_profile
from ryu_apps.ovf.properties import misunderstood

_ENVELOPE = (OVF, "Envelope")
_NETWORK_SECTION = (OVF, "NetworkSection")
_PROFILE = (OVF, "NetworkPortProfile"), (NPP, "NetworkPortProfile")
_PROFILES = (NPP, "NetworkPortProfiles"), (OVF, "NetworkPortProfileSection"), (NPP, "NetworkPortProfileSection")
_PROFILE_URI = (OVF, "NetworkPortProfileURI")
_SYSTEM = (OVF, "VirtualSystem")
_COLLECTION = (OVF, "VirtualSystemCollection")
_HARDWARE = (OVF, "VirtualHardwareSection")
_ITEM = (OVF, "Item")
_ETHERNET_ITEM = (OVF, "EthernetPortItem")
_ETHERNET_ADAPTER = "10"

#: Sections of the envelope's schema that have nothing to do with networks.
_BESIDE = {
    *("AnnotationSection", "BootDeviceSection", "DeploymentOptionSection", "DiskSection", "EncryptionSection"),
    *("EnvironmentFilesSection", "EulaSection", "Info", "InstallSection", "Name", "OperatingSystemSection"),
    *("PlacementGroupSection", "PlacementSection", "ProductSection", "References", "ResourceAllocationSection"),
    *("ScaleOutSection", "SharedDiskSection", "StartupSection", "Strings"),
}

#: What a ``NetworkPortProfileURI`` points to: ``(file name, text)``, or the reason why there is nothing.
ReadFile = Callable[[str], tuple[str, str] | str]


@dataclass(slots=True)
class _Contents:
    """Parts of a package that have been read so far."""

    fetch: ReadFile
    found: list[Diagnostic] = field(default_factory=list)
    documents: dict[VsiTypeKey, Document] = field(default_factory=dict)
    bare: dict[VsiTypeKey, EthernetPort] = field(default_factory=dict)
    ports: dict[str, EthernetPort] = field(default_factory=dict)
    """By network port profile ID."""
    networks: dict[str, PortNetwork] = field(default_factory=dict)
    offers: dict[str, tuple[EthernetPort, ...]] = field(default_factory=dict)
    """The items of each network's profiles."""
    fetched: dict[str, tuple[EthernetPort, ...]] = field(default_factory=dict)
    """By file name: a document that was named, or that many networks point to, is read once."""
    allowance: Allowance = field(default_factory=Allowance)
    systems: dict[str, Element] = field(default_factory=dict)
    vsis: list[tuple[VsiAdapter, Element]] = field(default_factory=list)


def read_package(
    sources: tuple[tuple[str, str], ...], fetch: ReadFile, sections: tuple[Section, ...] = ()
) -> tuple[Package | None, list[Diagnostic]]:
    """Read an envelope, or documents of network port profiles.

    Args:
        sources: ``(file name, text)``; at most one of them is an envelope.
        fetch: finds what a ``NetworkPortProfileURI`` points to.
        sections: the services that a policy may speak of.

    Returns:
        the package, None if there is any error, and all diagnostics in reading order.
    """
    contents = _Contents(fetch)
    roots = [_root(contents, file, text) for file, text in sources]
    envelopes = [root for root in roots if root is not None and root.name == _ENVELOPE]
    for root in roots:
        if root is not None and root.name != _ENVELOPE:
            contents.fetched[root.file] = _read_profiles(contents, root)
    for root in envelopes[:1]:
        _read_envelope(contents, root)
    contents.found += [envelope.error("a second envelope: import them one by one") for envelope in envelopes[1:]]
    return _package(contents, sections)


def _root(contents: _Contents, file: str, text: str) -> Element | None:
    root, found = read_markup(file, text)
    contents.found += found
    if root is not None and root.name not in (_ENVELOPE, *_PROFILE, *_PROFILES):
        contents.found.append(
            root.error(f"{root.shown} is neither an OVF envelope nor a network port profile (DSP8049)")
        )
        return None
    return root


def _package(contents: _Contents, sections: tuple[Section, ...]) -> tuple[Package | None, list[Diagnostic]]:
    vsis = tuple(vsi for vsi, _ in contents.vsis)
    for index, _, reason in clashes(vsis):
        contents.found.append(contents.vsis[index][1].error(reason))
    for key, port in contents.bare.items():
        if key not in contents.documents:
            reason = f"VSI type {key} has no filters here: it denies everything but neighbour discovery"
            contents.found.append(port.element.warning(reason))
            contents.documents[key] = bare_document(port)
    contents.found += _unknown_types(contents)
    policies, found = load_documents(contents.documents.values(), sections)
    contents.found += found
    if policies is None or has_errors(contents.found):
        return None, in_reading_order(contents.found)
    profiles = tuple(profile_of(document, policies.types[key]) for key, document in sorted(contents.documents.items()))
    return Package(tuple(contents.networks.values()), profiles, vsis), in_reading_order(contents.found)


def _unknown_types(contents: _Contents) -> Iterator[Diagnostic]:
    for vsi, element in contents.vsis:
        if vsi.vsi_type is None:
            yield element.warning(f"{vsi.adapter} of {vsi.vm} has no VSI type: nothing says which policy is its own")
        elif vsi.vsi_type not in contents.documents:
            yield element.warning(
                f"VSI type {vsi.vsi_type} is not described here: its policy has to come from elsewhere"
            )


# --- profiles -------------------------------------------------------------------------------------
def _read_profiles(contents: _Contents, element: Element) -> tuple[EthernetPort, ...]:
    """The items of one profile, or of all in a collection of them; what they describe is added to the contents."""
    if element.name in _PROFILES:
        for child in element.children:
            if child.name not in _PROFILE and child.name[1] != "Info":
                contents.found += misunderstood(child)
        return tuple(port for child in element.all(*_PROFILE) for port in _read_profiles(contents, child))
    profile, found = read_profile(element, contents.allowance)
    contents.found += found
    for port in profile.ports:
        _add_port(contents, port)
    if profile.document is not None:
        key = next(port.vsi_type for port in profile.ports if port.vsi_type is not None)
        _add_document(contents, key, profile.document, element)
    return profile.ports


def _add_port(contents: _Contents, port: EthernetPort) -> None:
    if port.profile_id:
        other = contents.ports.setdefault(port.profile_id, port)
        if other.vsi_type != port.vsi_type:
            reason = f"profile {port.profile_id} is another VSI type on line {other.element.place.line}"
            contents.found.append(port.element.error(reason))
    if port.vsi_type is not None:
        contents.bare.setdefault(port.vsi_type, port)


def _add_document(contents: _Contents, key: VsiTypeKey, document: Document, element: Element) -> None:
    other = contents.documents.setdefault(key, document)
    contents.found += document.diagnostics if other is not document else []
    if other is not document and other.data != document.data:
        where = f"line {other.value_place(()).line}" + ("" if other.file == element.file else f" of {other.file}")
        contents.found.append(element.error(f"VSI type {key} is described otherwise on {where}"))


# --- networks -------------------------------------------------------------------------------------
def _read_envelope(contents: _Contents, envelope: Element) -> None:
    for child in envelope.children:
        if child.name == _NETWORK_SECTION:
            _read_networks(contents, child)
        elif child.name in _PROFILES:
            contents.found.append(child.warning(f"{child.shown} is in no schema of OVF: taken as a list of profiles"))
            _read_profiles(contents, child)
    for child in envelope.children:
        if child.name in (_SYSTEM, _COLLECTION):
            _read_system(contents, child)
        elif child.name not in (_NETWORK_SECTION, *_PROFILES) and not _is_beside(child):
            contents.found += misunderstood(child)


def _is_beside(section: Element) -> bool:
    return section.name[0] == OVF and section.name[1] in _BESIDE


def _read_networks(contents: _Contents, section: Element) -> None:
    for child in section.children:
        if child.name == (OVF, "Network"):
            _read_network(contents, child)
        elif child.name in _PROFILE:
            _read_profiles(contents, child)
        elif child.name != (OVF, "Info"):
            contents.found += misunderstood(child)


def _read_network(contents: _Contents, element: Element) -> None:
    name = _label(contents, element, "name")
    if not name:
        return
    if name in contents.networks:
        contents.found.append(element.error(f"network {name!r} is already described"))
        return
    offers: list[EthernetPort] = []
    description = ""
    for child in element.children:
        if child.name in _PROFILE:
            offers += _read_profiles(contents, child)
        elif child.name == _PROFILE_URI:
            offers += _fetched(contents, child)
        elif child.name == (OVF, "Description"):
            description = child.words
            if len(description) > MAX_TEXT:
                contents.found.append(child.error(f"text longer than {MAX_TEXT} characters"))
        else:
            contents.found += misunderstood(child)
    vlans = {offer.vlan for offer in offers}
    types = tuple(dict.fromkeys(offer.vsi_type for offer in offers if offer.vsi_type is not None))
    contents.networks[name] = PortNetwork(name, vlans.pop() if len(vlans) == 1 else None, types, description)
    contents.offers[name] = tuple(offers)


def _label(contents: _Contents, element: Element, attribute: str) -> str:
    """Return the name of an element; "" if it has none, which is recorded as an error."""
    label = " ".join((element.attribute(attribute) or "").split())
    if not label:
        contents.found.append(element.error(f"{element.shown} needs an attribute {attribute}"))
    elif len(label) > MAX_TEXT:
        contents.found.append(element.error(f"{attribute} longer than {MAX_TEXT} characters"))
        return ""
    return label


def _fetched(contents: _Contents, element: Element) -> tuple[EthernetPort, ...]:
    source = contents.fetch(element.words)
    if isinstance(source, str):
        contents.found.append(element.error(f"network port profile {element.words}: {source}"))
        return ()
    file, text = source
    if file not in contents.fetched:
        contents.fetched[file] = ()
        root, found = read_markup(file, text)
        contents.found += found
        if root is not None and root.name in (*_PROFILE, *_PROFILES):
            contents.fetched[file] = _read_profiles(contents, root)
        elif root is not None:
            contents.found.append(root.error(f"{root.shown} is no network port profile (DSP8049)"))
    return contents.fetched[file]


# --- adapters -------------------------------------------------------------------------------------
def _read_system(contents: _Contents, element: Element) -> None:
    for child in element.children:
        if child.name in (_SYSTEM, _COLLECTION):
            _read_system(contents, child)
        elif child.name != _HARDWARE and not _is_beside(child):
            contents.found += misunderstood(child)
    if element.name == _SYSTEM and (vm := _label(contents, element, "id")):
        other = contents.systems.setdefault(vm, element)
        if other is not element:
            reason = f"there is a virtual system {vm!r} on line {other.place.line} already"
            contents.found.append(element.error(reason))
            return
        hardware = list(element.all(_HARDWARE))
        contents.found += [section.warning("alternative hardware is not looked at") for section in hardware[1:]]
        for section in hardware[:1]:
            _read_hardware(contents, vm, section)


def _read_hardware(contents: _Contents, vm: str, hardware: Element) -> None:
    seen: dict[str, Element] = {}
    for element in hardware.children:
        if not _is_adapter(element) or element.attribute("bound") is not None:
            continue
        port, found = read_port(element)
        contents.found += found
        other = seen.setdefault(port.instance_id, element) if port.instance_id else element
        if other is not element:
            reason = f"adapter {port.instance_id} is already described on line {other.place.line}"
            contents.found.append(element.error(f"{reason}: deployment configurations are not told apart"))
        else:
            _add_vsi(contents, vm, port)


def _is_adapter(element: Element) -> bool:
    if element.name == _ETHERNET_ITEM:
        return True
    kinds = (child.words for child in element.children if child.name[1] == "ResourceType")
    return element.name == _ITEM and _ETHERNET_ADAPTER in kinds


def _add_vsi(contents: _Contents, vm: str, port: EthernetPort) -> None:
    if port.network is not None and port.network not in contents.networks:
        contents.found.append(port.element.error(f"there is no network {port.network!r} in NetworkSection"))
        return
    configuration = port.element.attribute("configuration")
    if configuration:
        contents.found.append(port.element.warning(f"taken over, although only of configuration {configuration!r}"))
    if port.profile_id and port.profile_id not in contents.ports:
        contents.found.append(port.element.error(f"there is no network port profile {port.profile_id!r} here"))
        return
    offer = _offer(contents, port)
    vsi = VsiAdapter(
        vm,
        port.name or f"adapter {port.instance_id}".rstrip(),
        port.network,
        port.vsi_type or (offer.vsi_type if offer else None),
        port.mac,
        offer.vlan if port.vlan is None and offer else port.vlan,
        port.vsi_id,
        port.manager_id if offer is None or port.manager_id is not None else offer.manager_id,
        port.group_id if offer is None or port.group_id is not None else offer.group_id,
    )
    contents.vsis.append((settled(vsi, contents.networks), port.element))


def _offer(contents: _Contents, port: EthernetPort) -> EthernetPort | None:
    """The profile that an adapter gets: the one that it names, by ID or by VSI type, or the only one of its network."""
    if port.profile_id:
        return contents.ports[port.profile_id]
    offers = contents.offers.get(port.network or "", ())
    if port.vsi_type is not None:
        offers = tuple(offer for offer in offers if offer.vsi_type == port.vsi_type)
    return offers[0] if len(offers) == 1 else None

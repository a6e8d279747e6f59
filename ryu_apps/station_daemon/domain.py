"""The VSIs of a libvirt domain: from its metadata, or from a file that maps names of domains.

A domain says it itself::

    <metadata>
      <evb:vsis xmlns:evb="urn:evbridge:station:1">
        <evb:vsi vsi="09b11c53-8b5c-4eeb-8f00-d84eaa0aaa4f" mac="52:54:00:aa:00:01" type="10"/>
      </evb:vsis>
    </metadata>

The port of an interface at an Open vSwitch is told to the station by its name, ``<target dev=.../>``, or else, as
libvirt will name it itself (``vnet7``), by the ``interfaceid`` of the virtual port, which becomes its ``iface-id``.

A file is a JSON object: name of a domain -> list of VSIs, each as in a call.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.ElementTree import fromstring

#: How the names begin that libvirt chooses and changes.
_LIBVIRTS_OWN = "vnet"
_NAMESPACE = "{urn:evbridge:station:1}"
_ATTRIBUTES = frozenset({"vsi", "mac", "type", "version", "manager", "vid", "address", "uplink", "port", "iface_id"})


class DomainError(ValueError):
    """The VSIs of a domain cannot be read; the message has the place."""


def vsis_of(xml: str, mapping: Path | None) -> list[dict[str, Any]]:
    """The VSIs of a domain, each with the keys of a call; none if nothing describes them.

    Args:
        xml: the domain's.
        mapping: file for domains without metadata.

    Raises:
        DomainError: not a domain's XML, or a VSI has a mistake.
        OSError: the mapping cannot be read.
    """
    try:
        domain = fromstring(xml)
    except ParseError as error:
        raise DomainError(f"the domain's XML: {error}") from None
    described = domain.findall(f"metadata/{_NAMESPACE}vsis/{_NAMESPACE}vsi")
    if described:
        ports = _ports(domain)
        return [_vsi(element, ports) for element in described]
    return [] if mapping is None else _mapped(mapping, domain.findtext("name", ""))


def _ports(domain: Element) -> dict[str, dict[str, str]]:
    """Keys of a call that tell the port at an Open vSwitch, by MAC address; none: nothing tells it."""
    ports: dict[str, dict[str, str]] = {}
    for interface in domain.findall("devices/interface"):
        mac, virtual = interface.find("mac"), interface.find("virtualport[@type='openvswitch']")
        if mac is not None and virtual is not None:
            ports[mac.get("address", "").lower()] = _told(interface, virtual)
    return ports


def _told(interface: Element, virtual: Element) -> dict[str, str]:
    target, parameters = interface.find("target"), virtual.find("parameters")
    name = "" if target is None else target.get("dev", "")
    # The XML of a running domain has the name that libvirt has chosen; the next one is another.
    if name and not name.startswith(_LIBVIRTS_OWN):
        return {"port": name}
    iface_id = "" if parameters is None else parameters.get("interfaceid", "")
    return {"iface_id": iface_id} if iface_id else {}


def _vsi(element: Element, ports: dict[str, dict[str, str]]) -> dict[str, Any]:
    attributes = element.attrib
    if unknown := attributes.keys() - _ATTRIBUTES:
        raise DomainError(f"<vsi>: unknown attribute {min(unknown)!r}")
    for needed in ("vsi", "mac", "type"):
        if needed not in attributes:
            raise DomainError(f"<vsi>: the attribute {needed!r} is missing")
    texts = ("vsi", "manager", "uplink", "port", "iface_id")
    call: dict[str, Any] = {key: attributes[key] for key in texts if key in attributes}
    call |= {key: _number(attributes[key], key) for key in ("type", "version") if key in attributes}
    if "address" in attributes:
        call["addresses"] = attributes["address"].split()
    mac = attributes["mac"].lower()
    if mac in ports and not call.keys() & {"port", "iface_id"}:
        call |= ports[mac]
        if not ports[mac]:
            raise DomainError(f"the interface {mac} is at an Open vSwitch: its port needs a name, <target dev='...'/>")
    return call | {"filters": [f"{attributes.get('vid', '0')}-{mac}"]}


def _number(written: str, key: str) -> int:
    if not written.isdecimal():
        raise DomainError(f"<vsi>: {key}={written!r} is not a number")
    return int(written)


def _mapped(mapping: Path, name: str) -> list[dict[str, Any]]:
    try:
        domains = json.loads(mapping.read_text(encoding="utf-8"))
        vsis = domains.get(name, []) if isinstance(domains, dict) else None
    except ValueError as error:
        raise DomainError(f"{mapping}: {error}") from None
    if not isinstance(vsis, list) or not all(isinstance(vsi, dict) and isinstance(vsi.get("vsi"), str) for vsi in vsis):
        raise DomainError(f"{mapping}: {name!r}: a list of VSIs was expected")
    return vsis

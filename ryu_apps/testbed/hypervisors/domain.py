"""Domain XML of a guest as an operator writes it: macvtap in VEPA mode.

Its VSI is in a virtual port of 802.1Qbg, for lldpad, or in metadata, for the hook of ``evbridge station``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.testbed.hypervisors.guest_image import GuestImage

_TEMPLATE = """\
<domain type='qemu'>
  <name>{guest.name}</name>
  <uuid>{guest.uuid}</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  {metadata}
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{image.kernel}</kernel>
    <initrd>{image.initramfs}</initrd>
    <cmdline>console=ttyS0 quiet evb.ip={guest.ip}/24</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <serial type='file'><source path='{console}'/></serial>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>
    <interface type='direct'>
      <mac address='{guest.mac}'/>
      <source dev='{uplink}' mode='vepa'/>
      {virtual_port}
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
  </devices>
</domain>
"""
_VIRTUAL_PORT = """\
<virtualport type='802.1Qbg'>
  <parameters managerid='{guest.manager}' typeid='{guest.type_id}' typeidversion='{guest.version}'
              instanceid='{guest.uuid}'/>
</virtualport>
"""
_METADATA = """\
<metadata>
  <evb:vsis xmlns:evb="urn:evbridge:station:1">
    <evb:vsi vsi="{guest.uuid}" mac="{guest.mac}" address="{guest.ip}"
             type="{guest.type_id}" version="{guest.version}"/>
  </evb:vsis>
</metadata>
"""


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest; ``uuid`` is that of the domain and of its VSI.

    Attributes:
        type_id, version, manager: VSI type and manager, as in the domain's XML.
        ip: IPv4 address without prefix length (the network is a /24).
    """

    name: str
    uuid: str
    mac: str
    ip: str
    type_id: int
    version: int
    manager: int = 11


def domain_for_lldpad(guest: Guest, image: GuestImage, uplink: str, console: str) -> str:
    """Return the domain's XML for ``virsh create``, with a virtual port of 802.1Qbg."""
    return _xml(guest, image, uplink, console, virtual_port=_VIRTUAL_PORT.format(guest=guest))


def domain_for_hook(guest: Guest, image: GuestImage, uplink: str, console: str) -> str:
    """Return the domain's XML for ``virsh create``, with metadata that describe its VSI."""
    return _xml(guest, image, uplink, console, metadata=_METADATA.format(guest=guest))


def _xml(guest: Guest, image: GuestImage, uplink: str, console: str, virtual_port: str = "", metadata: str = "") -> str:
    parts = {"virtual_port": virtual_port, "metadata": metadata}
    return _TEMPLATE.format(guest=guest, image=image, uplink=uplink, console=console, **parts)

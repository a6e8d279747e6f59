"""Domain XML of a guest as an operator writes it: macvtap in VEPA mode, or a tap at the server's Open vSwitch.

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
    {disk}
    {interface}
  </devices>
</domain>
"""
_DISK = """\
<disk type='file'>
  <driver name='qemu' type='qcow2'/>
  <source file='{path}'/>
  <target dev='vda' bus='virtio'/>
</disk>
"""
_MACVTAP = """\
<interface type='direct'>
  <mac address='{guest.mac}'/>
  <source dev='{uplink}' mode='vepa'/>
  {virtual_port}
  <model type='virtio'/>
  <rom enabled='no'/>
</interface>
"""
#: The guest computes its checksums: the user-space datapath forwards what it is given.
_TAP = """\
<interface type='bridge'>
  <mac address='{guest.mac}'/>
  <source bridge='{bridge}'/>
  {place}
  <model type='virtio'/>
  <driver><host csum='off' gso='off' tso4='off'/><guest csum='off'/></driver>
  <rom enabled='no'/>
</interface>
"""
#: Its place at the bridge: a port of a given name, or one that libvirt names and marks with an iface-id.
_NAMED = "<virtualport type='openvswitch'/><target dev='{port}'/>"
_MARKED = "<virtualport type='openvswitch'><parameters interfaceid='{guest.uuid}'/></virtualport>"
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
        disk: path of a qcow2 image, which a snapshot needs; empty: it has no disk.
    """

    name: str
    uuid: str
    mac: str
    ip: str
    type_id: int
    version: int
    manager: int = 11
    disk: str = ""


def domain_for_lldpad(guest: Guest, image: GuestImage, uplink: str, console: str) -> str:
    """Return the domain's XML for ``virsh create``, with a virtual port of 802.1Qbg."""
    virtual_port = _VIRTUAL_PORT.format(guest=guest)
    interface = _MACVTAP.format(guest=guest, uplink=uplink, virtual_port=virtual_port)
    return _xml(guest, image, console, interface)


def domain_for_hook(guest: Guest, image: GuestImage, uplink: str, console: str) -> str:
    """Return the domain's XML for ``virsh create``, with metadata that describe its VSI."""
    interface = _MACVTAP.format(guest=guest, uplink=uplink, virtual_port="")
    return _xml(guest, image, console, interface, _METADATA.format(guest=guest))


def domain_at_switch(guest: Guest, image: GuestImage, bridge: str, console: str, port: str = "") -> str:
    """Return the domain's XML for a guest with a port at a bridge of Open vSwitch.

    Args:
        port: its name; empty: libvirt chooses one, and the port's ``iface-id`` is the VSI.
    """
    place = _NAMED.format(port=port) if port else _MARKED.format(guest=guest)
    interface = _TAP.format(guest=guest, bridge=bridge, place=place)
    return _xml(guest, image, console, interface, _METADATA.format(guest=guest))


def _xml(guest: Guest, image: GuestImage, console: str, interface: str, metadata: str = "") -> str:
    disk = _DISK.format(path=guest.disk) if guest.disk else ""
    parts = {"console": console, "interface": interface, "metadata": metadata, "disk": disk}
    return _TEMPLATE.format(guest=guest, image=image, **parts)

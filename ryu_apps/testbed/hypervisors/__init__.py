"""Hypervisors as an operator has them: libvirtd, lldpad and QEMU guests, unmodified, two of them on one machine.

``guest_image`` makes kernel and initramfs of a guest, ``domain`` the XML of its domain, ``host`` is one hypervisor in
namespaces of its own, ``site`` is the cluster of two switches, the controller, two hypervisors and a client, and
``conversation`` is a client's TCP connections to a guest.  Guests run under software emulation (TCG).

Needs root, Open vSwitch, macvtap, and the Debian packages of ``make test-hypervisor``.
"""

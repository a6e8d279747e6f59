"""libvirt's hook for QEMU domains (``/etc/libvirt/hooks/qemu``): reserve, associate and release.

libvirt runs it with the domain's XML on its standard input, and waits.  A failure of ``migrate`` or ``start`` ends that
operation, with the reason in the error of virsh.  At ``start`` a tap of the domain exists already.  The moments at
which a guest stops and runs again have no hook: they come from libvirt's events (``libvirt_events``).
"""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.station_daemon.vm_calls import StationCalls

HookAction = Callable[[StationCalls], None]

#: Operation and sub-operation of libvirt -> what is done; all others need nothing.
HOOKS: dict[tuple[str, ...], HookAction] = {
    ("migrate", "begin"): StationCalls.arrive,
    ("start", "begin"): StationCalls.start,
    ("reconnect", "begin"): StationCalls.start,
    ("release", "end"): StationCalls.leave,
}

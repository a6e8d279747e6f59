"""A Mininet ``Host`` with lldpad as its EVB station: ``mn --host station`` with any file of this folder.

Mininet is imported only when a host is built, so that descriptions can be read where it is absent.
"""

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

#: Name of the parameter with which ``topo_of`` marks the hosts at station ports.
STATION_PARAMETER = "evb_station"
#: Seconds until a daemon that was asked to end is killed.
_PATIENCE = 3.0
_CONFIG = """\
lldp :
{{
}};
nearest_customer_bridge :
{{
  {interface} :
  {{
    adminStatus = 3;
    tlvid0080c20d :
    {{
      enableTx = true;
      vdprka = 17;
      vdprwd = 17;
      ecprte = 10;
      evbrrreq = {reflective_relay};
      evbgpid = {groups};
    }};
  }};
}};
"""


def lldpad_config(interface: str, reflective_relay: bool = True, groups: bool = False) -> str:
    """Configuration of an lldpad that is the station of one uplink.

    Args:
        reflective_relay: request it, as a VEPA does.
        groups: GroupIDs are supported.
    """
    relay, group_ids = str(reflective_relay).lower(), str(groups).lower()
    return _CONFIG.format(interface=interface, reflective_relay=relay, groups=group_ids)


def station_host(name: str, **parameters: Any) -> Any:
    """A host for ``mn --host station``; one that is at no station port is an ordinary host."""
    return _host_class()(name, **parameters)


@cache
def _host_class() -> Any:
    from mininet.node import Host

    def config(host: Any, **parameters: Any) -> Any:
        configured = Host.config(host, **parameters)
        if parameters.get(STATION_PARAMETER):
            _start(host)
        return configured

    def terminate(host: Any) -> None:
        _stop(host)
        Host.terminate(host)

    return type("StationHost", (Host,), {"config": config, "terminate": terminate, "lldpad": None, "folder": None})


def _start(host: Any) -> None:
    """Start the daemon on the uplink; its output goes to a file in a folder of its own."""
    interface = host.defaultIntf().name
    host.cmd("ip", "link", "set", interface, "up")
    # The kernel's own IPv6 would be the first frames of an address that the bridge does not know.
    host.cmd("sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1")
    host.folder = TemporaryDirectory(prefix=f"evbridge-{host.name}-")
    place = Path(host.folder.name)
    (place / "lldpad.conf").write_text(lldpad_config(interface), encoding="ascii")
    with (place / "lldpad.log").open("wb") as log:
        # Not the pid file, which all of them would share.
        command = ["lldpad", "-p", "-f", str(place / "lldpad.conf")]
        host.lldpad = host.popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)


def _stop(host: Any) -> None:
    if host.lldpad is not None:
        host.lldpad.terminate()
        try:
            host.lldpad.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            host.lldpad.kill()
            host.lldpad.wait()
        host.lldpad = None
        host.folder.cleanup()

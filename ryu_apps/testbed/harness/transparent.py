"""The kernel's part of a haproxy that sends from addresses of others: what comes back for these is delivered to it."""

from __future__ import annotations

from ryu_apps.testbed.harness.shell import Namespace

_MARK, _TABLE = 1, 100
_RULES = """\
table inet evbridge {{
  chain prerouting {{
    type filter hook prerouting priority mangle; policy accept;
    meta l4proto {{ tcp, icmp, icmpv6 }} socket transparent 1 meta mark set {mark} accept
    {redirect}
  }}
}}
"""
#: Connections to addresses that are not the host's own go to a port.
_REDIRECT = "meta l4proto tcp fib daddr type != local tproxy to :{port} meta mark set {mark} accept"


def deliver_to_sockets(namespace: Namespace, interface: str, port: int | None = None) -> None:
    """Prepare a namespace; what is done ends with it.

    Args:
        interface: where the frames of others come in.
        port: of connections to any address, which are delivered there; None: only those that a socket has are.
    """
    namespace.set("net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
    namespace.set(f"net.ipv4.conf.{interface}.rp_filter=0", "net.ipv4.conf.all.send_redirects=0")
    namespace.set(f"net.ipv4.conf.{interface}.send_redirects=0")
    namespace.set("net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.lo.disable_ipv6=0")
    for family in ("-4", "-6"):
        namespace.run("ip", family, "rule", "add", "fwmark", str(_MARK), "lookup", str(_TABLE))
        namespace.run("ip", family, "route", "add", "local", "default", "dev", "lo", "table", str(_TABLE))
    redirect = "" if port is None else _REDIRECT.format(port=port, mark=_MARK)
    namespace.run("nft", "-f", "-", stdin=_RULES.format(mark=_MARK, redirect=redirect))

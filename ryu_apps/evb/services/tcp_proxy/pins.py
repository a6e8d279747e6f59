"""Pins: rules of the table PROXY_PINS that say which proxy has a connection, and how a switch learns them.

A proxied connection is two, the client's with the proxy and the proxy's with the VM, and so two pins
of one VSI.  What comes for the VM is pinned to the proxy that the first segment was given to.  What
the VM answers is pinned to the proxy whose first segment it answers: a transparent proxy speaks with
the client's address, so nothing else in the answer leads to it; it need not speak from the client's
port.  The switch writes both by itself, so connections need no controller.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.pipeline import FROM_PROXY, NOTED, PINNED, Direction, Table
from ryu_apps.evb.flow.rule import Learn, Learned, whole
from ryu_apps.evb.policy.schema import IPV4, TCP
from ryu_apps.evb.services.learnt import in_direction, of_vsi, owner
from ryu_apps.evb.services.tcp_proxy.schema import Proxied
from ryu_apps.evb.vsi.model import VsiBinding

_PRIORITY = 100


def capacity(value: Proxied) -> int:
    """The most pins of one VSI: see :func:`note`."""
    return 4 * value.max_connections


def note(value: Proxied, binding: VsiBinding, eth_type: int, from_proxy: bool) -> Learn:
    """What a switch does upon the first segment of a connection on its way to the VM.

    Args:
        from_proxy: it comes from a proxy, and what the VM answers is pinned to it; else it comes from a
            client, its destination address is the proxy's by now, and what follows it is pinned to that.
    """
    return Learn(
        table=Table.PROXY_PINS,
        priority=_PRIORITY,
        cookie=owner(binding),
        idle_timeout=value.idle,
        fin_idle_timeout=value.closing,
        # A client is turned away in time, so that each proxy finds room for the other half of what it has accepted.
        limit=capacity(value) if from_proxy else 2 * value.max_connections,
        verdict=NOTED,
        match=(
            of_vsi(binding),
            in_direction(Direction.FROM_VM if from_proxy else Direction.TO_VM),
            # What a proxy sends to the VM may have all the addresses of what the client sends.
            Learned(FROM_PROXY, 0),
            Learned(whole("eth_type"), eth_type),
            Learned(whole("ip_proto"), TCP),
            *_ends(eth_type, swapped=from_proxy),
        ),
        writes=(Learned(whole("eth_dst"), whole("eth_src" if from_proxy else "eth_dst")), Learned(PINNED, 1)),
    )


def _ends(eth_type: int, swapped: bool) -> Iterator[Learned]:
    for prefix in ("ipv4" if eth_type == IPV4 else "ipv6", "tcp"):
        source, destination = whole(f"{prefix}_src"), whole(f"{prefix}_dst")
        yield Learned(source, destination if swapped else source)
        yield Learned(destination, source if swapped else destination)

"""Pins: rules of the table PROXY_PINS that say which proxy has a connection, and how a switch learns them.

A proxied connection is two, the client's with the proxy and the proxy's with the VM, and so two pins
of one VSI.  What comes for the VM is pinned to the proxy that the first segment was given to.  What
the VM answers is pinned to the proxy whose first segment it answers: a transparent proxy speaks with
the client's address, so nothing else in the answer leads to it; it need not speak from the client's
port.  The switch writes both by itself, so connections need no controller.

A FIN or RST shortens the timeout of a pin for good.  So when ports are used again while it is still there, the new
connection gets a pin of the next *life*, at once with the whole timeout; frames are looked up in all lives, the newest
last (``docs/decisions/0036-lives.rst``).
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ryu_apps.evb.flow.actions import Action, Bits, Learn, LearnSpec, RegLoad, Resubmit, StackPop, StackPush, whole
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    DIRECTION_BITS,
    DIRECTION_SHIFT,
    FROM_PROXY,
    PIN_LASTS,
    PIN_LIFE,
    PIN_NEWEST,
    PIN_NOTED,
    PINNED,
    Direction,
    Table,
)
from ryu_apps.evb.policy.rule_kinds import IPV4, TCP
from ryu_apps.evb.services.learnt import OF_VLAN, in_direction, of_vsi, owner
from ryu_apps.evb.services.tcp_proxy.schema import Proxied


class ProxyPin(IntEnum):
    """Kind of pin; the value is its priority.  The timeout of a pin cannot be changed, so a lasting one is added."""

    OPENING = 100
    """A client has begun a connection, and has not shown yet that it receives answers."""
    LASTING = 200
    """The client has answered the proxy."""
    ANSWERS = 300
    """A proxy has begun a connection with the VM."""


#: Connections of the same ports one after the other, each of them begun before the timeout of the last has ended.
LIVES = 1 << PIN_LIFE.width
_DIRECTION = Bits("metadata", DIRECTION_SHIFT, DIRECTION_BITS)


def look_up() -> Iterator[Action]:
    """In every life there may be; what is noted then is of the newest that was found."""
    for life in range(LIVES):
        yield from (RegLoad(PIN_LIFE, life), Resubmit(Table.PROXY_PINS))
    yield from (StackPush(PIN_NEWEST), StackPop(PIN_LIFE))


def seek_answers(eth_type: int) -> Iterator[Action]:
    """Look up a proxy's first segment as the VM's answer to it; the frame is unchanged afterwards, but for ``reg2``."""
    exchanged = tuple(_exchange(eth_type))
    yield from (StackPush(whole("eth_dst")), RegLoad(FROM_PROXY, 0), RegLoad(_DIRECTION, Direction.FROM_VM), *exchanged)
    yield from look_up()
    yield from (*exchanged, RegLoad(_DIRECTION, Direction.TO_VM), RegLoad(FROM_PROXY, 1), StackPop(whole("eth_dst")))


def _exchange(eth_type: int) -> Iterator[Action]:
    for prefix in ("ipv4" if eth_type == IPV4 else "ipv6", "tcp"):
        one, other = whole(f"{prefix}_src"), whole(f"{prefix}_dst")
        yield from (StackPush(one), StackPush(other), StackPop(one), StackPop(other))


def capacity(value: Proxied) -> int:
    """The most pins of one VSI: see :func:`note`."""
    return 6 * value.max_connections


def note(value: Proxied, binding: VsiBinding, eth_type: int, pin: ProxyPin, begins: bool = False) -> Learn:
    """Learn action for a segment to the VM that needs a pin.

    What comes from a client bears the proxy's address by now, and what follows it is pinned to that;
    what comes from a proxy has it as its source, and what the VM answers is pinned to it.

    Args:
        begins: a connection begins with a lasting pin.
    """
    answers = pin is ProxyPin.ANSWERS
    return Learn(
        table=Table.PROXY_PINS,
        priority=pin,
        cookie=owner(binding),
        idle_timeout=value.opening if pin is ProxyPin.OPENING else value.idle,
        fin_idle_timeout=value.closing,
        # Clients are turned away in time: there is room for all three of whatever has begun.
        limit=2 * value.max_connections if begins or pin is ProxyPin.OPENING else capacity(value),
        result_dst=PIN_NOTED,
        match=(
            of_vsi(binding),
            OF_VLAN,
            in_direction(Direction.FROM_VM if answers else Direction.TO_VM),
            # What a proxy sends to the VM may have all the addresses of what the client sends.
            LearnSpec(FROM_PROXY, 0),
            LearnSpec(whole("eth_type"), eth_type),
            LearnSpec(whole("ip_proto"), TCP),
            *_ends(eth_type, swapped=answers),
            LearnSpec(PIN_LIFE, PIN_LIFE),
        ),
        writes=(
            LearnSpec(whole("eth_dst"), whole("eth_src" if answers else "eth_dst")),
            LearnSpec(PINNED, 1),
            LearnSpec(PIN_LASTS, pin is not ProxyPin.OPENING),
            LearnSpec(PIN_NEWEST, PIN_LIFE),
        ),
    )


def _ends(eth_type: int, swapped: bool) -> Iterator[LearnSpec]:
    for prefix in ("ipv4" if eth_type == IPV4 else "ipv6", "tcp"):
        source, destination = whole(f"{prefix}_src"), whole(f"{prefix}_dst")
        yield LearnSpec(source, destination if swapped else source)
        yield LearnSpec(destination, source if swapped else destination)

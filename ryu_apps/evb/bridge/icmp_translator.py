"""ICMP errors about connections through load balancers: each end gets them about the addresses that it uses.

A router that cannot forward a packet of a back end sends the error to the virtual address, the source of that packet.
A back end, or a router before it, sends the client an error that quotes the back end's own address, which the client
has never seen.  Open vSwitch does not rewrite quoted packets.  So the client's switch sends the former errors to the
controller, and copies of the latter, a few a second.

An error quotes both ends of a connection, and the switch is queried for the pins of that connection alone.  The pins
name the receiver of the error, or its source for the client; without a pin there is no translation.  The only state is
a bounded number of open queries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.events.effect import ReadRules, SendFrame
from ryu_apps.evb.flow.actions import TABLES, RegLoad
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.pipeline.tables import BALANCED_LIFE, CookieKind, Table, cookie
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.icmp_error import End, IcmpError, carries_icmp_error
from ryu_apps.evb.wire.ip import ETHERTYPE_IPV4, ETHERTYPE_IPV6

#: Errors about which a switch has not answered yet; the oldest is forgotten for one more.
MAX_WAITING = 64
#: What becomes of errors: translated; about no connection that the switch has noted; not readable; forgotten, because
#: the switch has not answered and others have come.
OUTCOMES = ("translated", "unknown", "malformed", "forgotten")
#: VSIs that may have the same ends in one VLAN, one of which is meant.
_MOST_TARGETS = 4
_STATE = CookieMask(cookie(CookieKind.STATE), 0xFFFFF << 44)
_PROTOCOLS = {6: "tcp", 17: "udp"}
_VID_BITS = 0xFFF


class _Asked(NamedTuple):
    """A query for pins that a switch has not answered yet.

    Attributes:
        to_client: the error is for a client; False: it is for a virtual address.
    """

    dpid: int
    error: IcmpError
    to_client: bool


class IcmpTranslator(TokenOwner):
    """Translates errors in both directions.

    Attributes:
        counted: errors of each switch by what became of them, one of :data:`OUTCOMES`.
    """

    def __init__(
        self, fabric: Fabric, tokens: TokenTable, effects: EffectSink, refused: Callable[[int, str, float], None]
    ) -> None:
        """
        Args:
            refused: called with switch, reason and time when a switch does not answer a read.
        """
        self._tokens = tokens
        self._effects = effects
        self._refused = refused
        self._virtual = {(balancer.vid, balancer.mac): frozenset(balancer.addresses) for balancer in fabric.balancers}
        self._vids = {balancer.vid for balancer in fabric.balancers}
        self._waiting: dict[int, _Asked] = {}
        self.counted: Counter[tuple[int, str]] = Counter()

    def wants(self, data: bytes) -> bool:
        """True if a tagged frame is for the address of a load balancer, or is an ICMP error in the VLAN of one."""
        vid = int.from_bytes(data[14:16]) & _VID_BITS
        return (vid, int.from_bytes(data[:6])) in self._virtual or (vid in self._vids and carries_icmp_error(data))

    def frame(self, port: PortId, data: bytes) -> None:
        """Process an error from a port: read the pins that it is about."""
        try:
            error = IcmpError.decode(data)
        except WireError:
            self.counted[port.dpid, "malformed"] += 1
            return
        virtual = self._virtual.get((error.vid, error.eth_dst))
        if virtual is not None and error.source.address not in virtual:
            self.counted[port.dpid, "unknown"] += 1
            return
        while len(self._waiting) >= MAX_WAITING:
            token = next(iter(self._waiting))
            self.counted[self._waiting.pop(token).dpid, "forgotten"] += 1
            self._tokens.give_back(token)
        token = self._tokens.take(self)
        self._waiting[token] = _Asked(port.dpid, error, virtual is None)
        self._effects.put(ReadRules(port.dpid, token, _STATE, Table.BALANCER_PINS, match(**_opposite(error))))

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Translate the error that the pins are about, and send it to the ends that they name."""
        asked = self._waiting.pop(token, None)
        if asked is None:
            return
        translate = _from_virtual if asked.to_client else _to_backend
        made = (translate(asked.error, _written(pin)) for pin in _newest(rules))
        frames = list(dict.fromkeys(error.encode() for error in made if error is not None))[:_MOST_TARGETS]
        self.counted[asked.dpid, "translated" if frames else "unknown"] += 1
        for frame in frames:
            self._effects.put(SendFrame(PortId(asked.dpid, TABLES), frame))

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Report a switch that does not answer."""
        self._refused(dpid, reason, now)


def _opposite(error: IcmpError) -> MatchFields:
    """Match of the pin of the opposite direction, which rewrites the destination of the quoted packet.

    For an error to a virtual address that is the pin of the client's frames; for one to a client, of the back end's.
    """
    version = error.source.address.version
    protocol = _PROTOCOLS[error.protocol]
    return {
        "vlan_vid": (error.vid, _VID_BITS),
        "eth_type": ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6,
        "ip_proto": error.protocol,
        f"ipv{version}_src": int(error.destination.address),
        f"ipv{version}_dst": int(error.source.address),
        f"{protocol}_src": error.destination.port,
        f"{protocol}_dst": error.source.port,
    }


def _newest(pins: Iterable[Rule]) -> Iterable[Rule]:
    """Of each client's pins the newest."""
    newest: dict[int, Rule] = {}
    for pin in sorted(pins, key=_age):
        newest[next((field.value for field in pin.match if field.name == "metadata"), 0)] = pin
    return newest.values()


def _age(pin: Rule) -> tuple[int, int]:
    life = next((field.value for field in pin.match if field.name == BALANCED_LIFE.name), 0)
    return life >> BALANCED_LIFE.offset & (1 << BALANCED_LIFE.width) - 1, pin.priority


def _written(pin: Rule) -> dict[str, int]:
    """The fields that a pin writes."""
    written: dict[str, int] = {}
    for action in pin.apply:
        if isinstance(action, RegLoad):
            name, offset, _ = action.target
            written[name] = written.get(name, 0) | action.value << offset
    return written


def _to_backend(error: IcmpError, written: dict[str, int]) -> IcmpError | None:
    end = _end(error, written, "dst")
    return None if end is None or "eth_dst" not in written else error.about(end, written["eth_dst"])


def _from_virtual(error: IcmpError, written: dict[str, int]) -> IcmpError | None:
    end = _end(error, written, "src")
    return None if end is None else error.from_end(end)


def _end(error: IcmpError, written: dict[str, int], which: str) -> End | None:
    version = error.source.address.version
    names = f"ipv{version}_{which}", f"{_PROTOCOLS[error.protocol]}_{which}"
    if not all(name in written for name in names):
        return None
    address, port = (written[name] for name in names)
    return End(IPv4Address(address) if version == 4 else IPv6Address(address), port)

"""Type bodies: rules that all VSIs of a type share, once per switch, for as long as one needs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.flow.rule import RuleBlock
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import body_of_type
from ryu_apps.evb.vsi.registry import Program


@dataclass(eq=False, slots=True)
class TypeBody:
    """One type body in one switch.

    Attributes:
        token: of the change that installs it; None once the switch has confirmed.
        users: programs that need it.
    """

    dpid: int
    epoch: int
    block: RuleBlock
    token: int | None
    users: dict[Program, None] = field(default_factory=dict)


class Epochs:
    """Numbers for type epochs, and the compiled rules of each.

    The same type with the same content keeps its number; anything else is a new epoch.
    """

    def __init__(self) -> None:
        self._numbers: dict[tuple[object, str], int] = {}
        self._blocks: dict[int, RuleBlock] = {}
        self._next = 1

    def number(self, vsi_type: VsiType) -> int:
        """The epoch of a type as it is now."""
        content = vsi_type.key, vsi_type.digest
        if content not in self._numbers:
            self._numbers[content] = self._next
            self._next += 1
        return self._numbers[content]

    def resume(self, vsi_type: VsiType, epoch: int) -> None:
        """Give a type the number it had in an earlier life of the bridge."""
        self._numbers[vsi_type.key, vsi_type.digest] = epoch
        self.skip(epoch)

    def skip(self, taken: int) -> None:
        """Never hand out ``taken`` or a smaller number: a switch still has rules of it."""
        self._next = max(self._next, taken + 1)

    def block(self, vsi_type: VsiType) -> RuleBlock:
        """The compiled shared rules of a type; the same object each time, so drivers can cache it."""
        epoch = self.number(vsi_type)
        if epoch not in self._blocks:
            self._blocks[epoch] = body_of_type(vsi_type, epoch)
        return self._blocks[epoch]


class Indices:
    """Indices that stand for programs in metadata and cookies, reused as late as possible."""

    def __init__(self, bits: int) -> None:
        self._limit = 1 << bits
        self._last = 0
        self._used: set[int] = set()

    def take(self) -> int:
        """A free index, 1 or more.

        Raises:
            OverflowError: all are in use.
        """
        for _ in range(self._limit):
            self._last = self._last % (self._limit - 1) + 1
            if self._last not in self._used:
                self._used.add(self._last)
                return self._last
        raise OverflowError("no free VSI index")

    def reserve(self, index: int) -> None:
        """Keep an index from being handed out: a switch still has rules of it."""
        self._used.add(index)

    def give_back(self, index: int) -> None:
        """Free an index whose rules are gone."""
        self._used.discard(index)

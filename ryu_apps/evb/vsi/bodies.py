"""Type bodies: rules that all VSIs of a type share, once per switch, as long as a VSI needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ryu_apps.evb.flow.change import RuleBlock
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import EPOCH_BITS
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.body import body_of_type
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.evb.vsi.installation import Installation

#: Content of a type, and its epoch -> its compiled rules.
CompiledTypes = Mapping[tuple[tuple[VsiTypeKey, str], int], RuleBlock]
_LAST_EPOCH = (1 << EPOCH_BITS) - 1


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
    users: dict[Installation, None] = field(default_factory=dict)


class Epochs:
    """Numbers of type epochs, and the compiled rules of each.

    A number is derived from the content of the type, so that it is the same after a restart of the controller: rules
    that a switch still holds of it are then the desired ones.
    """

    def __init__(self, ready: CompiledTypes | None = None) -> None:
        """
        Args:
            ready: types that were compiled before, for the epochs that they had then.
        """
        self._ready = ready or {}
        self._numbers: dict[tuple[VsiTypeKey, str], int] = {}
        self._taken: dict[int, tuple[VsiTypeKey, str]] = {}
        self._blocks: dict[int, RuleBlock] = {}
        self._plain_blocks: dict[int, RuleBlock] = {}

    def number(self, vsi_type: VsiType) -> int:
        """The epoch of a type as it is now, 1 or more, 20 bits."""
        content = vsi_type.key, vsi_type.digest
        if content not in self._numbers:
            self._assign(content, self._free(content))
        return self._numbers[content]

    def resume(self, vsi_type: VsiType, epoch: int) -> None:
        """Give a type the number that it had before the controller was restarted."""
        self._assign((vsi_type.key, vsi_type.digest), epoch)

    def block(self, vsi_type: VsiType, profile: Profile = Profile.OPEN_VSWITCH) -> RuleBlock:
        """The compiled shared rules of a type; the same object each time, so drivers can cache it."""
        epoch = self.number(vsi_type)
        blocks = self._blocks if profile is Profile.OPEN_VSWITCH else self._plain_blocks
        if epoch not in blocks:
            blocks[epoch] = self._from_before(vsi_type, epoch, profile) or body_of_type(vsi_type, epoch, profile)
        return blocks[epoch]

    def _from_before(self, vsi_type: VsiType, epoch: int, profile: Profile) -> RuleBlock | None:
        if profile is not Profile.OPEN_VSWITCH:
            return None
        return self._ready.get(((vsi_type.key, vsi_type.digest), epoch))

    @property
    def compiled(self) -> CompiledTypes:
        """All types that are compiled, for another bridge in this process."""
        return {(self._taken[epoch], epoch): block for epoch, block in self._blocks.items() if epoch in self._taken}

    def prepare(self, types: Iterable[VsiType]) -> None:
        """Compile types in advance, so that the first station does not wait for it."""
        missing = self.missing(types)
        for vsi_type, epoch in missing:
            if block := self._from_before(vsi_type, epoch, Profile.OPEN_VSWITCH):
                self._blocks[epoch] = block
        self.adopt(compiled((vsi_type, epoch) for vsi_type, epoch in missing if epoch not in self._blocks))

    def missing(self, types: Iterable[VsiType]) -> list[tuple[VsiType, int]]:
        """Types that are not compiled yet, with their epochs."""
        numbered = [(vsi_type, self.number(vsi_type)) for vsi_type in types]
        return [(vsi_type, epoch) for vsi_type, epoch in numbered if epoch not in self._blocks]

    def adopt(self, blocks: dict[int, RuleBlock]) -> None:
        """Take blocks that were compiled elsewhere; those that exist already stay."""
        self._blocks = {**blocks, **self._blocks}

    def _assign(self, content: tuple[VsiTypeKey, str], epoch: int) -> None:
        self._numbers[content] = epoch
        self._taken[epoch] = content

    def _free(self, content: tuple[VsiTypeKey, str]) -> int:
        epoch = int.from_bytes(sha256(repr(content).encode()).digest()[:4]) % _LAST_EPOCH + 1
        while epoch in self._taken:
            epoch = epoch % _LAST_EPOCH + 1
        return epoch


def compiled(types: Iterable[tuple[VsiType, int]]) -> dict[int, RuleBlock]:
    """Compile types for their epochs; without side effects, so it may run in another thread."""
    return {epoch: body_of_type(vsi_type, epoch) for vsi_type, epoch in types}


class Indices:
    """Indices that identify programs in metadata and cookies, reused as late as possible."""

    def __init__(self, bits: int) -> None:
        self._limit = 1 << bits
        self._last = 0
        self._used: set[int] = set()

    def take(self) -> int:
        """Allocate a free index, 1 or more.

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
        """Exclude an index from allocation: a switch has rules of it, or had before the controller was restarted.

        It is not the next one either once it is given back: a record that the store failed to delete may still
        name it.
        """
        self._used.add(index)
        self._last = max(self._last, index)

    def __contains__(self, index: int) -> bool:
        return index in self._used

    def give_back(self, index: int) -> None:
        """Free an index whose rules are gone."""
        self._used.discard(index)

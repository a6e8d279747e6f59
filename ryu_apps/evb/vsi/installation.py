"""Rules of an attachment in the switches: programs in force, programs being installed, and their removal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.model import Phase, VsiBinding, VsiClaims
from ryu_apps.evb.policy.model import VsiType

#: Tokens of changes under way: mostly none, and an empty set for each of them would take 216 octets.
Tokens = tuple[int, ...]


def without(tokens: Tokens, token: int) -> Tokens:
    """Return all tokens but one, which need not be among them."""
    return tuple([other for other in tokens if other != token])


@dataclass(eq=False, slots=True)
class Installation:
    """The program of one attachment in its switch: a body and, once active, a gate.

    A changed filter or a new policy epoch is a new program beside the old one, so that the old one stays in force,
    untouched, until the gate leads to the new one.

    Attributes:
        waiting: tokens of changes the switches have not confirmed yet.
        own: rules of its own body, without those of its type.
        rules: rules that were new to the switch (a shared type body counts for its first user only).
        opened: a gate leads to it or has led to it.
        closing: tokens of changes that shut its gate, or lead it elsewhere, and are not confirmed yet.
        leaving: its rules go as soon as no gate leads to them.
        awaiting: learned rules that it was given from the VSI's last switch, until its gate opens.
        refreshed: time at which these were last staged, monotonic seconds; None: that is not known.
        reading: token of the reading ahead of the Associate that is under way; None: there is none.
        carried, fixed_up: number of those in the end, by service, and of those that came after it was staged.
    """

    vsi_type: VsiType
    epoch: int
    binding: VsiBinding
    phase: Phase = Phase.NONE
    waiting: Tokens = ()
    own: int = 0
    rules: int = 0
    opened: bool = False
    closing: Tokens = ()
    leaving: bool = False
    awaiting: RuleSet = field(default_factory=dict)
    refreshed: float | None = None
    reading: int | None = None
    carried: Counter[str] = field(default_factory=Counter)
    fixed_up: Counter[str] = field(default_factory=Counter)

    def serves(self, vsi_type: VsiType, claims: VsiClaims) -> bool:
        """True if this is the program that such a request asks for."""
        same_type = self.vsi_type.digest == vsi_type.digest and self.vsi_type.key == vsi_type.key
        return same_type and self.binding.claims == claims

    def take_port(self, vsi_type: VsiType, claims: VsiClaims) -> None:
        """Become the program that such a request asks for, if only the name of the VSI port differs.

        The body does not depend on the name.  A program that a gate has led to keeps its name until another one is in
        force.
        """
        same = self.serves(vsi_type, claims._replace(vsi_port=self.binding.vsi_port))
        if same and not self.opened and self.binding.vsi_port and claims.vsi_port:
            self.binding = replace(self.binding, vsi_port=claims.vsi_port)


@dataclass(eq=False, slots=True)
class Holding:
    """Programs of one attachment in the switches, and their removal; written by the lifecycle.

    Attributes:
        program: the program in force or being put in force.
        retired: older programs whose rules still have to go.
        turn: grows with every Associate of the bridge, so that the newest is known.
        decided: attempt that was admitted last; a later one still waits for its turn.
        recorded: attempt whose grant the store has, or is about to have; it may not be answered yet.
        granted: attempt that is granted when its gates are shut; None: there is none.
        remade: attempt of an opening that an earlier life has recorded, and that is made again; None: there was none.
        sweeping: tokens of changes that remove its rules.
        releasing: all of it is to go.
        forgetting: only its record is left.
    """

    program: Installation | None = None
    retired: list[Installation] = field(default_factory=list)
    turn: int = 0
    decided: int | None = None
    recorded: int | None = None
    granted: int | None = None
    remade: int | None = None
    sweeping: Tokens = ()
    releasing: bool = False
    forgetting: bool = False

    @property
    def programs(self) -> tuple[Installation, ...]:
        """Programs that the switch holds or is about to; a retired one is in force until the gate leads to the next."""
        return (self.program, *self.retired) if self.program is not None else tuple(self.retired)

    @property
    def closing(self) -> bool:
        """True while a switch may have a gate that is to be shut."""
        return any(program.closing for program in self.programs)

    def take_unreachable(self) -> list[Installation]:
        """Remove and return the programs that are to go and that no gate leads to any more, oldest first."""
        older = [*self.retired, *([] if self.program is None else [self.program])]
        gone = [program for program in older if program.leaving and not program.closing]
        self.retired = [program for program in self.retired if program not in gone]
        self.program = None if self.program in gone else self.program
        return gone

    def retire(self) -> None:
        """Replace the program by none; its rules still have to go."""
        if self.program is not None:
            self.retired.append(self.program)
            self.program = None

    def return_to(self, program: Installation | None) -> None:
        """Put an older program in the place of the present one, whose rules have to go."""
        # The program to return to may be among the retired ones: it must not be removed with them.
        self.retire()
        if program in self.retired:
            self.retired.remove(program)
        self.program = program

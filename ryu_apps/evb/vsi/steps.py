"""What the lifecycle says, and what it is waiting for: the vocabulary between it and its surroundings."""

from __future__ import annotations

from dataclasses import dataclass, field

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.io import Apply, Happened, ReadRules, Save
from ryu_apps.evb.protocol.vdp_bridge import Denied, Granted, Recalled, Released
from ryu_apps.evb.vsi.bodies import TypeBody
from ryu_apps.evb.vsi.registry import Attachment, Program, Vsi


# --- what it says -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Verdict:
    """What to feed to the VDP machine of an attachment."""

    attachment: Attachment
    event: Granted | Denied | Released | Recalled


@dataclass(frozen=True, slots=True)
class Distrust:
    """A switch refused what it should have taken: compare all it holds with what it should hold."""

    dpid: int


@dataclass(frozen=True, slots=True)
class Activated:
    """A VSI's gate is open, newly or at another port, and every switch has confirmed."""

    vsi: Vsi


Outcome = Apply | ReadRules | Save | Happened | Verdict | Distrust | Activated


# --- what it waits for, by the token that ends the waiting -----------------------------------------
@dataclass(eq=False, slots=True)
class Staging:
    """A body on its way into a switch; several programs may wait for a shared one."""

    waiting: list[tuple[Attachment, Program]]
    shared: TypeBody | None = None


@dataclass(eq=False, slots=True)
class Extraction:
    """What one switch has learnt for a VSI, being read for a program elsewhere.

    Attributes:
        attachment, program: whom it is for.
        early: only what goes ahead of the Associate.
    """

    attachment: Attachment
    program: Program
    early: bool = False


@dataclass(eq=False, slots=True)
class FixUp:
    """What was learnt since a program was staged, on its way to it."""

    attachment: Attachment
    program: Program
    rules: tuple[Rule, ...]


@dataclass(eq=False, slots=True)
class Flip:
    """A gate on its way over.

    Attributes:
        old_owner, old_program: who had the gate when no flip was under way, and gets it back.
        displaced: whoever has to be told that the VSI has gone elsewhere.
    """

    attachment: Attachment
    program: Program
    old_owner: Attachment | None
    old_program: Program | None
    displaced: tuple[Attachment, ...] = ()
    waiting: set[int] = field(default_factory=set)
    saving: bool = False
    settled: bool = False


@dataclass(eq=False, slots=True)
class Closing:
    """A gate being shut because its VSI leaves."""

    attachment: Attachment


@dataclass(eq=False, slots=True)
class Granting:
    """A grant on its way into the store."""

    attachment: Attachment
    attempt: int


@dataclass(eq=False, slots=True)
class Forgetting:
    """The end of an attachment (None: of some, tried again) on its way into the store."""

    attachment: Attachment | None
    keys: frozenset[str]


@dataclass(eq=False, slots=True)
class Sweep:
    """A body being removed."""

    attachment: Attachment | None
    index: int | None = None


Step = Staging | Extraction | FixUp | Flip | Granting | Closing | Forgetting | Sweep

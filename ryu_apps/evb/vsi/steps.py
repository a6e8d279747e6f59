"""Steps of the lifecycle that wait for an answer, by the token that ends the waiting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.flow.plan import RuleSet
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.protocol.vdp_bridge import Denied
from ryu_apps.evb.vsi.bodies import TypeBody
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment, SourceState


@dataclass(frozen=True, slots=True)
class Announcement:
    """Frames that show other edges where the VSI of an attachment is; they can wait for the answer to the station."""

    attachment: Attachment
    frames: tuple[SendFrame, ...]


@dataclass(eq=False, slots=True)
class Staging:
    """A body, or members of sets, on the way into a switch; several programs may wait for what they share.

    Attributes:
        of_others: the rules are part of the gates of other VSIs, which have them whatever becomes of these programs.
    """

    waiting: list[tuple[Attachment, Installation]]
    shared: TypeBody | None = None
    of_others: bool = False


class ReadOut(Enum):
    """Purpose of a reading of a VSI's state."""

    STAGING = "to stage it with the body"
    EARLY = "the source is done with the VM"
    FINAL = "the gate is open"


@dataclass(eq=False, slots=True)
class FixUp:
    """State that was learnt since a program was staged, on its way to it.

    Attributes:
        waiting: number of rules by service in each change that is not confirmed, by its token.
        done: number of rules by service in force.
        complete: no further change follows.
    """

    attachment: Attachment
    waiting: dict[int, Counter[str]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    complete: bool = False


@dataclass(eq=False, slots=True)
class StateReadOut:
    """A reading of the state that one switch has learned for a VSI, for a program elsewhere.

    Attributes:
        source: datapath id of the switch that is read.
        fix_up: the changes that follow from it.
        found: state to be staged with the body, as it will be once the gate is open.
        staged: the same with the timeouts of staged state.
        unseen: staged state that the switch has not shown yet; None: it has shown nothing.
        excess: state that is not on its way yet: there is no room so far, or it is sent with more.
    """

    attachment: Attachment
    program: Installation
    reading: ReadOut
    source: int
    fix_up: FixUp
    found: RuleSet = field(default_factory=dict)
    staged: list[Rule] = field(default_factory=list)
    unseen: RuleSet | None = None
    excess: tuple[Rule, ...] = ()


@dataclass(eq=False, slots=True)
class GateSwitch:
    """A change that moves the gate of a VSI, until all switches and the store have confirmed it.

    Attributes:
        old_owner, old_program: attachment and program of the gate before the change, which get it back if it fails.
        source: place of the VSI's state before the change.
        displaced: attachments that had the gate before, also those whose change was not confirmed by every switch.
        waiting: tokens of what has to be confirmed: the changes of the switches, and the writing of the records.
        recorded: attachments whose records are written with it, or were by the changes that it has overtaken.
        overtaken: those of the latter.
        voided: attachments whose announcements do not count any more once the gate is open.
    """

    attachment: Attachment
    program: Installation
    old_owner: Attachment | None
    old_program: Installation | None
    source: SourceState | None
    displaced: tuple[Attachment, ...] = ()
    waiting: set[int] = field(default_factory=set)
    recorded: tuple[Attachment, ...] = ()
    overtaken: tuple[Attachment, ...] = ()
    voided: tuple[Attachment, ...] = ()
    settled: bool = False

    @property
    def losers(self) -> list[Attachment]:
        """Attachments that the VSI is taken from, and that get a De-Associate when the change is confirmed."""
        displaced = dict.fromkeys(self.displaced)
        return [loser for loser in displaced if loser is not self.attachment and loser.present]


@dataclass(eq=False, slots=True)
class GateChange:
    """The change of one switch that opens a gate, shuts one, or moves it from one program to another.

    Attributes:
        dpid: of the switch.
        attachment: on whose behalf the change is sent.
        shut: attachment and program that the gate led to and does not lead to any more; None: there was no gate.
        opening: what waits for the change; None: no gate is opened for the first time, or the switch follows.
    """

    dpid: int
    attachment: Attachment
    shut: tuple[Attachment, Installation] | None
    opening: GateSwitch | None


@dataclass(eq=False, slots=True)
class Granting:
    """A grant on its way into the store."""

    attachment: Attachment
    attempt: int


@dataclass(eq=False, slots=True)
class TakingBack:
    """The records of before a gate was to be opened, on their way into the store.

    Attributes:
        attachment: the one whose gate was to be opened.
        recorded: attachments whose records are written or deleted.
        denied: what its machine is fed then; None: it does not wait for that.
    """

    attachment: Attachment
    recorded: tuple[Attachment, ...]
    denied: Denied | None = None


@dataclass(eq=False, slots=True)
class Forgetting:
    """The end of an attachment (None: of some, tried again) on its way into the store."""

    attachment: Attachment | None
    keys: frozenset[str]


@dataclass(eq=False, slots=True)
class DeleteByCookie:
    """A body being removed."""

    attachment: Attachment | None
    index: int | None = None


PendingStep = (
    Staging | StateReadOut | FixUp | GateChange | GateSwitch | Granting | TakingBack | Forgetting | DeleteByCookie
)


def concerned(step: PendingStep) -> tuple[Attachment, ...]:
    """Attachments for which a switch carries out a step; those that wait for the store only are not among them."""
    match step:
        case Staging(waiting):
            return tuple(attachment for attachment, _ in waiting)
        case GateChange(attachment=attachment) | DeleteByCookie(Attachment() as attachment):
            return (attachment,)
    return ()


def is_answered(step: PendingStep | None) -> bool:
    """True for a step whose refusal is an answer to a station: a body, or a read, of a VSI alone."""
    return isinstance(step, StateReadOut) or (isinstance(step, Staging) and not step.of_others)

"""Pending changes of VSIs: tokens, what each of them will end, and decisions for the VDP machines."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Concatenate, ParamSpec

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.effect import GATE_LANE, Apply, EndRead, Mode, ReadRules, Save
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.pipeline.tables import OWNER_BITS
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate, Denied, Granted, Released
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.steps import Announcement, DeleteByCookie, PendingStep, concerned

#: Lanes of type bodies, and of the multicast groups of VIDs, start here; lanes of VSI bodies are their indices.
_TYPE_LANE, _GROUP_LANE = 1 << OWNER_BITS, 2 << OWNER_BITS

Decision = Granted | Denied | Released | BridgeDeassociate

P = ParamSpec("P")


def type_lane(epoch: int) -> int:
    """Return the lane of a type body."""
    return _TYPE_LANE + epoch


def group_lane(vid: int) -> int:
    """Return the lane of the multicast groups of a VID, which VSIs share."""
    return _GROUP_LANE + vid


class PendingChanges:
    """Sender of changes and writings, with what each of them will end.

    Attributes:
        up: datapath ids of the switches that may be changed step by step.
        steps: what the answer to each token will end.
        decisions: attachments and what to feed to their VDP machines, in order; ``bridge.requests`` takes them.
        announcements: frames that can wait for the answers to the stations.
        ahead: changes that were sent ahead of what asks for them, with their tokens, by datapath id.
        owner: component that answers are for, unless a change names another one.
    """

    def __init__(self, tokens: TokenTable, effects: EffectSink) -> None:
        self.owner = TokenOwner()
        self.up: set[int] = set()
        self.steps: dict[int, PendingStep] = {}
        self.decisions: deque[tuple[Attachment, Decision]] = deque()
        self.announcements: list[Announcement] = []
        self.ahead: dict[int, tuple[RuleChange, int]] = {}
        self._tokens = tokens
        self._effects = effects

    @property
    def now(self) -> float:
        """Time of the event that is being processed, monotonic seconds."""
        return self._effects.now

    def send(self, dpid: int, change: RuleChange, mode: Mode, lane: int, owner: TokenOwner | None = None) -> int:
        """Change a switch; returns the token, whose answer goes to ``owner`` (None: to :attr:`owner`)."""
        if self.ahead and owner is None and self.ahead.get(dpid, (None, 0))[0] is change:
            return self.ahead.pop(dpid)[1]
        token = self._tokens.take(owner or self.owner)
        self._effects.put(Apply(dpid, token, change, mode, lane))
        return token

    def send_ahead(self, dpid: int, change: RuleChange) -> None:
        """Send the change of a gate; :meth:`send` finds it sent."""
        token = self._tokens.take(self.owner)
        self.ahead[dpid] = change, token
        self._effects.put(Apply(dpid, token, change, Mode.ATOMIC, GATE_LANE))

    def take_unasked(self) -> list[int]:
        """Remove the changes that were sent ahead of what has not asked for them; returns their switches."""
        for _change, token in self.ahead.values():
            self._tokens.give_back(token)
        unasked, self.ahead = list(self.ahead), {}
        return unasked

    def send_if_up(self, dpid: int, change: RuleChange, mode: Mode, lane: int) -> int | None:
        """As :meth:`send`; None: there is nothing to change, or the switch is away, and is compared when it returns."""
        return self.send(dpid, change, mode, lane) if change and dpid in self.up else None

    def sweep(
        self,
        dpid: int,
        change: RuleChange,
        mode: Mode,
        lane: int,
        attachment: Attachment | None,
        index: int | None = None,
    ) -> bool:
        """Delete rules by their cookies; False: the switch is away, and is compared when it returns.

        Args:
            attachment: the one that waits for it.
            index: is free afterwards.
        """
        if dpid not in self.up:
            return False
        token = self.send(dpid, change, mode, lane)
        self.steps[token] = DeleteByCookie(attachment, index)
        if attachment is not None:
            attachment.holding.sweeping += (token,)
        return True

    def unanswered(self) -> int:
        """Return a token that nothing is sent with."""
        return self._tokens.take()

    def defer(self, step: PendingStep) -> int:
        """Note a step that several changes will end together; returns its token, which no switch is sent."""
        token = self.unanswered()
        self.steps[token] = step
        return token

    def read(
        self,
        dpid: int,
        mask: CookieMask,
        lane: int,
        parts: tuple[RulePart, ...] = (),
        most: int | None = None,
        owner: TokenOwner | None = None,
    ) -> int:
        """Read rules in portions, before later changes of a lane (:class:`ReadRules`); returns the token.

        Args:
            owner: as of :meth:`send`.
        """
        token = self._tokens.take(owner or self.owner)
        self._effects.put(ReadRules(dpid, token, mask, lane=lane, parts=parts, most=most))
        return token

    def end_read(self, dpid: int, token: int) -> None:
        """End a read that is under way; its token is not answered any more."""
        self.steps.pop(token, None)
        self._tokens.give_back(token)
        self._effects.put(EndRead(dpid, token))

    def write(self, changes: dict[str, bytes | None], owner: TokenOwner | None = None) -> int:
        """Write records; returns the token, whose answer goes to ``owner`` (None: to :attr:`owner`)."""
        token = self._tokens.take(owner or self.owner)
        self._effects.put(Save(token, changes))
        return token

    def under_way(self, port: PortId) -> int:
        """Return the number of VSIs of a port that switches are working on."""
        if not self.steps:
            return 0
        attachments = (attachment for step in self.steps.values() for attachment in concerned(step))
        return len({attachment for attachment in attachments if attachment.port == port})

    def decide(self, attachment: Attachment, decision: Decision) -> None:
        """Leave a decision for the VDP machine of an attachment."""
        self.decisions.append((attachment, decision))

    def log(
        self,
        made: Callable[Concatenate[PortId, str, P], LogEvent],
        attachment: Attachment,
        *details: P.args,
        **named: P.kwargs,
    ) -> None:
        """Log an event of a class about the VSI and the port of an attachment."""
        self._effects.put(attachment.log_event(made, *details, **named))

"""What the parts of the lifecycle share: tokens, who waits for which, and what they have to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events import Apply, Mode, ReadRules, Save
from ryu_apps.evb.flow.rule import CookieMask, RuleChange
from ryu_apps.evb.protocol.vdp_bridge import Denied, Granted, Recalled, Released
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.steps import LifecycleOutput, PendingStep, RequestDecided, concerned

P = ParamSpec("P")


class PendingChanges:
    """Hands out tokens and collects what is to be done.

    Attributes:
        up: datapath ids of the switches that may be changed step by step.
        steps: what each token that is out will end.
    """

    def __init__(self) -> None:
        self.up: set[int] = set()
        self.steps: dict[int, PendingStep] = {}
        self._token = 0
        self._out: list[LifecycleOutput] = []

    def next_token(self) -> int:
        """A number no change has had before."""
        self._token += 1
        return self._token

    def send(self, dpid: int, change: RuleChange, mode: Mode, lane: int) -> int:
        """Change a switch; the token of the change."""
        token = self.next_token()
        self._out.append(Apply(dpid, token, change, mode, lane))
        return token

    def read(self, dpid: int, mask: CookieMask) -> int:
        """Read rules of a switch; the token of the question."""
        token = self.next_token()
        self._out.append(ReadRules(dpid, token, mask))
        return token

    def write(self, changes: dict[str, bytes | None]) -> int:
        """Write records; the token of the writing."""
        token = self.next_token()
        self._out.append(Save(token, changes))
        return token

    def under_way(self, port: PortId) -> int:
        """The number of VSIs of a port that switches are working on."""
        attachments = (one for step in self.steps.values() for one in concerned(step))
        return len({one for one in attachments if one.port == port})

    def say(self, outcome: LifecycleOutput) -> None:
        """Whatever else there is."""
        self._out.append(outcome)

    def verdict(self, attachment: Attachment, event: Granted | Denied | Released | Recalled) -> None:
        """Feed the VDP machine of an attachment."""
        self.say(RequestDecided(attachment, event))

    def happened(
        self,
        made: Callable[Concatenate[PortId, str, P], LogEvent],
        attachment: Attachment,
        *details: P.args,
        **named: P.kwargs,
    ) -> None:
        """Emit an event of a class about the VSI and the port of an attachment."""
        self.say(made(attachment.port, attachment.text, *details, **named))

    def take(self) -> list[LifecycleOutput]:
        """What has come together since the last time."""
        taken, self._out = self._out, []
        return taken

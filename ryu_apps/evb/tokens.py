"""Tokens of effects that are answered, and the component that each answer is for.

An effect that is answered bears a token.  Its sender takes the token here and owns it until the answer.
So an answer finds its owner at once, and no component has to be asked whether a token is its own.
"""

from __future__ import annotations

from ryu_apps.evb.flow.rule import MeterCount, Rule
from ryu_apps.evb.flow.shown import ShownRules


class TokenOwner:
    """A component that waits for answers; an answer that it does not override changes nothing."""

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Process the confirmation of a change of a switch."""

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Process the refusal or loss of a change or a read of a switch."""

    def rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process the rules that a switch has shown."""

    def rules_shown(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Process a portion of the rules of a read; :meth:`rules_read` brings the last one."""

    def switch_read(self, dpid: int, token: int, shown: ShownRules, now: float) -> None:
        """Process all rules that a switch has shown."""

    def rules_omitted(self, dpid: int, token: int, now: float) -> None:
        """Process that a switch has more rules than a read permits."""

    def meters_read(self, dpid: int, token: int, counts: tuple[MeterCount, ...], now: float) -> None:
        """Process what meters of a switch have counted."""

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the end of a writing; ``failure`` None: the store holds it."""


class TokenTable:
    """Owners of the tokens that are not answered yet.

    Attributes:
        otherwise: the owner of tokens that were taken without one, and of answers that come a second time.
    """

    def __init__(self) -> None:
        self.otherwise = TokenOwner()
        self._owners: dict[int, TokenOwner] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._owners)

    def take(self, owner: TokenOwner | None = None) -> int:
        """Return a number that no effect has had before; its answer goes to ``owner``."""
        self._last += 1
        if owner is not None:
            self._owners[self._last] = owner
        return self._last

    def give_back(self, token: int) -> None:
        """Forget the owner of a token whose answer does not matter any more, or may never come."""
        self._owners.pop(token, None)

    def confirm(self, dpid: int, token: int, now: float) -> None:
        """Hand the confirmation of a change to its owner."""
        self._release(token).confirmed(dpid, token, now)

    def reject(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Hand the refusal or loss of a change or a read to its owner."""
        self._release(token).rejected(dpid, token, reason, now)

    def read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Hand the rules that a switch has shown to the owner of the read."""
        self._release(token).rules_read(dpid, token, rules, now)

    def read_switch(self, dpid: int, token: int, shown: ShownRules, now: float) -> None:
        """Hand all rules that a switch has shown to the owner of the read."""
        self._release(token).switch_read(dpid, token, shown, now)

    def omit(self, dpid: int, token: int, now: float) -> None:
        """Tell the owner of a read that there are more rules than it permits."""
        self._release(token).rules_omitted(dpid, token, now)

    def show(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        """Hand a portion of the rules of a read to its owner, who keeps the token."""
        self._owners.get(token, self.otherwise).rules_shown(dpid, token, rules, now)

    def read_meters(self, dpid: int, token: int, counts: tuple[MeterCount, ...], now: float) -> None:
        """Hand what meters have counted to the owner of the read."""
        self._release(token).meters_read(dpid, token, counts, now)

    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Hand the end of a writing to its owner."""
        self._release(token).saved(token, failure, now)

    def _release(self, token: int) -> TokenOwner:
        return self._owners.pop(token, self.otherwise)

"""The sink of effects: components put what is to be done there, in order, and the engine takes it."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.events.effect import Effect


class EffectSink:
    """Effects of one event, in the order in which components put them.

    Attributes:
        now: time of the event, monotonic seconds.
    """

    def __init__(self, passing: Callable[[Effect], Effect] = lambda effect: effect) -> None:
        """
        Args:
            passing: sees every effect when it is put, and returns it, or what takes its place.
        """
        self.now = 0.0
        self._passing = passing
        self._effects: list[Effect] = []

    def put(self, effect: Effect) -> None:
        """Append an effect."""
        self._effects.append(self._passing(effect))

    def take(self) -> list[Effect]:
        """Return and clear the effects, in order."""
        taken, self._effects = self._effects, []
        return taken

"""Selection of the connections that stay when there are more than the limit."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar


class OpenConnection(Protocol):
    """A connection.

    Attributes:
        origin: what counts as one peer.
    """

    @property
    def origin(self) -> str: ...


G = TypeVar("G", bound=OpenConnection)


class ConnectionLimit(Generic[G]):
    """Bounds in all and for each origin.

    Connections of which nothing is known yet give way: a new one takes the place of the oldest such connection of
    its own origin, or, if there is no room at all, of the origin that has most.  Idle connections, however many
    and of whomever, so never keep out the one that has something to say at once.

    Args:
        most: bound in all.
        most_each: bound for an origin.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most, self._most_each = most, most_each
        self._inside: dict[str, dict[G, bool]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, guest: G) -> G | None:
        """Let a connection in.

        Returns:
            Which one has to go, perhaps the new one itself.
        """
        mine = self._inside.setdefault(guest.origin, {})
        mine[guest] = True
        self._count += 1
        if len(mine) > self._most_each:
            return self._give_up(mine, guest)
        if self._count > self.most:
            return self.make_room(guest)
        return None

    def make_room(self, otherwise: G | None = None) -> G | None:
        """Give up a connection of the origin that has most of those that can be given up."""
        fullest: dict[G, bool] = max(self._inside.values(), key=lambda one: sum(one.values()), default={})
        return self._give_up(fullest, otherwise)

    def _give_up(self, among: dict[G, bool], otherwise: G | None) -> G | None:
        oldest = next((guest for guest, yields in among.items() if yields), otherwise)
        if oldest is not None:
            self.leave(oldest)
        return oldest

    def hold(self, guest: G, yields: bool = False) -> None:
        """From now on it is not given up for others; or, if it ``yields``, it is again, as the newest."""
        mine = self._inside.get(guest.origin, {})
        if guest in mine:
            del mine[guest]
            mine[guest] = yields

    def leave(self, guest: G) -> None:
        """It counts no longer."""
        mine = self._inside.get(guest.origin, {})
        if guest in mine:
            del mine[guest]
            self._count -= 1
            if not mine:
                del self._inside[guest.origin]

"""VSIs that this pod has: what it has claimed, compared with what is active and with what the directory says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from ryu_apps.evb.events.other import HandOver
from ryu_apps.evb.pods.directory import DirectoryError
from ryu_apps.evb.pods.owner import Owner, following, returned
from ryu_apps.pod_link.interfaces import Deliver, OwnDirectory
from ryu_apps.pod_link.repetition import Repetition

#: Seconds after which a claim that another pod has neither made firm nor given back is taken for abandoned, and seconds
#: for which a VSI of this pod that is active nowhere keeps its owner: longer than all requests between pods take.
ABANDONED, UNUSED = 30.0, 30.0


class Holdings:
    """Claims of this pod that have succeeded, and a look at what differs from them."""

    def __init__(
        self,
        pod: str,
        directory: OwnDirectory,
        active: Callable[[], Iterable[str]],
        clock: Callable[[], float],
        counters: Counter[str],
    ) -> None:
        """
        Args:
            pod: name of this pod.
            active: returns the VSIs that are active at a port here.
            clock: Unix time in seconds.
            counters: of what happens.
        """
        self._pod = pod
        self._directory = directory
        self._active = active
        self._clock = clock
        self._counters = counters
        self._life: int | None = None
        self._begun = False
        self._deliver: Deliver = lambda event: None
        self._held: dict[str, Owner] = {}
        self._lost: set[str] = set()
        self._doubtful: dict[str, tuple[Owner, float]] = {}
        self._unused: dict[str, float] = {}
        self.repetition = Repetition()
        directory.watch(self._changed)

    @property
    def life(self) -> int | None:
        """The present life of the pod; None: another bridge of it leads."""
        return self._life

    def serve(self, life: int | None, deliver: Deliver) -> None:
        """Go on as another life, which knows only what the directory says."""
        self._life, self._deliver, self._begun = life, deliver, False
        for forgotten in (self._held, self._lost, self._doubtful, self._unused, self.repetition):
            forgotten.clear()
        self._begin_life()

    # --- claims ---
    def newest(self, vsi: str) -> Owner | None:
        """The latest claim of this pod that is known; None: there is none."""
        known = [owner for owner in (self._held.get(vsi), self._directory.own.get(vsi)) if owner is not None]
        return max(known, key=lambda owner: owner.generation, default=None)

    def take(self, vsi: str, owner: Owner) -> None:
        """Note that a claim has succeeded."""
        self._held[vsi] = owner

    def drop(self, vsi: str) -> None:
        """Note that another pod has a VSI."""
        self._held.pop(vsi, None)

    def release(self, vsi: str) -> None:
        """Remove the owner of a VSI that has gone; if its former pod may have it, that one is the owner again."""
        owner = self.newest(vsi)
        self._held.pop(vsi, None)
        if owner is None or self._life is None:
            return
        mine = owner._replace(life=self._life)
        former = returned(mine)
        if former is None:
            self.repetition.write(partial(self._directory.release, vsi, mine))
        else:
            self.repetition.write(partial(self._directory.give_back, vsi, mine, former))

    # --- the directory ---
    def _begin_life(self) -> None:
        life = self._life
        if life is None:
            return

        def ended(error: DirectoryError | None) -> None:
            if error is None and self._life == life:
                self._begun = True
                self._compare()

        self._directory.begin_life(self._pod, life, ended)

    def _changed(self, gone: frozenset[str] | None) -> None:
        if gone is None:
            self._compare()
        else:
            self._lost |= gone

    def _compare(self) -> None:
        """Look up the owners of all active VSIs that this pod does not have according to the directory."""
        if self._begun:
            own = self._directory.own
            self._lost |= {vsi for vsi in self._active() if vsi not in own}

    def look(self, now: float, is_claimed: Callable[[str], bool]) -> None:
        """Do what has to be repeated; once a second.

        Args:
            is_claimed: returns True for a VSI that is being claimed.
        """
        if not self._directory.usable or self._life is None:
            return
        if not self._begun:
            self._begin_life()
            return
        self.repetition.again()
        lost, active = self._lost, set(self._active())
        self._lost = {vsi for vsi in lost if is_claimed(vsi)}
        for vsi in (lost & active) - self._lost:
            self._directory.find(vsi, partial(self._settle, vsi, now))
        self._release_unused(now, active, is_claimed)

    def _release_unused(self, now: float, active: set[str], is_claimed: Callable[[str], bool]) -> None:
        """Release what is active nowhere, as after a crash between the claim and the gate."""
        idle = [vsi for vsi in self._directory.own if vsi not in active and not is_claimed(vsi)]
        self._unused = {vsi: self._unused.get(vsi, now) for vsi in idle}
        for vsi, since in list(self._unused.items()):
            if now >= since + UNUSED:
                del self._unused[vsi]
                self._counters["released"] += 1
                self.release(vsi)

    # --- an active VSI of which the directory says something else ---
    def _settle(self, vsi: str, now: float, owner: Owner | DirectoryError | None) -> None:
        if isinstance(owner, DirectoryError):
            self._lost.add(vsi)
        elif owner is None:
            self._claim(vsi, 0)
        elif owner.pod == self._pod or self._has_claimed_since(vsi, owner):
            self._doubtful.pop(vsi, None)
        elif owner.firm:
            self.drop(vsi)
            self._counters["lost"] += 1
            self._deliver(HandOver(vsi, owner.pod))
        else:
            # Its pod will ask for it, or give it back.
            self._await(vsi, owner, now)

    def _has_claimed_since(self, vsi: str, owner: Owner) -> bool:
        held = self._held.get(vsi)
        return held is not None and held.generation > owner.generation

    def _await(self, vsi: str, owner: Owner, now: float) -> None:
        seen, since = self._doubtful.get(vsi, (None, now))
        if seen != owner:
            since = now
        self._doubtful[vsi] = owner, since
        if now < since + ABANDONED:
            self._lost.add(vsi)
            return
        del self._doubtful[vsi]
        self._counters["reclaimed"] += 1
        self._claim(vsi, owner.generation)

    def _claim(self, vsi: str, expected: int) -> None:
        """Write that this pod has a VSI whose gate is open here: no other one has."""
        assert self._life is not None
        mine = Owner(self._pod, self._life, following(expected, int(self._clock() * 1000)))
        self._held[vsi] = mine

        def ended(error: DirectoryError | None) -> None:
            if error is not None:
                if self._held.get(vsi) == mine:
                    del self._held[vsi]
                self._lost.add(vsi)

        self._directory.claim(vsi, mine, expected, ended)

"""Flips that were prepared, beside those that are computed when they are asked for: changes, floods and octets."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.events.effect import Apply, Effect, Mode, Prepare
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.vsi.flips import Flips, memberships
from ryu_apps.evb.vsi.floods import Floods
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.prepared_flips import Flip
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from tests.worlds.associate_path import ObligingSwitch
from tests.worlds.bridge import World


def flips_of(engine: Engine) -> Flips:
    """Return the flips of an engine."""
    return engine.lifecycle.preparation._flips


class FlipComparison:
    """Compares each flip of a world with one computed from nothing; an assertion fails where they differ.

    Attributes:
        used: number of flips so far that had been prepared.
    """

    def __init__(self, world: World) -> None:
        self.used = 0
        self._world = world
        self._engine: Engine | None = None
        self._prepared = {dpid: ObligingSwitch(dpid) for dpid in world.fabric.switches}
        self._unprepared = {dpid: ObligingSwitch(dpid) for dpid in world.fabric.switches}
        self._follow()
        world.observers.append(self.observe)

    def observe(self, event: Event, effects: list[Effect]) -> None:
        """Compare the octets of changes that were prepared, and of the same when they were not."""
        self._follow()
        for effect in effects:
            if isinstance(effect, Prepare):
                self._prepared[effect.dpid].driver.prepare(effect.change)
                # Its switch has checked the same, but the driver does not know this object.
                self._unprepared[effect.dpid].driver.prepare(replace(effect.change))
                self._answer(effect.dpid)
            elif isinstance(effect, Apply) and effect.mode is Mode.ATOMIC and self._extended(effect.dpid):
                self._compare(effect)

    def compare_prepared(self) -> None:
        """Compare every flip that is prepared and holds."""
        self._follow()
        flips = flips_of(self._world.engine)
        for attachment in self._world.engine.registry.attachments():
            program = attachment.holding.program
            if program is not None and flips.is_prepared(attachment, program):
                prepared = flips._prepared.get(program)
                assert prepared is not None
                place = flips.place(attachment, program)
                flip, _ = self._computed(attachment.vsi, attachment, program, place, ())
                _same(prepared.flip, flip)

    def _extended(self, dpid: int) -> bool:
        return self._world.fabric.switches[dpid].extended

    def _answer(self, dpid: int) -> None:
        self._prepared[dpid].answer()
        self._unprepared[dpid].answer()

    def _compare(self, apply: Apply) -> None:
        prepared, unprepared = self._prepared[apply.dpid], self._unprepared[apply.dpid]
        unprepared.next_xid = prepared.next_xid
        for switch in (prepared, unprepared):
            switch.driver.submit(apply)
        assert prepared.unanswered == unprepared.unanswered
        self._answer(apply.dpid)

    def _follow(self) -> None:
        if self._engine is self._world.engine:
            return
        self._engine = self._world.engine
        flips = flips_of(self._engine)
        take = flips.take

        def compared(
            vsi: Vsi,
            owner: Attachment | None,
            program: Installation | None,
            place: Interface | None,
            pages: tuple[int | None, ...],
        ) -> Flip:
            expected, floods = self._computed(vsi, owner, program, place, pages)
            prepared = None if program is None else flips._prepared.get(program)
            flip = take(vsi, owner, program, place, pages)
            self.used += prepared is not None and prepared.flip is flip
            _same(flip, expected)
            for dpid in self._world.fabric.switches:
                assert flips._floods.rules(dpid) == floods.rules(dpid)
            return flip

        flips.take = compared  # type: ignore[method-assign]

    def _computed(
        self,
        vsi: Vsi,
        owner: Attachment | None,
        program: Installation | None,
        place: Interface | None,
        pages: tuple[int | None, ...],
    ) -> tuple[Flip, Floods]:
        flips, fabric = flips_of(self._world.engine), self._world.fabric
        floods = deepcopy(flips._floods, {id(fabric): fabric})
        members = memberships(owner, program, place, floods.plain)
        shared = floods.change(vsi.text, vsi.members, members, pages)
        rotated = flips._pools.preview(vsi.text, program if place is not None else None)
        return flips._composed(vsi, owner, program, place, members, shared, rotated), floods


def _same(flip: Flip, expected: Flip) -> None:
    assert (flip.gates, flip.members, flip.changes) == (expected.gates, expected.members, expected.changes)
    assert flip.open_meter == expected.open_meter

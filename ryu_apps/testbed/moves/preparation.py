"""Steps before a reservation: the OVF is pushed to a hypervisor, and its bridge is asked with a plain Pre-Associate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Hypervisor
from ryu_apps.testbed.harness.station import VdptoolMode, VdptoolVsi
from ryu_apps.testbed.ladder.model import LadderStep, Lane
from ryu_apps.testbed.moves.attempt import Attempt, MigrationRefused, granted_network
from ryu_apps.vcm.move_events import Do, GrantedNetwork, MoveStep


class _Rung(NamedTuple):
    """A line of the ladder, which may be of a node that is not the destination in the end."""

    t: float
    node: str
    from_manager: bool
    text: str


class Preparations:
    """Prepared nodes of VMs, with their part of the ladder, until an attempt begins."""

    def __init__(
        self,
        hypervisors: Mapping[str, Hypervisor],
        texts: Mapping[str, str],
        vsis: Callable[[str, str], Sequence[VdptoolVsi]],
    ) -> None:
        """
        Args:
            texts: descriptor of each VM that has one.
            vsis: of a VM at a node, as that hypervisor knows them.
        """
        self._hypervisors, self._texts, self._vsis = hypervisors, texts, vsis
        self._rungs: dict[str, list[_Rung]] = {}

    def concern(self, do: Do) -> bool:
        """Return True if a step belongs here: no attempt has begun since the VM was last prepared for."""
        return do.step in _STEPS and (do.step is not MoveStep.RELEASE or do.vm in self._rungs)

    def perform(self, do: Do) -> GrantedNetwork | None:
        """Carry a step out; returns the network that the bridge answers to a probe.

        Raises:
            TestbedError: the hypervisor does not take the OVF, or its bridge refuses.
        """
        return _STEPS[do.step](self, do)

    def hand_over(self, attempt: Attempt) -> None:
        """Begin the ladder of an attempt with what has been prepared for it."""
        for rung in self._rungs.pop(attempt.vm.name, ()):
            there = Lane.DESTINATION if rung.node == attempt.destination.name else Lane.VCM
            other = f"{'to' if rung.from_manager else 'from'} {rung.node}: {rung.text}"
            text = rung.text if there is Lane.DESTINATION else other
            ends = (Lane.VCM, there) if rung.from_manager else (there, Lane.VCM)
            attempt.evidence.steps.append(LadderStep(rung.t, *ends, text))

    def _push(self, do: Do) -> None:
        self._hypervisors[do.node].definitions.accept(do.vm, self._texts[do.vm])
        self._note(do, True, f"OVF pushed: {do.vm}, {len(self._texts[do.vm].encode())} octets")

    def _probe(self, do: Do) -> GrantedNetwork | None:
        """Ask for all VSIs, and withdraw those that were granted; returns the network of the first."""
        hypervisor, vsis = self._hypervisors[do.node], self._vsis(do.vm, do.node)
        self._note(do, True, f"probe for {do.vm}: plain Pre-Associate")
        networks, granted = [], []
        try:
            for vsi in vsis:
                answer = hypervisor.request(VdptoolMode.PREASSOCIATE, vsi, migrating=True)
                if not answer.granted:
                    self._note(do, False, f"would not do: {answer.reason}")
                    raise MigrationRefused(answer.reason)
                granted.append(vsi)
                networks.append(granted_network(vsi, answer))
            words = [str(network) for network in networks if network is not None]
            self._note(do, False, f"would do: {'; '.join(words)}" if words else "would do")
        finally:
            for vsi in granted:
                hypervisor.request(VdptoolMode.DEASSOCIATE, vsi)
        return networks[0]

    def _release(self, do: Do) -> None:
        """Withdraw a probe that was answered too late, or when it was not wanted any more."""
        with suppress(TestbedError):  # without a descriptor nothing has been requested
            for vsi in self._vsis(do.vm, do.node):
                self._hypervisors[do.node].request(VdptoolMode.DEASSOCIATE, vsi)

    def _note(self, do: Do, from_manager: bool, text: str) -> None:
        self._rungs.setdefault(do.vm, []).append(_Rung(time.monotonic(), do.node, from_manager, text))


_STEPS: dict[MoveStep, Callable[[Preparations, Do], GrantedNetwork | None]] = {
    MoveStep.PUSH: Preparations._push,
    MoveStep.PROBE: Preparations._probe,
    MoveStep.RELEASE: Preparations._release,
}

"""Effects in a wrong order, which the model of the bridge has to find."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ryu_apps.evb.bridge.answers import Answers
from ryu_apps.evb.model import Phase as StagingPhase
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.protocol.vdp_bridge import Granted
from ryu_apps.evb.vsi.grants import Grants
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.withdrawal import Withdrawal
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_bridge_model import BridgeModel

Patch = Callable[[pytest.MonkeyPatch], None]


class OrderModel(BridgeModel):
    """The model, ended at the first finding: what a wrong order leaves behind is not of interest."""

    def teardown(self) -> None:
        """Leave everything as it is."""


def open_gate_before_body(patch: pytest.MonkeyPatch) -> None:
    stage = Lifecycle.stage

    def swapped(self: Lifecycle, attachment: Attachment, vsi_type: VsiType) -> None:
        stage(self, attachment, vsi_type)
        program = attachment.holding.program
        waits = program is not None and program.phase is StagingPhase.STAGING and program.waiting
        if program is not None and waits and attachment.machine.wanted is VdpMode.ASSOCIATE:
            self.activation._activate(attachment, program)

    patch.setattr(Lifecycle, "stage", swapped)


def grant_before_store(patch: pytest.MonkeyPatch) -> None:
    grant = Grants.grant

    def swapped(self: Grants, attachment: Attachment) -> None:
        grant(self, attachment)
        self._pending.decide(attachment, Granted(attachment.machine.attempt))

    patch.setattr(Grants, "grant", swapped)


def remove_body_before_gate(patch: pytest.MonkeyPatch) -> None:
    sweep = Withdrawal._sweep_unreachable

    def swapped(self: Withdrawal, attachment: Attachment) -> None:
        for program in attachment.holding.programs:
            program.closing = ()
        sweep(self, attachment)

    patch.setattr(Withdrawal, "_sweep_unreachable", swapped)


def end_before_removal(patch: pytest.MonkeyPatch) -> None:
    forget = Withdrawal._forget_when_swept

    def swapped(self: Withdrawal, attachment: Attachment) -> None:
        attachment.holding.sweeping = ()
        forget(self, attachment)

    patch.setattr(Withdrawal, "_forget_when_swept", swapped)


def announce_before_answer(patch: pytest.MonkeyPatch) -> None:
    respond = Answers.respond

    def swapped(self: Answers, *args: object, **named: object) -> None:
        self.conclude()
        respond(self, *args, **named)  # type: ignore[arg-type]

    patch.setattr(Answers, "respond", swapped)


SWAPS: dict[str, tuple[Patch, str]] = {
    "gate, then its body": (open_gate_before_body, "a gate before its body is confirmed"),
    "answer, then the record": (grant_before_store, "granted before the store has it"),
    "removal of the body, then of its gate": (remove_body_before_gate, "a body is removed before its gate is shut"),
    "end of the VSI, then removal of its rules": (end_before_removal, "a VSI ends before its rules are removed"),
    "announcement, then the answer": (announce_before_answer, "announced before the answer"),
}


@pytest.mark.parametrize(("swap", "finding"), SWAPS.values(), ids=SWAPS)
def test_the_model_finds_effects_in_a_wrong_order(swap: Patch, finding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    swap(monkeypatch)
    found = settings(
        max_examples=1000,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    with pytest.raises(AssertionError, match=finding):
        run_state_machine_as_test(OrderModel, settings=found)

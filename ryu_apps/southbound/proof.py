"""Proof that gates may open by meters at a switch: what passes a shut meter three times, and an open one.

Frames are sent by packet-out through a rule that names the meter, as often as those of a VM, and on to the controller.
"""

from __future__ import annotations

from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.actions import CONTROLLER, Action, Output, Resubmit
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.metered_gate import PASSES, opened, shut
from ryu_apps.evb.pipeline.tables import VSI_MASK, CookieKind, Priority, Table, cookie
from ryu_apps.southbound.decode import SwitchError
from ryu_apps.southbound.encode import flow_add, flow_remove, meter_write
from ryu_apps.southbound.jobs import Job, SentRequest, Transport
from ryu_apps.southbound.messages import barrier, numbered, packet_out_by

#: A number that no gate has, and an index that no VSI has.
_NUMBER = 0
_RULE = Rule(
    Table.GATE_METER,
    Priority.DEFAULT,
    match(metadata=(0, VSI_MASK)),
    cookie(CookieKind.INFRASTRUCTURE),
    meter=shut(_NUMBER).meter_id,
)
_THROUGH: tuple[Action, ...] = (*([Resubmit(Table.GATE_METER)] * PASSES), Output(CONTROLLER))
#: An Ethernet type for local experiments.
_HEAD = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x88\xb5"
_REFUSED, _PASSES = _HEAD + b"shut", _HEAD + b"open"
#: Octets of the frames that must not come back, and of those of which one must.
_SIZES = (*([60] * 20), *([1514] * 10))
#: Answers of the switch for which a frame that must come back is waited for.
_PATIENCE = 200


class ProofJob(Job):
    """The proof.

    Attributes:
        fault: the reason for which gates must not open by meters; None: the proof has succeeded, or has not ended.
    """

    def __init__(self, wire: Transport, dpid: int) -> None:
        super().__init__(wire, dpid, 0)
        self.fault: str | None = None
        self._answers = 0
        self._adding = 0

    def send(self) -> None:
        # Whether the switch has the meter is not known yet: one of the two is refused, or both are taken.
        setting = (meter_write(shut(_NUMBER), known=False), meter_write(shut(_NUMBER), known=True), flow_add(_RULE))
        opening = meter_write(opened(_NUMBER), known=True)
        xids = self.wire.reserve(len(setting) + 2 * len(_SIZES) + 2)
        self.wire.launch(SentRequest(self, xids))
        self._adding = xids[0]
        given = iter(xids)
        parts = [numbered(octets, next(given)) for octets in setting]
        parts += [packet_out_by(_THROUGH, _REFUSED.ljust(size, b"\0"), next(given)) for size in _SIZES]
        parts.append(numbered(opening, next(given)))
        parts += [packet_out_by(_THROUGH, _PASSES.ljust(size, b"\0"), next(given)) for size in _SIZES]
        self.wire.send(b"".join([*parts, barrier(next(given))]))

    def came_back(self, frame: bytes) -> bool:
        """Take a frame that a packet-out has sent to the controller; returns True if it is one of these."""
        if frame.startswith(_REFUSED):
            self._end("a frame has passed a meter that is shut")
        elif frame.startswith(_PASSES):
            self._end(None)
        return frame.startswith(_HEAD)

    def answered(self, flight: SentRequest, octets: bytes) -> None:
        if self.outcome is not None:
            return
        self._answers += 1
        if self._answers < _PATIENCE:
            self.ask(barrier)
        else:
            self._end("no frame has passed a meter that is open")

    def refused(self, flight: SentRequest, xid: int, error: SwitchError) -> None:
        if xid == self._adding:
            return
        self._end(error.text)

    def _end(self, fault: str | None) -> None:
        if self.outcome is not None:
            return
        self.fault, self.outcome = fault, Confirmed(self.dpid, 0)
        xids = self.wire.reserve(3)
        self.wire.launch(SentRequest(self, xids))
        self.wire.send(
            numbered(flow_remove(_RULE), xids[0])
            + numbered(meter_write(shut(_NUMBER), known=True), xids[1])
            + barrier(xids[2])
        )

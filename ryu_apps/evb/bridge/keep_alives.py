"""Keep-alive timeouts of VSIs, and times in which stations cannot be heard.

A VSI must not expire because the bridge could not hear its station: its switch was away, its frames were dropped
unread, or the controller did not run.
"""

from __future__ import annotations

from ryu_apps.evb.bridge.answers import SUCCESS, Answers
from ryu_apps.evb.bridge.machines import Machines
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Registry
from ryu_apps.evb.vsi.takeovers import Takeovers
from ryu_apps.evb.wire.vsi_id import VsiId


class KeepAlives:
    """Keep-alive timeouts of all VSIs of one bridge."""

    def __init__(self, registry: Registry, machines: Machines, answers: Answers, takeovers: Takeovers) -> None:
        self._registry = registry
        self._machines = machines
        self._answers = answers
        self._takeovers = takeovers

    def away(self, dpid: int, now: float) -> None:
        """Note that a switch cannot be heard from now on."""
        self._takeovers.away(dpid, now)

    def repeat_keep_alive_answers(self, port: PortId, now: float) -> None:
        """Answer the keep-alives that a station may have sent while no frame of it could arrive; restart the timeouts.

        A station whose keep-alive is lost waits for the answer for a while, then drops the VSI without a De-Associate;
        one that waits for nothing ignores an answer.
        """
        for attachment in self._registry.attachments_at(port):
            mode = attachment.machine.in_force
            if attachment.machine.state is VsiState.HELD and mode is not None:
                self._machines.restart_keep_alive(attachment, now)
                self._answers.respond(attachment, mode, SUCCESS, now, quiet=True)
        self._answers.conclude()

    def answered(self, port: PortId, vsi_id: VsiId, now: float) -> None:
        """Restart the timeout of a VSI whose station has received an answer.

        The station waits for its next keep-alive from this moment on, however long the answer was under way.
        """
        vsi = self._registry.vsi(vsi_id)
        if vsi is not None and (attachment := vsi.attachments.get(port)) is not None:
            self._machines.restart_keep_alive(attachment, now)

    def agreed(self, port: PortId, operational: Operational, now: float) -> None:
        """Set the timers of a port; VSIs need not meet those that were in force before."""
        for attachment in self._registry.attachments_at(port):
            if attachment.machine.operational != operational:
                attachment.machine.operational = operational
                self._machines.restart_keep_alive(attachment, now)

    def postpone(self, seconds: float) -> None:
        """Extend all deadlines by a time in which no station could be heard, and no switch or store."""
        self._takeovers.postpone(seconds)
        self._answers.departures.postpone(seconds)
        self._machines.postpone(seconds)

    def restart_keep_alive(self, dpid: int, now: float) -> None:
        """Restart the timeouts of all ports of a switch that can be heard again."""
        self._takeovers.back(dpid)
        for attachment in self._registry.attachments():
            if attachment.port.dpid == dpid:
                self._machines.restart_keep_alive(attachment, now)

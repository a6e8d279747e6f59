"""How each switch handles IP fragments: what is told of those that hide the ports of the first one, or did for a while.

Where they are hidden, types that name ports let no fragment of TCP and UDP pass (``services.fragments``): nothing is
opened by it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.events import FragmentsHandled, LogEvent


class FragmentHandling:
    """The switches of a fabric.

    Attributes:
        hidden: those that refuse to show the ports of first fragments, by datapath id.
    """

    def __init__(self) -> None:
        self.hidden: set[int] = set()

    def handled(self, told: FragmentsHandled, ready: bool) -> Iterator[LogEvent]:
        """A switch has told; ``ready``: it had been told to show them before."""
        if not told.shown:
            if told.dpid not in self.hidden:
                self.hidden.add(told.dpid)
                yield LogEvent("fragments.hidden", dpid=told.dpid)
            return
        if told.dpid in self.hidden:
            self.hidden.remove(told.dpid)
            yield LogEvent("fragments.shown", dpid=told.dpid)
        if ready and not told.before:
            yield LogEvent("fragments.reset", dpid=told.dpid)

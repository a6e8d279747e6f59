"""Copies of broadcasts: the members of each VID on one switch, in pages.

Every VSI gets its own copy with its own MAC address as destination, so that its own policy applies and
a hypervisor cannot deliver the copy to another VM that is only staged
(``docs/decisions/0003-flood-copies.rst``).  A page holds a bounded number of VSIs, so an Associate
rewrites a rule of bounded size for any number of VSIs in the VID.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from ryu_apps.evb.flow.actions import Action, Resubmit, SetField
from ryu_apps.evb.flow.match import ANY_GROUP, VLAN_PRESENT, match
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import Group, Rule
from ryu_apps.evb.pipeline.tables import PORT_MASK, CookieKind, Priority, Table, cookie, metadata

#: VSIs on one page.
PAGE_SIZE = 32


class FloodMember(NamedTuple):
    """One VSI in one VID.

    Attributes:
        metadata: metadata of a frame to the VSI.
        mac: its MAC address; None: a VSI that owns the whole VID and receives frames with any destination.
        snooped: it receives only the IP multicast groups that it has joined, else all groups.
        classes: numbers of the classes of broadcasts that it receives from a switch without extensions.
    """

    metadata: int
    mac: int | None
    snooped: bool = False
    classes: frozenset[int] = frozenset()


class Flood(Protocol):
    """The members of one VID on one switch, their rules and groups."""

    def add(self, member: FloodMember, earlier_page: int | None = None) -> None:
        """Add a member, on ``earlier_page`` if there are pages and it has room."""

    def remove(self, member: FloodMember) -> None:
        """Remove a member; without effect if it is not present."""

    def page_of(self, member: FloodMember) -> int | None:
        """The index of a member's page, from 0; None for no member of a page."""

    @property
    def open(self) -> bool:
        """True if a host port or a member receives every group of IP multicast."""

    def open_copies(self) -> Iterator[Action]:
        """Copies to host ports and members that receive every group, for the rules of a snooped VID."""

    def rules(self) -> RuleSet:
        """All flood rules of the VID; none without a receiver."""

    def groups(self) -> tuple[Group, ...]:
        """The groups that the rules lead to."""


class _Page:
    """Some VSIs of a VID and their rule, which is cached until a member changes."""

    __slots__ = ("_kept", "_vid", "members", "number", "open")

    def __init__(self, vid: int, number: int) -> None:
        self.members: set[FloodMember] = set()
        self.number = number
        #: Its members receive every group.
        self.open = False
        self._vid = vid
        self._kept: Rule | None = None

    def change(self, member: FloodMember, present: bool) -> None:
        (self.members.add if present else self.members.discard)(member)
        self.open = any(not member.snooped for member in self.members)
        self._kept = None

    def copy(self) -> _Page:
        copy = _Page(self._vid, self.number)
        copy.members, copy.open, copy._kept = set(self.members), self.open, self._kept
        return copy

    @property
    def metadata(self) -> int:
        return metadata(port=self.number)

    def takes(self, member: FloodMember) -> bool:
        """True if there is room; snooped members and others do not share a page."""
        return len(self.members) < PAGE_SIZE and all(other.snooped == member.snooped for other in self.members)

    def rule(self) -> Rule:
        if self._kept is None:
            fields = match(vlan_vid=VLAN_PRESENT | self._vid, metadata=(self.metadata, PORT_MASK))
            owner = cookie(CookieKind.MEMBERSHIP, self._vid)
            self._kept = Rule(Table.FLOOD_PAGE, Priority.EXACT, fields, owner, apply=tuple(self._copies()))
        return self._kept

    def _copies(self) -> Iterator[Action]:
        # Sorted, so that the same members always give the same rule whatever the order of their Associates was.
        for member in sorted(self.members, key=lambda member: member.metadata):
            assert member.mac is not None
            yield SetField("eth_dst", member.mac)
            yield SetField("metadata", member.metadata)
            yield Resubmit(Table.ACL_TO)


class FloodVid:
    """The members of one VID on one switch, and their rules."""

    def __init__(self, vid: int, host_ports: tuple[int, ...] = ()) -> None:
        self._vid = vid
        self._host_ports = host_ports
        self._pages: list[_Page] = []
        self._page_of: dict[FloodMember, _Page] = {}
        self._whole: dict[FloodMember, None] = {}

    def copy(self) -> FloodVid:
        """Return another one with the same members on the same pages; neither sees changes of the other."""
        copy = FloodVid(self._vid, self._host_ports)
        pages = {page: page.copy() for page in self._pages}
        copy._pages = list(pages.values())
        copy._page_of = {member: pages[page] for member, page in self._page_of.items()}
        copy._whole = dict(self._whole)
        return copy

    def add(self, member: FloodMember, earlier_page: int | None = None) -> None:
        """Add a member, on ``earlier_page`` if there is room, else on the first page with room.

        An update that keeps the page rewrites one rule; another page would rewrite two.
        """
        if member.mac is None:
            self._whole[member] = None
        elif member not in self._page_of:
            page = self._page_of[member] = self._page_with_room(member, earlier_page)
            page.change(member, present=True)

    def page_of(self, member: FloodMember) -> int | None:
        """The index of a member's page, from 0; None for no member of a page."""
        page = self._page_of.get(member)
        return None if page is None else self._pages.index(page)

    def remove(self, member: FloodMember) -> None:
        """Remove a member; without effect if it is not present."""
        self._whole.pop(member, None)
        page = self._page_of.pop(member, None)
        if page is not None:
            page.change(member, present=False)
        while self._pages and not self._pages[-1].members:
            self._pages.pop()

    @property
    def open(self) -> bool:
        """True if a host port or a member receives every group of IP multicast."""
        return bool(self._host_ports or self._whole) or any(page.open for page in self._pages)

    @property
    def receivers(self) -> tuple[list[FloodMember], list[int]]:
        """The members of the whole VID, and the numbers of open pages: on these :meth:`open_copies` depends."""
        return list(self._whole), [page.number for page in self._pages if page.open]

    def open_copies(self) -> Iterator[Action]:
        """Copies to host ports and members that receive every group."""
        yield from self._host_copies()
        yield from self._whole_copies()
        yield from _to_pages(page for page in self._pages if page.open)

    def _page_with_room(self, member: FloodMember, earlier_page: int | None) -> _Page:
        preferred = self._pages[earlier_page : earlier_page + 1] if earlier_page is not None else []
        for page in (*preferred, *self._pages):
            if page.takes(member):
                return page
        for number in range(len(self._pages), max(len(self._pages), earlier_page or 0) + 1):
            self._pages.append(_Page(self._vid, number + 1))
        return self._pages[-1]

    def rules(self) -> RuleSet:
        """All flood rules of the VID; none without a receiver."""
        return rule_set(self._rules())

    def groups(self) -> tuple[Group, ...]:
        """The groups that the rules lead to: none."""
        return ()

    def _rules(self) -> Iterator[Rule]:
        owner = cookie(CookieKind.MEMBERSHIP, self._vid)
        whole = tuple(self._whole_copies())
        used = [page for page in self._pages if page.members]
        pages = tuple(_to_pages(used))
        vid = VLAN_PRESENT | self._vid
        if everyone := (*self._host_copies(), *whole, *pages):
            group = match(vlan_vid=vid, eth_dst=ANY_GROUP)
            yield Rule(Table.FLOOD_VID, Priority.EXACT, group, owner, apply=everyone)
        if whole:
            yield Rule(Table.FLOOD_VID, Priority.WIDE, match(vlan_vid=vid), owner, apply=whole)
        for page in used:
            yield page.rule()

    def _host_copies(self) -> Iterator[Action]:
        for port_no in self._host_ports:
            yield SetField("metadata", metadata(port=port_no))
            yield Resubmit(Table.OUTPUT)

    def _whole_copies(self) -> Iterator[Action]:
        for member in self._whole:
            yield SetField("metadata", member.metadata)
            yield Resubmit(Table.ACL_TO)


def _to_pages(pages: Iterable[_Page]) -> Iterator[Action]:
    for page in pages:
        yield SetField("metadata", page.metadata)
        yield Resubmit(Table.FLOOD_PAGE)


def unknown_unicast(vid: int) -> Rule:
    """The rule that floods frames of a VID to an unknown address; needed while a VSI owns the whole VID."""
    fields = match(vlan_vid=VLAN_PRESENT | vid)
    return Rule(Table.FORWARD, Priority.DEFAULT, fields, cookie(CookieKind.MEMBERSHIP, vid), goto=Table.FLOOD)

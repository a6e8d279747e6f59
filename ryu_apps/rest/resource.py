"""One row of the table of resources."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ryu_apps.evb.policy.validate import Strict
from ryu_apps.rest.callers import MAX_BODY
from ryu_apps.rest.tokens import Role

#: Header of what a standby answers for the leader: seconds by which it may be outdated.
LAG = "Evbridge-Lag"


class Listing(NamedTuple):
    """A list that can be read in parts: ``limit`` items, ``after`` an earlier one.

    Attributes:
        key: member of an item that names it; items are in the order of their keys.
        kind: reader of a key.
    """

    key: str
    kind: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One row.

    Attributes:
        view: called with the bridge, the time, and the parameters by name; returns a JSON value, an
            iterator of them (a long list), a :class:`~ryu_apps.rest.bridge.Reply`, a
            :class:`~ryu_apps.rest.bridge.PlainText`, or a :class:`~ryu_apps.rest.bridge.Later` for any of these.
        filters: parameters of the query, each optional.
        listing: it is a list that can be read in parts; the view takes ``after``.
        body: model of the body, which the view gets as ``body``.
        max_body: the most octets of it.
        role: what a client's token has to allow, where tokens are needed; None: it is for everyone.
        asks_caller: the view takes the token of the request as ``caller``; None: it needs none.
        statuses: those of the view's answers.
        media_types: of an answer that is not JSON; the Accept header chooses.
        everywhere: each member of a cluster answers for itself; False: only the leader.
        early: answered while a bridge that starts reads its policies; False: 503.
        followed: a standby answers, too, from what the leader has saved; False: it refers to the leader.
    """

    method: str
    path: str
    view: Callable[..., object]
    filters: tuple[str, ...] = ()
    listing: Listing | None = None
    body: type[Strict] | None = None
    max_body: int = MAX_BODY
    role: Role | None = Role.READ
    asks_caller: bool = False
    statuses: tuple[int, ...] = (200,)
    media_types: tuple[str, ...] = ()
    everywhere: bool = False
    early: bool = False
    followed: bool = False
    pattern: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        segments = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.path))
        object.__setattr__(self, "pattern", re.compile(segments + r"\Z"))

    @property
    def query(self) -> tuple[str, ...]:
        """All parameters of the query."""
        return (*self.filters, "limit", "after") if self.listing else self.filters

    @property
    def kinds(self) -> dict[str, str]:
        """Names of readers, for the parameters that have not the name of theirs."""
        return {"after": self.listing.kind} if self.listing else {}

    @property
    def role_text(self) -> str | None:
        """Name of the role; None: no token is needed."""
        return None if self.role is None else str(self.role)

    @property
    def meaning(self) -> str:
        """One line for clients: the first of the view's docstring."""
        return (self.view.__doc__ or "").partition("\n")[0]

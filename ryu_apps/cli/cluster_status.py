"""The report of ``ovs-appctl cluster/status`` as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SERVER = re.compile(
    r"^    (?P<name>\S+) \((?P<id>[0-9a-f]{4}) at (?P<address>[^)]+)\)(?P<own> \(self\))?", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Server:
    """A member of the cluster.

    Attributes:
        id: the first four digits of its identifier.
        address: at which other servers reach it.
    """

    id: str
    address: str


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """The cluster as one server sees it.

    Attributes:
        cluster_id, server_id: identifiers; empty before it has joined.
        address: at which other servers reach it.
        status: ``cluster member``, ``joining cluster``, ``leaving cluster`` or ``left cluster``.
        role: ``leader``, ``follower`` or ``candidate``.
        term: number of the election.
        leader: the server that leads; None: not known.
        servers: all members, this one among them.
    """

    cluster_id: str
    server_id: str
    address: str
    status: str
    role: str
    term: str
    leader: Server | None
    servers: tuple[Server, ...]

    @property
    def works(self) -> bool:
        """The server is a member of a cluster with a leader."""
        return self.status == "cluster member" and self.leader is not None

    def lines(self) -> list[str]:
        """Return the lines for an operator."""
        leader = "not known" if self.leader is None else f"{self.leader.id} at {self.leader.address}"
        return [
            f"cluster   {self.cluster_id or 'not known'}",
            f"server    {self.server_id or 'not known'} at {self.address}",
            f"state     {self.status}, {self.role}, term {self.term}",
            f"leader    {leader}",
            *(
                f"{'servers' if not index else '':9} {server.id} at {server.address}"
                for index, server in enumerate(self.servers)
            ),
        ]


def read_status(text: str) -> ClusterStatus:
    """Read a report.

    Raises:
        ValueError: it is none.
    """
    found = dict(re.findall(r"^([A-Z][\w ]*): (.*)$", text, re.MULTILINE))
    matches = list(_SERVER.finditer(text))
    known = [Server(match["id"], match["address"]) for match in matches]
    # The leader is given by its name in the list, or as "self".
    names = {match["name"]: server for match, server in zip(matches, known, strict=True)}
    names |= {"self": server for match, server in zip(matches, known, strict=True) if match["own"]}  # noqa: B035
    try:
        return ClusterStatus(
            _whole(found.get("Cluster ID", "")),
            _whole(found.get("Server ID", "")),
            found["Address"],
            found["Status"],
            found["Role"],
            found["Term"],
            names.get(found["Leader"]),
            tuple(sorted(known, key=lambda server: server.address)),
        )
    except KeyError as error:
        raise ValueError(f"no status of a cluster: it lacks {error}") from None


def _whole(identifier: str) -> str:
    """Return the identifier of ``17f7 (17f78944-...)``; empty before it is known."""
    match = re.search(r"\(([0-9a-f-]{36})\)", identifier)
    return match[1] if match else ""

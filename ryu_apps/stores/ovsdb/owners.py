"""The directory of owners as a database of ``ovsdb-server``: rows that pods compare and set one by one.

Other than the store of a bridge (``batch``), whose transactions exclude each other, those of the directory concern one
VSI each: many pods write at a time, and none waits for another one's VSI.  A pod has a copy of the rows with its own
name only; the owners of all other VSIs are looked up when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from ovs.db.idl import SchemaHelper, Transaction
from ovs.jsonrpc import Message

from ryu_apps.evb.pods.owner import Owner
from ryu_apps.stores.ovsdb.followed import FollowedTable

SCHEMA = Path(__file__).with_name("evbridge_pods.ovsschema")
DATABASE = "Evbridge_Pods"

Operation = dict[str, object]
#: Results of the operations; None: there is no answer, and the transaction may have been carried out.
Results = list[dict[str, Any]] | None


class Call:
    """One transaction that was sent; the library sees it as one of its own.

    Attributes:
        begun, due: when it was made, and when it fails if it is not answered, monotonic seconds.
        ended: takes the results.
    """

    def __init__(
        self, operations: Sequence[Operation], ended: Callable[[Results], None], begun: float, due: float
    ) -> None:
        self.operations = list(operations)
        self.ended = ended
        self.begun, self.due = begun, due
        self.results: Results = None
        self._status = Transaction.INCOMPLETE

    @property
    def over(self) -> bool:
        """An answer is there, or will never come."""
        return bool(self._status != Transaction.INCOMPLETE)

    def _process_reply(self, message: Message) -> None:
        """Take the answer; called by the library."""
        self._status = Transaction.SUCCESS
        failed = message.type == Message.T_ERROR or not isinstance(message.result, list)
        self.results = [{"error": str(message.error)}] if failed else [each or {} for each in message.result]


class OwnRows(FollowedTable):
    """The connection to the leader, and the rows that name one pod.

    Attributes:
        own: VSI -> owner, of these rows, as of the last :meth:`take`.
    """

    def __init__(self, remotes: Sequence[str], pod: str) -> None:
        helper = SchemaHelper(location=str(SCHEMA))
        helper.register_columns("Owner", ["vsi", "pod", "life", "generation", "former"])
        super().__init__(remotes, helper, "Owner")
        self.own: dict[str, Owner] = {}
        self._vsis: dict[UUID, str] = {}
        condition = self.tables["Owner"].condition_state
        condition.init([["pod", "==", pod]])
        # As if the server had it: then the first request has it, and not all rows come first.
        condition.request()
        condition.ack()

    def take(self) -> frozenset[str]:
        """Carry what was received over to :attr:`own`; returns the VSIs that have gone.

        Only rows that have changed are read: a pod has thousands, and each claim of its own is a change.
        """
        gone = set()
        for uuid in self.removed(self._vsis):
            if (vsi := self._vsis.pop(uuid, None)) is not None:
                gone.add(vsi)
                del self.own[vsi]
        for row in self.changed():
            self._vsis[row.uuid] = vsi = row.vsi
            self.own[vsi] = Owner(row.pod, int(row.life), int(row.generation), tuple(row.former.split()))
        return frozenset(gone - self.own.keys())

    def send(self, call: Call) -> None:
        """Send a transaction."""
        request = Message.create_request("transact", [DATABASE, *call.operations])
        self._outstanding_txns[request.id] = call
        self._session.send(request)


# --- transactions ---------------------------------------------------------------------------------
def select_life(pod: str) -> Operation:
    """Read the newest life of a pod."""
    return {"op": "select", "table": "Pod", "where": [["name", "==", pod]], "columns": ["life"]}


def insert_life(pod: str, life: int) -> list[Operation]:
    """Write the first life of a pod."""
    return [{"op": "insert", "table": "Pod", "row": {"name": pod, "life": life}}, _DURABLE]


def raise_life(pod: str, life: int) -> list[Operation]:
    """Write a newer life of a pod."""
    older: Operation = {
        "op": "update",
        "table": "Pod",
        "where": [["name", "==", pod], ["life", "<", life]],
        "row": {"life": life},
    }
    return [older, select_life(pod), _DURABLE]


def select_owner(vsi: str) -> list[Operation]:
    """Read the owner of a VSI."""
    columns = ["pod", "life", "generation", "former"]
    return [{"op": "select", "table": "Owner", "where": [["vsi", "==", vsi]], "columns": columns}]


def owner_in(results: list[dict[str, Any]]) -> Owner | None:
    """The owner that :func:`select_owner` has read."""
    for row in results[0].get("rows", ()):
        return Owner(str(row["pod"]), int(row["life"]), int(row["generation"]), tuple(row["former"].split()))
    return None


def write_owner(vsi: str, owner: Owner, expected: int) -> list[Operation]:
    """Write an owner in the name of its life, in the place of one of this generation (0: of none)."""
    return [_fence(owner), *_exchange(vsi, owner, expected), _DURABLE]


def _exchange(vsi: str, owner: Owner, expected: int) -> list[Operation]:
    row = _row(owner)
    if not expected:
        # The index over VSIs refuses a second one.
        return [{"op": "insert", "table": "Owner", "row": {"vsi": vsi, **row}}]
    where: list[list[object]] = [["vsi", "==", vsi]]
    awaited = _wait("Owner", where, {"generation": expected})
    return [awaited, {"op": "update", "table": "Owner", "where": where, "row": row}]


def _row(owner: Owner) -> dict[str, object]:
    # Sets of a database have no order; names of pods have no spaces.
    return {**owner._asdict(), "former": " ".join(owner.former)}


def return_owner(vsi: str, claimed: Owner, owner: Owner) -> list[Operation]:
    """Write an owner in the place of a claim that may be there."""
    where = _claimed(vsi, claimed)
    return [_fence(claimed), {"op": "update", "table": "Owner", "where": where, "row": _row(owner)}, _DURABLE]


def delete_owner(vsi: str, owner: Owner) -> list[Operation]:
    """Remove an owner, or a later one of the same life."""
    return [_fence(owner), {"op": "delete", "table": "Owner", "where": _claimed(vsi, owner)}, _DURABLE]


def _claimed(vsi: str, owner: Owner) -> list[list[object]]:
    # Not one that was claimed since; an earlier life's too, whose VSI a later one has restored.
    return [["vsi", "==", vsi], ["pod", "==", owner.pod], ["generation", "<=", owner.generation]]


def _fence(owner: Owner) -> Operation:
    """Have the transaction fail if a later life of the pod has begun."""
    return _wait("Pod", [["name", "==", owner.pod]], {"life": owner.life})


def _wait(table: str, where: list[list[object]], row: dict[str, object]) -> Operation:
    return {
        "op": "wait",
        "table": table,
        "where": where,
        "columns": list(row),
        "until": "==",
        "rows": [row],
        "timeout": 0,
    }


_DURABLE: Operation = {"op": "commit", "durable": True}

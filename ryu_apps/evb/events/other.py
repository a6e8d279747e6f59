"""Events that do not come from a switch: of the store, operators, VSI managers, an NMS, other pods and the process."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.policy.offer import Offer
from ryu_apps.evb.topology.port_id import PortId


@dataclass(frozen=True, slots=True)
class Saved:
    """The store holds what :class:`Save` asked for."""

    token: int


@dataclass(frozen=True, slots=True)
class NotSaved:
    """The store refused (disk full, read-only, gone); ``reason`` is for operators."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class OperatorDeassociate:
    """An operator takes a VSI off the network; ``vsi`` is its canonical text form."""

    vsi: str


@dataclass(frozen=True, slots=True)
class StatisticsWanted:
    """A client asks for the present counters; ``vsi`` is canonical text, None is all of them."""

    vsi: str | None = None


@dataclass(frozen=True, slots=True)
class StatisticsPopulated:
    """The NMS populates the counters of a VSI with those of its earlier ports.

    Attributes:
        from_vm, to_vm: packets and octets.
    """

    vsi: str
    from_vm: tuple[int, int]
    to_vm: tuple[int, int]


@dataclass(frozen=True, slots=True)
class BackendJudged:
    """A health check or an operator sets the state of a back end of a load balancer; None leaves a value as it is.

    Attributes:
        balancer, backend: names of the configuration.
        up: it may get new connections; those that it has stay with it in either case.
        weight: its share of them, 1..255.
    """

    balancer: str
    backend: str
    up: bool | None = None
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class PoliciesLoaded:
    """The operator loads other policies; they replace the present ones whole or not at all."""

    policies: PolicySet


@dataclass(frozen=True, slots=True)
class TypeFetched:
    """Answer to :class:`FetchType`: the document of a VSI manager, or the reason why there is none."""

    token: int
    offer: Offer


@dataclass(frozen=True, slots=True)
class VsiCleared:
    """The answer to :class:`ClaimVsi`.

    Attributes:
        refusal: why the Associate is refused; None: its gate may open.
        pod: the one that had the VSI, or has it; empty: none, or this one.
        taken: that pod was not reached, and the operator's rule is to take the VSI.
    """

    token: int
    refusal: str | None = None
    pod: str = ""
    taken: bool = False


@dataclass(frozen=True, slots=True)
class StateFetched:
    """The answer to :class:`FetchState`.

    Attributes:
        state: None: there is none, or it cannot be had.
        owner: generation of the owner of the VSI in the directory; 0: it has none; None: it is not known.
        failure: why the state of a VSI that another pod has is not there.
    """

    token: int
    state: VsiState | None = None
    owner: int | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class StateWanted:
    """Another pod, or an NMS, asks for the state of a VSI."""

    vsi: str


@dataclass(frozen=True, slots=True)
class StateGiven:
    """An NMS brings the state of a VSI that is reserved here, in the place of what it has brought before."""

    state: VsiState


@dataclass(frozen=True, slots=True)
class HandOver:
    """Another pod has a VSI from now on: it is taken off every port where it is active, or about to be."""

    vsi: str
    pod: str


@dataclass(frozen=True, slots=True)
class Missed:
    """The bridge read no frames for ``seconds``, because its process was stopped or busy."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TimerExpired:
    """``engine.deadline`` has been reached; ``unread`` are ports with frames that have arrived and wait."""

    unread: frozenset[PortId] = frozenset()

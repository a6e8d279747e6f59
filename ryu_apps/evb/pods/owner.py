"""The owner of a VSI in the directory of pods."""

from __future__ import annotations

from typing import NamedTuple


class Owner(NamedTuple):
    """The pod in which a VSI is active, or is about to be.

    Attributes:
        pod: name of the pod.
        life: generation of the life of the pod's bridge (:mod:`ryu_apps.evb.generation`) that has claimed the VSI; 0:
            another pod has given it back.
        generation: grows with every claim of the VSI, also after it was released.
        former: pods that may have their gate open, the latest owner last.  Empty, the claim is *firm*: a pod that sees
            it shuts its gate.
    """

    pod: str
    life: int
    generation: int
    former: tuple[str, ...] = ()

    @property
    def firm(self) -> bool:
        """No other pod has its gate open, or is to have it open."""
        return not self.former


def following(before: int, milliseconds: int) -> int:
    """Return the generation of a claim.

    A directory forgets what was released, so a clock bridges the gap; a clock that is behind does no harm while the
    VSI has an owner.

    Args:
        before: generation of the present owner; 0: there is none.
        milliseconds: Unix time.
    """
    return max(before + 1, milliseconds)


def formers(before: Owner | None, pod: str) -> tuple[str, ...]:
    """Return the pods that may have their gate open when a pod claims a VSI.

    A claim that was never made firm leaves the gate open where it was, so its former pods are asked, too.
    """
    if before is None:
        return ()
    return tuple(dict.fromkeys(name for name in (*before.former, before.pod) if name != pod))


def returned(claimed: Owner) -> Owner | None:
    """Return the owner before a claim, under a newer generation; None: there was none."""
    if claimed.firm:
        return None
    return Owner(claimed.former[-1], 0, claimed.generation + 1, claimed.former[:-1])

"""The owner of a VSI in the directory of pods."""

from __future__ import annotations

from typing import NamedTuple


class Owner(NamedTuple):
    """The pod in which a VSI is active, or is about to be.

    Attributes:
        pod: name of the pod.
        life: generation of the life of the pod's bridge (:mod:`ryu_apps.evb.generation`) that has claimed the VSI.
        generation: grows with every claim of the VSI, also after it was released.
        firm: the pod that had it before shuts its gate as soon as it sees this; else only when it is asked to.
    """

    pod: str
    life: int
    generation: int
    firm: bool = False


def following(before: int, milliseconds: int) -> int:
    """Return the generation of a claim.

    A directory forgets what was released, so a clock bridges the gap; a clock that is behind does no harm while the
    VSI has an owner.

    Args:
        before: generation of the present owner; 0: there is none.
        milliseconds: Unix time.
    """
    return max(before + 1, milliseconds)

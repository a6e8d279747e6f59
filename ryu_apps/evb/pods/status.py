"""A pod as one of its bridges knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class PodStatus(NamedTuple):
    """This pod, for REST and metrics.

    Attributes:
        name: of this pod.
        on_unreachable: the operator's rule.
        peers: names of the other pods.
        directory: it answers.
        owned: VSIs that this pod has according to the directory.
        urls: name of another pod -> URLs of its bridges.
        leaders: name of another pod -> URL of the bridge that has answered last.
        unreachable: names of pods that have not answered last -> the reason.
        counters: claims by their end (``cleared``, ``taken``, ``contested`` ...), VSIs ``handed_over`` and ``lost``.
    """

    name: str
    on_unreachable: str
    peers: tuple[str, ...]
    urls: Mapping[str, tuple[str, ...]]
    leaders: Mapping[str, str]
    directory: bool
    owned: int
    unreachable: Mapping[str, str]
    counters: Mapping[str, int]

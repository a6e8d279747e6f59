"""The texts that Prometheus reads, a family at a time, and names that metrics had before.

The Accept header chooses between the classic text format and OpenMetrics, as in prometheus_client's own server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

#: Content types without parameters of a client's: what a client gets that names none, and OpenMetrics.
CONTENT_TYPES = (CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_LATEST)

#: Families that evbridge 0.1 had under another name.  Prometheus' units are seconds and bytes.
OLD_NAMES = {
    "evb_stage_seconds": "evb_stage_secs",
    "evb_activation_seconds": "evb_activation_secs",
    "evb_cluster_silent_seconds": "evb_cluster_silent_secs",
    "evb_cluster_lag_seconds": "evb_cluster_lag_secs",
    "evb_vsi_bytes": "evb_vsi_octets",
    "evb_vsi_refused_bytes": "evb_vsi_refused_octets",
    "evb_vsi_guarded_bytes": "evb_vsi_guarded_octets",
}

#: End of an OpenMetrics text, and of each family that is encoded alone.
_EOF = b"# EOF\n"


class Exposition(NamedTuple):
    """A text in parts, and its content type."""

    content_type: str
    parts: Iterator[bytes]


class _FamilyRegistry(Collector):
    """A registry of one family."""

    def __init__(self, family: Metric) -> None:
        self.family = family

    def collect(self) -> Iterator[Metric]:
        """The family."""
        yield self.family


def with_old_names(families: Iterable[Metric]) -> Iterator[Metric]:
    """Yield families, and behind each one that had another name a copy under that name."""
    for family in families:
        yield family
        if (old := OLD_NAMES.get(family.name)) is not None:
            yield _renamed(family, old)


def _renamed(family: Metric, name: str) -> Metric:
    copy = Metric(name, f"Old name of {family.name}, until 0.3", family.type)
    copy.samples = [sample._replace(name=name + sample.name.removeprefix(family.name)) for sample in family.samples]
    return copy


def exposition(families: Iterable[Metric], accept: str) -> Exposition:
    """Encode families one by one.

    Args:
        accept: Accept header of the request; empty: it has none.
    """
    encode, content_type = choose_encoder(accept)
    return Exposition(content_type, _parts(families, encode))


def _parts(families: Iterable[Metric], encode: Callable[[Collector], bytes]) -> Iterator[bytes]:
    ends = False
    for family in families:
        text = encode(_FamilyRegistry(family))
        ends = text.endswith(_EOF)
        yield text.removesuffix(_EOF)
    if ends:
        yield _EOF

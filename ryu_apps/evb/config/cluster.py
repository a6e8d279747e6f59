"""The membership of a cluster in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.bridge_config import ClusterMembership
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.text import flow_map, quoted
from ryu_apps.evb.policy.document import Path


def odd_cluster(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Findings: a membership without a store that others could share."""
    if parsed.cluster is not None and parsed.store is None:
        yield ("cluster",), "the members of a cluster share a store: store is missing"


def membership(parsed: ConfigFile) -> ClusterMembership | None:
    """The section as a value; a bridge with a shared store is a member."""
    if parsed.store is None:
        return None
    written = parsed.cluster
    if written is None:
        return ClusterMembership()
    return ClusterMembership(written.name or "", written.address or "", written.patience)


def cluster_lines(cluster: ClusterMembership | None) -> list[str]:
    """The lines of the file for this membership."""
    if cluster is None:
        return []
    texts = {"name": cluster.name, "address": cluster.address}
    parts = {name: quoted(text) for name, text in texts.items() if text}
    return [f"cluster: {flow_map({**parts, 'patience': str(cluster.patience)})}"]

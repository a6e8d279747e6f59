"""Pods in evbridge.yaml: checks, conversion, and writing."""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.config.schema import ConfigFile
from ryu_apps.evb.config.service_sections import POD_TIMEOUT, PeerSection, PodSection
from ryu_apps.evb.config.switch_sections import PodPortSection
from ryu_apps.evb.config.text import flow_list, flow_map, quoted
from ryu_apps.evb.policy.document import Path

_FILES = ("private_key", "certificate", "ca_file")
_OF_TLS = ("ca_file", "token_file")


def odd_pod(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    """Findings: a pod that is its own peer, files for TLS that are missing or not used, and ports without a pod."""
    written = parsed.pod
    yield from _odd_ports(parsed)
    if written is None:
        return
    if written.name in written.peers:
        yield ("pod", "peers", written.name), f"{written.name} is this pod"
    secured = [index for index, remote in enumerate(written.directory) if remote.startswith("ssl:")]
    given = [name for name in _FILES if getattr(written, name) is not None]
    if secured and len(given) < len(_FILES):
        yield ("pod", "directory", secured[0]), f"ssl needs {', '.join(_FILES[:-1])} and {_FILES[-1]}"
    if given and not secured:
        yield ("pod", given[0]), "no server of the directory is ssl"
    store = parsed.store
    if secured and store is not None and store.private_key is not None:
        for name in _FILES:
            if getattr(written, name) != getattr(store, name):
                yield ("pod", name), f"the directory and the store have one {name}"
    for name, peer in written.peers.items():
        yield from _odd_peer(("pod", "peers", name), peer)


def _odd_peer(here: Path, peer: PeerSection) -> Iterator[tuple[Path, str]]:
    plain = [index for index, url in enumerate(peer.urls) if not url.startswith("https:")]
    for key in (key for key in _OF_TLS if plain and getattr(peer, key) is not None):
        yield (*here, key), f"{key} needs URLs of https"


def _odd_ports(parsed: ConfigFile) -> Iterator[tuple[Path, str]]:
    owners: dict[int, tuple[str, int | str]] = {}
    for name, dp in parsed.dps.items():
        for port_no, section in dp.interfaces.items():
            if not isinstance(section, PodPortSection):
                continue
            here: Path = ("dps", name, "interfaces", port_no)
            vids = [vid for vid in (section.native_vlan, *section.tagged_vlans) if vid is not None]
            if not vids:
                yield here, "a port towards other pods needs a native_vlan or tagged_vlans"
            for vid in vids:
                first = owners.setdefault(vid, (name, port_no))
                if first != (name, port_no):
                    yield here, f"VLAN {vid} has a port towards other pods already: port {first[1]} of {first[0]}"


def pod_membership(written: PodSection | None) -> PodMembership | None:
    """The section as a value."""
    if written is None:
        return None
    peers = {
        name: Peer(tuple(peer.urls), peer.timeout, peer.ca_file, peer.token_file)
        for name, peer in written.peers.items()
    }
    return PodMembership(
        written.name,
        tuple(written.directory),
        peers,
        written.on_unreachable,
        written.private_key,
        written.certificate,
        written.ca_file,
    )


def pod_lines(pod: PodMembership | None) -> list[str]:
    """The lines of the file for this pod."""
    if pod is None:
        return []
    lines = ["pod:", f"  name: {quoted(pod.name)}", f"  directory: {flow_list([quoted(url) for url in pod.directory])}"]
    lines += [f"  {name}: {quoted(path)}" for name in _FILES if (path := getattr(pod, name)) is not None]
    if pod.on_unreachable != "refuse":
        lines.append(f"  on_unreachable: {pod.on_unreachable}")
    if pod.peers:
        lines += ["  peers:", *(f"    {quoted(name)}: {_peer(peer)}" for name, peer in pod.peers.items())]
    return lines


def _peer(peer: Peer) -> str:
    parts = {"urls": flow_list([quoted(url) for url in peer.urls])}
    parts |= {name: quoted(path) for name in _OF_TLS if (path := getattr(peer, name)) is not None}
    if peer.timeout != POD_TIMEOUT:
        parts["timeout"] = str(peer.timeout)
    return flow_map(parts)

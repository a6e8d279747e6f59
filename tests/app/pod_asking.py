"""Requests of a bridge to a pod: ``python pod_asking.py METHOD[,METHOD...] TIMEOUT URL...`` prints the outcomes."""

from __future__ import annotations

import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from ryu_apps.evb.config.bridge_config import Peer  # noqa: E402
from ryu_apps.pod_client import PodClient, UnreachableError  # noqa: E402

VSI = "00000000-0000-4000-8000-000000000001"


def main(methods: str, timeout: str, *urls: str) -> None:
    """Ask for the state of a VSI, or for the gate to be shut, one after the other."""
    peer, client = Peer(urls, float(timeout)), PodClient(Path("/"))
    for method in methods.split(","):
        _ask(client, peer, method)


def _ask(client: PodClient, peer: Peer, method: str) -> None:
    try:
        answer = client.state(peer, VSI) if method == "state" else client.hand_over(peer, VSI, "b", 7)
    except UnreachableError as error:
        print(f"unreachable: {error}")
    else:
        print(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])

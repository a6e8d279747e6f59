"""Teach Ryu's REST app to print the one action of ours that it cannot.

``ryu.app.ofctl_rest`` answers 501 for a switch that holds a *resubmit to a table*: Ryu decodes it, but
its printer knows only the older *resubmit to a port*, and trips over the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ryu.lib import ofctl_nicira_ext
from ryu.ofproto import nicira_ext

Printer = Callable[[Any], str]


def install() -> None:
    """Let ``GET /stats/flow/<dpid>`` show flood rules; once, however often it is called."""
    stock = ofctl_nicira_ext.action_to_str
    if getattr(stock, "prints_resubmit_table", False):
        return

    def action_to_str(action: Any, printer: Printer) -> str:
        if action.subtype == nicira_ext.NXAST_RESUBMIT_TABLE:
            return f"NX_RESUBMIT: {{port: {action.in_port}, table: {action.table_id}}}"
        return str(stock(action, printer))

    action_to_str.prints_resubmit_table = True  # type: ignore[attr-defined]
    ofctl_nicira_ext.action_to_str = action_to_str

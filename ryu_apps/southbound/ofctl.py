"""Teach Ryu's REST app to print those actions of ours that it cannot.

``ryu.app.ofctl_rest`` answers 501 for a switch that holds a *resubmit to a table*, a *load*, a *learn* or a
*FIN timeout*: Ryu decodes them, but its printer expects other attributes than they have, and fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ryu.lib import ofctl_nicira_ext

from ryu_apps.evb.flow.actions import (
    Action,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    RegLoad,
    Resubmit,
    StackPop,
    StackPush,
)
from ryu_apps.evb.pipeline.notation import bits_text, learn_text, load_text
from ryu_apps.southbound import nicira

Printer = Callable[[Any], str]


def install() -> None:
    """Let ``GET /stats/flow/<dpid>`` show all rules of ours; once, however often it is called."""
    stock = ofctl_nicira_ext.action_to_str
    if getattr(stock, "prints_ours", False):
        return

    def action_to_str(action: Any, printer: Printer) -> str:
        match _ours(action):
            case Resubmit():
                return f"NX_RESUBMIT: {{port: {action.in_port}, table: {action.table_id}}}"
            case Clone(table):
                return f"NX_CLONE: {{resubmit(,{table})}}"
            case ClearInPort():
                return "NX_LOAD: {0->in_port}"
            case RegLoad(target, value):
                return f"NX_LOAD: {{{load_text(target, value)}}}"
            case StackPush(source):
                return f"NX_STACK_PUSH: {{{bits_text(source)}}}"
            case StackPop(target):
                return f"NX_STACK_POP: {{{bits_text(target)}}}"
            case FinTimeout(idle):
                return f"NX_FIN_TIMEOUT: {{idle_timeout: {idle}}}"
            case Learn() as learn:
                return f"NX_LEARN: {{{learn_text(learn)}}}"
        return str(stock(action, printer))

    action_to_str.prints_ours = True  # type: ignore[attr-defined]
    ofctl_nicira_ext.action_to_str = action_to_str


def _ours(action: Any) -> Action | None:
    octets = bytearray()
    action.serialize(octets, 0)
    return nicira.decode(bytes(octets))

"""All events."""

from __future__ import annotations

from ryu_apps.evb.events.other import (
    BackendJudged,
    HandOver,
    Missed,
    NotSaved,
    OperatorDeassociate,
    PoliciesLoaded,
    Saved,
    StateFetched,
    StateGiven,
    StateWanted,
    StatisticsPopulated,
    StatisticsWanted,
    TimerExpired,
    TypeFetched,
    VsiCleared,
)
from ryu_apps.evb.events.switch import (
    ChannelUp,
    Confirmed,
    FragmentsHandled,
    FrameReceived,
    FramesDropped,
    MetersRead,
    PortChanged,
    Rejected,
    RoleLost,
    RoleRefused,
    RoleShown,
    RulesRead,
    SwitchAltered,
    SwitchDown,
    SwitchRead,
    SwitchUp,
)

Event = (
    ChannelUp
    | RoleShown
    | RoleRefused
    | RoleLost
    | SwitchUp
    | SwitchDown
    | SwitchAltered
    | PortChanged
    | FrameReceived
    | Confirmed
    | Rejected
    | RulesRead
    | SwitchRead
    | FragmentsHandled
    | MetersRead
    | Saved
    | NotSaved
    | OperatorDeassociate
    | StatisticsWanted
    | StatisticsPopulated
    | BackendJudged
    | PoliciesLoaded
    | TypeFetched
    | VsiCleared
    | StateFetched
    | StateWanted
    | StateGiven
    | HandOver
    | Missed
    | FramesDropped
    | TimerExpired
)

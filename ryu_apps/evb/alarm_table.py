"""The kinds of alarms: the event that raises each, its words, and the events that clear it.

To add an alarm, emit an event that raises it and one that clears it, and add a row to :data:`TABLE`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import (
    ApplianceAnswers,
    ApplianceSilent,
    ConfigurationInForce,
    ConfigurationRefused,
    DescriptorsShort,
    FramesMissed,
    PoliciesInForce,
    PoliciesRefused,
    StoreFailed,
    StoreWorks,
    VsiManagerUnreachable,
    VsiTypeFaulty,
    VsiTypeFetched,
    VsiTypeWithdrawn,
)
from ryu_apps.evb.event_catalogue.cluster import LeadBegun, LeaderFollowed, LeaderMissing
from ryu_apps.evb.event_catalogue.pods import DirectoryFound, DirectoryLost, PodReached, PodUnreachable, VsiTaken
from ryu_apps.evb.event_catalogue.ports import (
    BondDegraded,
    BondWhole,
    EcpUnacknowledged,
    ForeignEvbFrames,
    PortOverBudget,
)
from ryu_apps.evb.event_catalogue.switches import (
    FragmentPortsHidden,
    FragmentPortsShown,
    NeighbourFound,
    NeighbourMiswired,
    NeighbourSilent,
    RulesDrifted,
    RulesUnclaimed,
    SwitchAwaited,
    SwitchChangedByOthers,
    SwitchConnected,
    SwitchDisconnected,
    SwitchImpostor,
    SwitchReady,
    SwitchRefusedRules,
    SwitchSuperseded,
    SwitchUnfenced,
    SwitchUnsuitable,
    SwitchUnwatched,
    TlsFailed,
    TrunkDown,
    TrunkUp,
    UnclaimedRulesRemoved,
    UnknownSwitch,
)
from ryu_apps.evb.event_catalogue.values import AlarmSeverity
from ryu_apps.evb.event_catalogue.vsis import (
    AddressInUse,
    GateLeft,
    RefusalIgnored,
    VsiActive,
    VsiContested,
    VsiFlapping,
    VsiGone,
    VsiNotPermitted,
    VsiPortFound,
    VsiPortGone,
    VsiPortMissing,
    VsiSettled,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of alarm.

    Attributes:
        event: class of the events that raise it; their kind is the name of the alarm.
        words: description for operators.
        severity: see :class:`AlarmSeverity`.
        about: identity of an alarm among those of its kind: ``dpid``, ``port``, ``vsi``, or names of other fields of
            the event.
        cleared_by: classes of the events that clear it; an event with only a part of ``about`` clears all that agree
            with it.
        after: seconds that its cause must last before it is raised.
        quiet: seconds without its cause after which it is cleared; None: only an event clears it.
    """

    event: type[LogEvent]
    words: str
    severity: AlarmSeverity = AlarmSeverity.WARNING
    about: tuple[str, ...] = ()
    cleared_by: tuple[type[LogEvent], ...] = ()
    after: float = 0.0
    quiet: float | None = None

    @property
    def kind(self) -> str:
        """Name of the alarm."""
        return self.event.row.kind


_DPID, _PORT, _TYPE = ("dpid",), ("dpid", "port"), ("type", "url")

TABLE = (
    Row(StoreFailed, "state cannot be saved", AlarmSeverity.CRITICAL, cleared_by=(StoreWorks,)),
    Row(
        LeaderMissing,
        "no member of the cluster leads, as far as this one knows: no VM can associate",
        AlarmSeverity.CRITICAL,
        cleared_by=(LeadBegun, LeaderFollowed),
    ),
    Row(
        DirectoryLost,
        "the directory of pods does not answer: VSIs of other pods, and new ones, cannot associate",
        AlarmSeverity.CRITICAL,
        cleared_by=(DirectoryFound,),
    ),
    Row(
        PodUnreachable,
        "a pod does not answer: its VSIs cannot be handed over",
        about=("pod",),
        cleared_by=(PodReached,),
    ),
    Row(
        VsiTaken,
        "a VSI was taken from a pod that is not reached: that one may forward for it, too",
        about=("vsi",),
        cleared_by=(VsiGone,),
    ),
    Row(
        ApplianceSilent,
        "an instance of an appliance does not answer probes",
        AlarmSeverity.CRITICAL,
        ("appliance", "instance"),
        (ApplianceAnswers,),
    ),
    Row(
        SwitchAwaited,
        "the switch does not connect",
        AlarmSeverity.CRITICAL,
        _DPID,
        (SwitchConnected, SwitchSuperseded),
        after=30.0,
    ),
    Row(
        SwitchDisconnected,
        "the switch is not connected",
        AlarmSeverity.CRITICAL,
        _DPID,
        (SwitchConnected, SwitchSuperseded),
    ),
    # Longer than a take-over with 8,192 VSIs takes.
    Row(
        SwitchConnected,
        "the switch is connected and does not get ready: no VSI associates there, and none moves away from it",
        AlarmSeverity.CRITICAL,
        _DPID,
        (SwitchReady, SwitchDisconnected, SwitchSuperseded),
        after=60.0,
    ),
    # It ends with the process.
    Row(
        SwitchSuperseded,
        "another controller is MASTER: this bridge stands aside until it is started anew",
        AlarmSeverity.CRITICAL,
        _DPID,
        (SwitchConnected,),
    ),
    Row(
        SwitchUnfenced,
        "the switch does not know controller roles: nothing keeps a second controller from changing it",
        about=_DPID,
        cleared_by=(SwitchDisconnected,),
    ),
    Row(SwitchUnsuitable, "the switch lacks a feature of its profile", AlarmSeverity.CRITICAL, _DPID, (SwitchReady,)),
    Row(SwitchRefusedRules, "the switch refuses its rules", AlarmSeverity.CRITICAL, _DPID, (SwitchReady,)),
    Row(
        SwitchChangedByOthers,
        "another controller or tool has changed the switch, and it is compared",
        AlarmSeverity.CRITICAL,
        _DPID,
        (SwitchReady, SwitchDisconnected),
    ),
    Row(
        SwitchUnwatched,
        "the switch does not report changes of its rules; audits find them",
        about=_DPID,
        cleared_by=(SwitchDisconnected,),
    ),
    Row(RulesDrifted, "rules of the switch are changed by others", about=_DPID, quiet=90.0),
    Row(
        FragmentPortsHidden,
        "the switch hides the ports of IP fragments: types that name ports pass none",
        about=_DPID,
        cleared_by=(FragmentPortsShown,),
    ),
    Row(
        RulesUnclaimed,
        "the switch holds rules that no record explains, which stay for now",
        about=_DPID,
        cleared_by=(UnclaimedRulesRemoved, SwitchDisconnected),
    ),
    Row(UnknownSwitch, "a switch connects that is not configured", about=_DPID, quiet=120.0),
    Row(SwitchImpostor, "something else connects as this switch, and is refused", about=_DPID, quiet=120.0),
    Row(TlsFailed, "TLS with a connecting switch fails", about=("address",), quiet=120.0),
    Row(DescriptorsShort, "more connections than the server admits", about=("server",), quiet=120.0),
    Row(TrunkDown, "a link between switches is down", about=_PORT, cleared_by=(TrunkUp,)),
    Row(BondDegraded, "a link of a bond is down", about=_PORT, cleared_by=(BondWhole,)),
    Row(
        NeighbourMiswired,
        "a port leads to another switch than configured, and is not used",
        about=_PORT,
        cleared_by=(NeighbourFound, NeighbourSilent),
    ),
    Row(FramesMissed, "the controller was stopped or overloaded and received no frames for a while", quiet=60.0),
    Row(ForeignEvbFrames, "another sender than the station sends EVB frames at a port", about=_PORT, quiet=60.0),
    Row(PortOverBudget, "a port exceeds its request rate, and excess frames are dropped", about=_PORT, quiet=60.0),
    Row(
        VsiContested,
        "a port requests a VSI that is associated at another port, and is refused",
        about=("vsi",),
        cleared_by=(VsiSettled,),
    ),
    Row(
        GateLeft,
        "a VSI has moved from a switch that is away, which may still have its gate open: it forwards for two ports",
        AlarmSeverity.CRITICAL,
        about=("dpid", "vsi"),
        cleared_by=(SwitchReady,),
    ),
    Row(
        VsiFlapping,
        "stations fight over a VSI, which moves between their ports: the port that has it keeps it for a while",
        about=("vsi",),
        quiet=60.0,
    ),
    Row(
        VsiNotPermitted,
        "a station requests what its port does not permit, and is refused",
        about=_PORT,
        quiet=600.0,
    ),
    # A clone that was refused does not ask again; it is active when it has an address of its own.
    Row(
        AddressInUse,
        "a VSI requests an address that belongs to another, and is refused: a VM was cloned, or poses as another",
        about=("vsi",),
        cleared_by=(VsiActive,),
        quiet=3600.0,
    ),
    # No station reports that the guest was stopped or moved on in the meantime.
    Row(
        RefusalIgnored,
        "a guest runs where its Associate was refused, and is isolated: mend the reason, then migrate it again",
        AlarmSeverity.CRITICAL,
        ("vsi",),
        (VsiActive,),
        quiet=3600.0,
    ),
    Row(
        VsiPortMissing,
        "an Associate is refused, because the VM's port is not at the switch of its server",
        about=("vsi",),
        cleared_by=(VsiActive,),
        quiet=600.0,
    ),
    Row(
        VsiPortGone,
        "the VM's port is not at the switch of its server any more, although its VSI is associated",
        about=("vsi",),
        cleared_by=(VsiPortFound, VsiActive, VsiGone),
    ),
    Row(EcpUnacknowledged, "a station does not acknowledge ECPDUs", about=_PORT, quiet=60.0),
    Row(
        ConfigurationRefused,
        "evbridge.yaml was read again and refused, the older one is in force",
        cleared_by=(ConfigurationInForce,),
    ),
    Row(
        PoliciesRefused,
        "the policies on disk have mistakes, older ones are in force",
        cleared_by=(PoliciesInForce,),
    ),
    # Cleared by time as well: a manager is asked only when a VSI needs one of its types.
    Row(
        VsiManagerUnreachable,
        "a VSI manager does not answer",
        about=_TYPE,
        cleared_by=(VsiTypeFetched,),
        quiet=600.0,
    ),
    Row(
        VsiTypeFaulty,
        "a VSI manager serves an invalid type",
        about=_TYPE,
        cleared_by=(VsiTypeFetched,),
        quiet=600.0,
    ),
    Row(VsiTypeWithdrawn, "a VSI manager has withdrawn a type that is in use", about=_TYPE, quiet=600.0),
)

"""Keys of evbridge.yaml as pydantic models; ``consistency`` checks one part against another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ryu_apps.evb.config.service_sections import (
    ApplianceSection,
    ClusterSection,
    LoadBalancerSection,
    ManagersSection,
    PodSection,
    RestSection,
    StoreSection,
)
from ryu_apps.evb.config.switch_sections import DatapathSection, TimerLimitValues, TimerValues, VswitchSection
from ryu_apps.evb.config.values import (
    GroupsWritten,
    PlainName,
    RelayText,
    ShortName,
    StageOnText,
    StationText,
    TakeoverText,
    VlanId,
)
from ryu_apps.evb.model import Retention
from ryu_apps.evb.policy.validate import NotifyDisplaced, NullVidText, Strict

ReaderText = Literal["evbridge", "ryu"]
ConvergeText = Literal["switch", "copy"]
#: Default seconds between readings of all counters.
STATISTICS_INTERVAL = 1.0
#: Default seconds for which a VSI's former switch forwards frames in flight to it.
FORWARD_IN_FLIGHT = 2


class QuerierValues(Strict):
    """The querier of a VLAN; absent values are inherited; seconds, see RFC 3376 8."""

    querier: bool | None = None
    robustness: Annotated[int, Field(ge=1, le=7)] | None = None
    query_interval: Annotated[int, Field(ge=1, le=31744)] | None = None
    query_response_interval: Annotated[int, Field(ge=1, le=3174)] | None = None


class BridgeMulticastSection(QuerierValues):
    """All queriers, and those of single VLANs."""

    last_member_query_interval: Annotated[int, Field(ge=1, le=25)] | None = None
    last_member_query_count: Annotated[int, Field(ge=1, le=7)] | None = None
    vlans: dict[VlanId, QuerierValues] = Field(default_factory=dict)


class RetentionValues(Strict):
    """Limits on the totals of VSIs without any association: seconds, and number of VSIs."""

    secs: Annotated[int, Field(ge=0, le=31 * 86400)] = Retention().secs
    vsis: Annotated[int, Field(ge=0, le=100_000)] = Retention().vsis


class ConfigFile(Strict):
    """The whole file."""

    version: Literal[1]
    policies: list[str] = Field(default_factory=list)
    state_dir: str | None = None
    store: StoreSection | None = None
    station: StationText = "evb"
    null_vid: NullVidText | None = None
    notify_displaced: NotifyDisplaced | None = None
    stage_on: StageOnText | None = None
    takeover: TakeoverText = "announced"
    reflective_relay: RelayText = "agreed"
    timers: TimerValues = TimerValues()
    timer_limits: TimerLimitValues = TimerLimitValues()
    multicast: BridgeMulticastSection = BridgeMulticastSection()
    statistics_interval: Annotated[float, Field(ge=0.1, le=3600)] = STATISTICS_INTERVAL
    statistics_retention: RetentionValues = RetentionValues()
    forward_in_flight: Annotated[int, Field(ge=0, le=60)] = FORWARD_IN_FLIGHT
    converge: ConvergeText = "switch"
    load_balancers: Annotated[dict[PlainName, LoadBalancerSection], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    appliances: Annotated[dict[PlainName, ApplianceSection], Field(max_length=1000)] = Field(default_factory=dict)
    vsi_managers: ManagersSection = ManagersSection()
    groups: GroupsWritten = Field(default_factory=dict)
    rest: RestSection = RestSection()
    cluster: ClusterSection | None = None
    pod: PodSection | None = None
    openflow_reader: ReaderText = "evbridge"
    vswitches: Annotated[dict[PlainName, VswitchSection], Field(max_length=1000)] = Field(default_factory=dict)
    dps: dict[ShortName, DatapathSection]

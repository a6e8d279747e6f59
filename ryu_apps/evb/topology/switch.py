"""Switches: their ports and VSI ports, the OpenFlow that they have, and the means by which their gates open.

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from ryu_apps.evb.topology.evb_settings import ReflectiveRelay
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.topology.vsi_ports import UNNAMED, VsiPortPattern


class Profile(Enum):
    """OpenFlow that a switch has."""

    OPEN_VSWITCH = "openvswitch"
    """OpenFlow 1.3 with the extensions of Open vSwitch."""
    OPENFLOW13 = "openflow13"
    """OpenFlow 1.3 alone."""


class GateMode(Enum):
    """Means by which the gate of a staged VSI opens."""

    RULES = "rules"
    """By rules alone."""
    METER = "meter"
    """By a meter as well, which acts on cached flows at once."""
    AUTO = "auto"
    """By a meter as well if the switch has proven its meters when it connected."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch.

    Attributes:
        dpid: 64-bit datapath id.
        name: operator's name.
        interfaces: by OpenFlow port number.
        max_rules: rule budget; None: the limit in the switch's table features.
        translation: the VIDs at its station ports.
        profile: rules and messages that it is sent.
        metered: it has meters.
        gate: what opens its gates.
        vsi_ports: names and VLANs of its VSI ports.
    """

    dpid: int
    name: str
    interfaces: dict[int, Interface] = field(default_factory=dict)
    max_rules: int | None = None
    translation: VidTranslation = VidTranslation()
    profile: Profile = Profile.OPEN_VSWITCH
    metered: bool = True
    vsi_ports: tuple[VsiPortPattern, ...] = ()
    gate: GateMode = GateMode.RULES

    @property
    def extended(self) -> bool:
        """True if it has the extensions of Open vSwitch."""
        return self.profile is Profile.OPEN_VSWITCH

    def vsi_port(self, name: str, port_no: int = 0) -> Interface | None:
        """The VSI port of a name, by the first pattern that covers it; None: it is no VSI port.

        Args:
            port_no: its present number; 0: the port is not there.
        """
        found = next((pattern for pattern in self.vsi_ports if pattern.covers(name)), None)
        if found is None:
            return None
        return self._vsi_port(port_no, name, found)

    def unnamed_vsi_port(self) -> Interface:
        """A VSI port whose name is not known yet: it may have the VLANs of any.

        Its native VLANs are those of all patterns; none if they differ.
        """
        ports = [self._vsi_port(0, UNNAMED, pattern) for pattern in self.vsi_ports]
        alike = len({(port.native_vlan, port.native_vlans) for port in ports}) == 1
        native, natives = (ports[0].native_vlan, ports[0].native_vlans) if alike else (None, ())
        vids = dict.fromkeys(vid for port in ports for vid in port.vids)
        any_vid = not all(port.vids for port in ports)
        tagged = () if any_vid else tuple(vid for vid in vids if vid not in (native, *natives))
        return Interface(0, UNNAMED, Role.VSI, native, tagged, native_vlans=natives, metered=self.metered)

    def _vsi_port(self, port_no: int, name: str, pattern: VsiPortPattern) -> Interface:
        vlans = pattern.native_vlan, pattern.tagged_vlans
        return Interface(port_no, name, Role.VSI, *vlans, native_vlans=pattern.native_vlans, metered=self.metered)

    def untagged(self, vid: int) -> frozenset[int]:
        """The ports at which a VID is untagged."""
        return frozenset(port_no for port_no, interface in self.interfaces.items() if interface.native_vlan == vid)

    def with_profile(self, profile: Profile, metered: bool = True) -> Switch:
        """The same switch with another profile."""
        extended = profile is Profile.OPEN_VSWITCH
        ports = {
            number: replace(
                interface,
                reflective_relay=interface.reflective_relay if extended else ReflectiveRelay.NEVER,
                extended=extended,
                metered=metered,
            )
            for number, interface in self.interfaces.items()
        }
        return replace(self, interfaces=ports, profile=profile, metered=metered)

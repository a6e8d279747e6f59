"""Treatment of a request, by the kind of its station, its port and its VSI type."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.policy.model import StageOn, VsiType
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.station_treatment import StationTreatment
from ryu_apps.evb.wire.filter_info import MacVid
from ryu_apps.evb.wire.vdp import Association, ManagerId
from ryu_apps.evb.wire.vsi_id import VsiIdFormat


def treatment_of(
    interface: Interface, manager_id: ManagerId, asked: Association, vsi_type: VsiType | None
) -> StationTreatment:
    """Return the treatment of a request; what its VSI type (None: not known) says replaces what its port says."""
    treatment = interface.treatment(has_form_of_libvirt(manager_id, asked))
    if vsi_type is None:
        return treatment
    if vsi_type.keep_null_vids is not None:
        treatment = replace(treatment, keep_null_vids=vsi_type.keep_null_vids)
    if vsi_type.notify_displaced is not None:
        treatment = replace(treatment, notify_displaced=vsi_type.notify_displaced)
    if vsi_type.stage_on is not None:
        treatment = replace(treatment, stage_on_preassociate=vsi_type.stage_on is StageOn.PREASSOCIATE)
    return treatment


def has_form_of_libvirt(manager_id: ManagerId, asked: Association) -> bool:
    """True for a request as libvirt makes it: a UUID, MAC addresses with null VIDs, a manager ID of one octet.

    libvirt's manager ID has the 8 bits of draft 0.2; lldpad sends them as the first of 16 octets.
    """
    entries = asked.filter_info.entries
    null_vids = all(isinstance(entry, MacVid) and not entry.vid for entry in entries)
    return asked.vsi_id.format is VsiIdFormat.UUID and bool(entries) and null_vids and not any(manager_id.octets[1:])

"""The namespaces of what we read and write, and the places where one thing has two names.

DSP0243 2.x (envelope, schema DSP8023), DSP8049 (network port profiles), DSP0230 (CIM classes as XML: the properties of
a class are elements in the namespace of the class).
"""

from __future__ import annotations

from typing import Final

OVF: Final = "http://schemas.dmtf.org/ovf/envelope/2"
#: What most exporters still write; the same as version 2 as far as network adapters go.
OVF_1: Final = "http://schemas.dmtf.org/ovf/envelope/1"
NPP: Final = "http://schemas.dmtf.org/ovf/networkportprofile/1"

_CIM: Final = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
RASD: Final = _CIM + "CIM_ResourceAllocationSettingData"
EPASD: Final = _CIM + "CIM_EthernetPortAllocationSettingData"
FILTER_LIST: Final = _CIM + "CIM_FilterList"
FILTER_ENTRY: Final = _CIM + "CIM_FilterEntry"
IP_HEADERS: Final = _CIM + "CIM_IPHeadersFilter"
HDR_8021: Final = _CIM + "CIM_Hdr8021Filter"

#: What a policy file says and CIM has no words for.
EVB: Final = "urn:evbridge:vsi-type:1"

#: For writing, and for calling things by the name that their author would.
PREFIXES: Final = {
    "ovf": OVF,
    "npp": NPP,
    "rasd": RASD,
    "epasd": EPASD,
    "fl": FILTER_LIST,
    "fe": FILTER_ENTRY,
    "ip": IP_HEADERS,
    "eth": HDR_8021,
    "evb": EVB,
}


def canonical(namespace: str) -> str:
    """Return the name that the rest of the package uses for a namespace.

    Exporters name the namespace of a CIM class after its schema file, ``...SettingData.xsd``; and whoever understands
    envelopes of version 2 understands what we need of version 1.
    """
    if namespace == OVF_1:
        return OVF
    return namespace.removesuffix(".xsd") if namespace.startswith(_CIM) else namespace

"""VSI ports: ports of a server's own switch that lead to one VM each, known by name.

Open vSwitch numbers such a port anew whenever it appears, so the configuration has patterns of names, and a rule from
a VSI to the name of its port.  Standard library only, as ``fabric``.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

#: The longest name of an interface in Linux, which is what OpenFlow shows.
MAX_NAME = 15
#: Without a rule in the configuration: what OpenStack calls the tap of a port.
USUAL_NAMES = "tap{vsi:11}"
#: In the place of a name that the station has yet to tell: no port has it.
UNNAMED = "*"

_PLACEHOLDER = re.compile(r"\{(vsi|mac)(?::([1-9][0-9]?))?\}")
_LITERAL = re.compile(r"[A-Za-z0-9_.-]*\Z")
_PATTERN = re.compile(r"(?=.*[^*?])[A-Za-z0-9_.*?-]{1,15}\Z")


class VsiPortPattern(NamedTuple):
    """Some VSI ports of a switch.

    Attributes:
        names: pattern of their names, with ``*`` and ``?``.
        native_vlan, tagged_vlans: as of an interface.
        native_vlans: several, of which that of a port's VSI is its native VLAN; the first is ``native_vlan``.
    """

    names: str
    native_vlan: int | None = None
    tagged_vlans: tuple[int, ...] = ()
    native_vlans: tuple[int, ...] = ()

    def covers(self, name: str) -> bool:
        """True for the name of one of these ports."""
        return fnmatchcase(name, self.names)


def is_pattern(written: str) -> bool:
    """True for a pattern of names of interfaces; one of wildcards alone would take uplinks for VSI ports."""
    return _PATTERN.match(written) is not None


def odd_template(template: str) -> str | None:
    """Return the reason why a text is no rule for names of VSI ports; None: it is one."""
    if _LITERAL.match(_PLACEHOLDER.sub("", template)) is None:
        return "only {vsi}, {vsi:N}, {mac}, letters, digits, '_', '.' and '-' make up names of VSI ports"
    if _PLACEHOLDER.search(template) is None:
        return "all VSIs would have the same port: {vsi} or {mac} was expected"
    return None


def name_of_port(template: str, vsi: str, mac: int | None) -> str | None:
    """Return the name of the port of a VSI; None: there is none, since it has no MAC address or the name is too long.

    Args:
        vsi: canonical text of the VSIID.
        mac: its first MAC address, 48 bits.
    """
    if "{mac" in template and mac is None:
        return None
    values = {"vsi": vsi, "mac": f"{mac or 0:012x}"}
    name = _PLACEHOLDER.sub(lambda found: values[found[1]][: int(found[2]) if found[2] else None], template)
    return name if len(name) <= MAX_NAME else None

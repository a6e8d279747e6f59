"""ARP and IPv6 neighbour discovery: the rules implied by ``neighbour_discovery: true``.

They follow a type's own rules and precede its default action: a rule may still deny them, and a VM whose
default is deny is resolvable.  Anti-spoofing checks these frames before.
"""

from __future__ import annotations

from ryu_apps.evb.policy.fields import Masked, full_mask
from ryu_apps.evb.policy.model import AclRule

_ARP, _IPV6, _ICMPV6 = 0x0806, 0x86DD, 58
_ROUTER_SOLICITATION, _ROUTER_ADVERTISEMENT, _SOLICITATION, _ADVERTISEMENT = 133, 134, 135, 136


def neighbour_rules(from_vm: bool) -> tuple[AclRule, ...]:
    """The implied rules of one direction: router solicitations only from VMs, router advertisements only to VMs."""
    router = _ROUTER_SOLICITATION if from_vm else _ROUTER_ADVERTISEMENT
    return (
        _allow(eth_type=_ARP),
        *(
            _allow(eth_type=_IPV6, ip_proto=_ICMPV6, icmpv6_type=icmp_type)
            for icmp_type in (router, _SOLICITATION, _ADVERTISEMENT)
        ),
    )


def _allow(**fields: int) -> AclRule:
    return AclRule(True, tuple((name, (Masked(value, full_mask(name)),)) for name, value in fields.items()))

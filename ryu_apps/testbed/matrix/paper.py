"""The words of the founding paper, and rules by which figures agree with them.  Pure.

From *VM Migration Trigger Discussion*: "Service Configuration Relative to Migration", "Service Migration relative to
Trigger" and "Single vs. Dual-Trigger".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from ryu_apps.testbed.matrix.verdicts import ONE_EARLIER, ONE_SPARES, TWO_EARLIER, TWO_SPARE, Verdicts

#: Service -> the paper's words on Pre-Associate with Resources, and on the time after the migration.
CONFIGURATION = {
    "DNS": ("No impact", "No impact"),
    "DHCP": ("No impact", "No impact"),
    "firewall": ("Configure during", "Enable"),
    "load balancer": ("No impact", "No impact"),
    "ACL": ("Configure during", "Enable"),
    "statistics": ("Extract during", "Optional post fix-up"),
    "IGMP filter": ("No impact", "No impact"),
    "IGMP join": ("Configure during", "Fixed up & enable"),
    "IGMP join, NMS configured": ("Configure during", "Fixed up & enable"),
    "TCP proxy": ("Configure during, but not connections created meanwhile", "Always update final context"),
}
_NO_NEED, _NOT_SIGNIFICANT = "No need", "No significant benefit"
_UNCLEAR, _BY_NUMBER = "Possible benefit - unclear", "Value relative to # TCP context"
#: Service -> the paper's words on the source's and on the destination's trigger.
TRIGGER = {
    "DNS": (_NO_NEED, _NO_NEED),
    "DHCP": (_NO_NEED, _NO_NEED),
    "firewall": (_NOT_SIGNIFICANT, "Enable"),
    "load balancer": (_NOT_SIGNIFICANT, "Enable"),
    "ACL": (_NOT_SIGNIFICANT, "Enable"),
    "statistics": (_NOT_SIGNIFICANT, "Populate & enable"),
    "IGMP filter": (_NOT_SIGNIFICANT, _NOT_SIGNIFICANT),
    "IGMP join": (_UNCLEAR, "Populate & enable"),
    "IGMP join, NMS configured": (_UNCLEAR, "Populate & enable"),
    "TCP proxy": (_BY_NUMBER, "Populate & enable"),
}
NO_BENEFIT, EARLIER, FELT = "no benefit", "earlier, not felt", "felt by connections"
BENEFIT_RULE = (
    f'The trigger of the source is "{FELT}" if it spares a timeout in more rows of the service and ladder than one'
    f' trigger does, "{EARLIER}" if the fix-up is earlier with two triggers in more rows than with one, and'
    f' "{NO_BENEFIT}" otherwise.'
)
HOLDS, HOLDS_NOT, ANSWERED = "holds", "does not hold", "answered"
PAPER_RULE = (
    f'"{_NO_NEED}" and "{_NOT_SIGNIFICANT}" hold unless the benefit is felt; "{_BY_NUMBER}" holds if there is a benefit'
    " and the fix-up with one trigger is longer with most connections than with fewest by more than the ranges;"
    f' "{_UNCLEAR}" is {ANSWERED} by whatever was found.'
)


def benefit(found: Collection[Verdicts]) -> str:
    """Decide by :data:`BENEFIT_RULE` on the rows of a service."""
    costs, times = Counter(verdict.cost for verdict in found), Counter(verdict.fix_up for verdict in found)
    if costs[TWO_SPARE] > costs[ONE_SPARES]:
        return FELT
    return EARLIER if times[TWO_EARLIER] > times[ONE_EARLIER] else NO_BENEFIT


def agreement(said: str, benefit_found: str, grows: bool) -> str:
    """Decide by :data:`PAPER_RULE` if the paper's words on the source's trigger hold."""
    if said == _UNCLEAR:
        return ANSWERED
    if said == _BY_NUMBER:
        return HOLDS if benefit_found != NO_BENEFIT and grows else HOLDS_NOT
    return HOLDS_NOT if benefit_found == FELT else HOLDS

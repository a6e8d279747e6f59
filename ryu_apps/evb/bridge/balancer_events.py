"""States of the back ends of load balancers, as health checks and operators give them."""

from __future__ import annotations

from collections.abc import Collection

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import BackendChanged
from ryu_apps.evb.events.effect import Apply, Mode, Save
from ryu_apps.evb.events.other import BackendJudged
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.vsi.pools import Pools


class BalancerEvents:
    """Load balancers of a fabric."""

    def __init__(self, pools: Pools, up: Collection[int], tokens: TokenTable, effects: EffectSink) -> None:
        self._pools = pools
        self._up = up
        self._tokens = tokens
        self._effects = effects

    def judge(self, event: BackendJudged) -> None:
        """Take a back end out of rotation, or into it.

        Raises:
            KeyError: there is no such back end.
        """
        groups = self._pools.set_state(event.balancer, event.backend, event.up, event.weight)
        key, record = self._pools.record(event.balancer)
        self._effects.put(Save(self._tokens.take(), {key: record}))
        for dpid in sorted(self._up) if groups else ():
            self._effects.put(Apply(dpid, 0, RuleChange(groups=groups), Mode.BULK))
        member = self._pools.members[event.balancer][event.backend]
        weight, in_rotation = member.backend.weight, member.in_rotation
        self._effects.put(BackendChanged(member.vsi, event.balancer, event.backend, member.up, weight, in_rotation))

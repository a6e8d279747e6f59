"""Station ports: one ``BridgePort`` for each port that may have an EVB station behind it.

``bridge_port`` composes EVB agreement, ECP endpoint and outbox of a port: received frames become VDP
requests, answers become frames.  ``backlog`` and ``turns`` share the bridge fairly among ports: limits on
the work of switches and on received frames.

The package may use ``protocol``, ``wire``, ``topology`` and ``deadlines``.  It decides nothing about VSIs
and stages no rules.
"""

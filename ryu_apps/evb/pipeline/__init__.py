"""The tables of every switch, and the rules that do not depend on a VSI type's policy.

``tables`` has the layout of tables, metadata, registers and cookies; the other modules compile the rules
and groups of infrastructure, gates, floods, multicast, guards, load balancers and proxies.  Bodies
of VSI types are compiled in ``services``.

Pure functions from the fabric and bindings to rules of ``flow``.  Imports ``flow``, ``topology`` and
``model``; decides nothing about when a rule is installed.
"""

"""The configured fabric: switches, ports, trunks, load balancers, and the routes over the trunks.

``fabric`` consists of switches (``switch``) and their ports (``interface``, ``port_id``); ``evb_settings`` and
``station_treatment`` are set at ports of stations.  These are plain data of the standard library, because
``mn --custom`` loads them under any Python; ``graph`` computes next hops and the broadcast tree with networkx.

Pure.  The package imports nothing of evbridge; rules for the routes are compiled in ``pipeline``.
"""

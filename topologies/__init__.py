"""Clusters to run evbridge on: each module describes one as a ``Fabric`` and offers it to ``mn --custom``.

``two_switch`` and ``multi_switch`` have parameters, ``from_file`` reads a description that ``evbridge topology``
writes, ``catalogue`` finds a topology by name, ``mininet_topo`` builds Mininet's topology of a fabric.

Imports the fabric of the core alone, and Mininet only where a cluster is built.
"""

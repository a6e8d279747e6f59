"""Testbed: clusters of network namespaces with real switches and stations, and what is measured on them.

``evbridge replay``, ``demo``, ``matrix`` and ``vcm run``, the benchmarks and the cluster tests use it.  From the ground
up: ``harness`` and ``emulator`` build a cluster, ``moves`` moves VMs on it, ``measurement`` computes figures,
``replay``, ``manager`` and ``matrix`` run scenarios, goals and the paper's tables; ``faults`` breaks a cluster.

Needs root, Open vSwitch and Mininet.  May use the core, ``vcm``, ``station`` and ``topologies``; no Ryu app, since the
controller is a process of its own.  Errors that are not defects are ``errors.TestbedError``.
"""

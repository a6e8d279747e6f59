"""Parts that a cluster is built from: private namespaces, a private Open vSwitch, stations, VMs, probes and taps.

``cluster.Cluster`` puts them together, starts them and takes them down.  ``prober`` and ``crowd`` run as processes in
the namespaces of VMs and end systems and use the standard library only; ``probes`` and ``crowds`` start and read them.

May use the core's wire formats, fabric and topologies, and ``errors``; contains no move and no scenario.
"""

"""What a cluster is built from: private namespaces, a private Open vSwitch, stations, VMs, probes and taps."""

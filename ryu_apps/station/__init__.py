"""The station side of EVB, ECP and VDP: the uplink of a hypervisor with its VSIs.

``station.Station`` composes the machines of ``evb_station`` and ``vdp_station``; the emulator, the benchmark
and the tests of the bridge use it.  It behaves like lldpad in what a bridge can observe.

Pure, and independent of the bridge: imports ``evb.wire``, ``evb.protocol`` and the fabric's timers.
"""

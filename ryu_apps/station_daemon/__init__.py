"""``evbridge station``: the EVB station of a hypervisor as a daemon, without Ryu.

``daemon`` joins the pure ``station.service`` with packet sockets (``uplink``), the links of the kernel (``links``), the
UNIX socket of the hypervisor (``control``), a file that outlives the process (``state_file``) and metrics.  ``client``
is the other end of the UNIX socket; ``qmp`` and ``libvirt_hook`` are hypervisors that use it.
"""

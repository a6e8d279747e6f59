"""Appliances: chosen traffic of a VSI goes through a VM, in both directions through the same one.

``schema`` is its section of a policy file, ``service`` the rules that choose the traffic.  The rules that lead it to
the VM and back are infrastructure and gates (``pipeline.appliances``).
"""

"""Bandwidth of a VSI: rate limits by meters in both directions, and minimum rates that are reserved.

``schema`` is its section of a policy file, ``service`` has the meters and the rules that name them.  Ports and
trunks on which a minimum is reserved are not counted here but in ``ryu_apps/evb/vsi/bandwidth.py``.
"""

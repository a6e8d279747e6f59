"""OpenFlow rules as values: matches, actions, groups, meters, and the change from one set to another.

``rule`` has the vocabulary of OpenFlow 1.3 and of Open vSwitch's extensions, ``plan`` computes the
smallest change, ``guarded`` and ``errors`` give the match fields of some kinds of frames.

Pure values.  The package imports nothing of evbridge: neither tables and priorities (``pipeline``) nor
the encoding of messages (``southbound``) are here.
"""

"""The process around the bridge: start, signals, logs, supervision by systemd, garbage collection.

``interrupts`` handles signals during imports, ``launch`` and ``ryu_manager`` start ryu-manager, ``signals`` ends it,
``logs`` formats lines, ``supervisor`` notifies systemd, ``waiting`` measures delays of a thread, ``heap`` limits
collections.

Imports no other package of evbridge.
"""

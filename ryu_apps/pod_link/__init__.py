"""This bridge as a pod: the engine on one side, the directory and the other pods on the other.

``link`` is what the app has.  ``claims`` carries out claims of VSIs (a pure table) and requests to hand one over,
``holdings`` compares what is active with what the directory says, ``states`` fetches the state of VSIs, ``peers`` asks
other pods, ``repetition`` and ``presence`` are about a directory that does not answer.
"""

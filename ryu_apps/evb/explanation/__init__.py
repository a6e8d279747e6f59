"""Explanation of a frame: its way through the switches, table by table, in words.

``written_frame``, ``frame_reader`` and ``capture`` give the frame, ``journey`` follows it from switch to switch on the
simulation, ``sources`` says whose a rule is and where in a policy file it stands, ``words`` and ``report`` write it.

Pure.  What the switches hold comes from the caller: the rules that a bridge wants, or those read from a switch.
"""

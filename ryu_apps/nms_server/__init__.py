"""``evbridge nms serve``: statistics of bridges over time, calls of hooks at steps of VSIs, REST.

A thread for each bridge follows its events; one gathers statistics; one for each hook makes its calls.  All that they
know is in one database, so that a restart goes on.
"""

"""Events that go into the engine, and effects that come out of it: its whole interface to the outside.

``effects = engine.feed(event, now)``: an event is something that happened, an effect is something to do.
``now`` is a monotonic time in seconds as a float.
"""

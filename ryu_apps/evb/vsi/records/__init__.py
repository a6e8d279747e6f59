"""Records of attachments in the store, for restarts of the controller.

``attachment`` encodes and decodes one record, ``keeper`` builds the changes of the store from the
state in force.

The package may use ``wire``, ``policy`` and the registry.  It writes nothing itself: the changes go out
as ``Save`` effects of the lifecycle.
"""

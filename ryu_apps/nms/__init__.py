"""A network management system beside bridges: its configuration, the totals of VSIs, what its hooks are told.

Pure: no socket, no file, no clock.  ``ryu_apps.nms_server`` has these.
"""

"""A store that several bridges share: a database of ``ovsdb-server`` in Raft mode.

``evbridge.ovsschema`` is the database, ``json_reader`` reads messages of the server, ``replica`` follows the database,
``batch`` composes transactions, ``doubt`` knows of those whose end was not seen, ``store`` is the interface.

The client is that of Open vSwitch (``ovs.db.idl``), which finds the leader and follows it.
"""

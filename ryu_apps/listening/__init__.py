"""Listening for TCP connections: sockets of our own alone, and bounds on what a stranger may hold open."""

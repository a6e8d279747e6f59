"""Ladder diagrams of migrations, made from what really happened; pure functions."""

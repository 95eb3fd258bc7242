"""Assignments, and what runs, judges and grades them.

A submission runs in a process of its own, which holds neither tests nor answers. See docs/classroom/index.md.
"""

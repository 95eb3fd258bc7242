"""Assignments, and the code that runs, judges and grades submissions.

A submission runs in a separate process, which contains neither tests nor answers. See docs/classroom/index.md.
"""

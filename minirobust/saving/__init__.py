"""Checkpoints, and atomic replacement of files."""

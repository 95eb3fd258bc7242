"""Checkpoints, and how a file is replaced as a whole or not at all."""

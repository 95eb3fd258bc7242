"""A study's tasks: what one does, which there are, who computes them, and how far they are."""

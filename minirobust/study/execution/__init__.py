"""A study's tasks: what each one does, which ones there are, which processes run them, and their progress."""

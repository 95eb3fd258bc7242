"""The commands of `minirobust`, a module for each: they read arguments, call the library, and print what came of it.

Nothing is computed here, and nothing is registered: that is in `minirobust.cli`.  What `import minirobust` does not
bring anyway is imported inside a command, so that ``--help`` is there at once.
"""

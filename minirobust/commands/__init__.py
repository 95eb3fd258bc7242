"""The commands of `minirobust`, a module for each: they read arguments, call the library, and print what came of it.

Nothing is computed here. `minirobust.cli` lists the commands, and imports the module of the one that is run.
"""

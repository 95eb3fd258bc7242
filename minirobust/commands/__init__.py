"""The commands of `minirobust`, one module each: they read arguments, call the library, and print the results.

Nothing is computed here. `minirobust.cli` lists the commands and imports the module of the command that is run.
"""

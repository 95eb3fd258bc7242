"""`python -m minirobust` is the command `minirobust`."""

from minirobust.cli import main

main()

"""`python -m minirobust` is the command `minirobust`."""

from minirobust.cli import main

if __name__ == "__main__":
    main()

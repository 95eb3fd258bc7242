"""`python -m minirobust` is the command `minirobust`."""

if __name__ == "__main__":
    from minirobust.cli import main  # not above: the processes that a study starts import this file, too

    main()

"""The two errors of this package; what raises them lives beside the code that reads or searches."""

__all__ = ["DataError", "DataNotFoundError"]


class DataError(ValueError):
    """Data that is there but is not what it should be; names the file, the expected, the found."""


class DataNotFoundError(FileNotFoundError):
    """A data set that is nowhere to be had; lists the places searched and the addresses tried."""

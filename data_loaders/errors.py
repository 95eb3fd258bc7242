"""The two errors of this package."""

__all__ = ["DataError", "DataNotFoundError"]

_MAX_MESSAGE = 2_000  # characters; a name in a hostile file may be megabytes long


class DataError(ValueError):
    """Raised for invalid data; the message names the file, what was expected, and what was found."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]} …")


class DataNotFoundError(FileNotFoundError):
    """Raised for a data set that was not found; the message lists the places searched and the addresses tried."""

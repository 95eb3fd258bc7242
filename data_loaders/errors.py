"""The two errors of this package."""

__all__ = ["DataError", "DataNotFoundError"]

_MAX_MESSAGE = 2_000  # characters; a hostile file may contain names of megabytes


class DataError(ValueError):
    """Raised for data that is not what it should be; the message names the file, and what was expected and found."""

    def __init__(self, message: str) -> None:
        super().__init__(message if len(message) <= _MAX_MESSAGE else f"{message[:_MAX_MESSAGE]} …")


class DataNotFoundError(FileNotFoundError):
    """Raised for a data set that was not found; the message lists the places searched and the addresses tried."""

"""`Gunzip`: the content of a gzip file as a stream that decompresses no more than requested.

`gzip.GzipFile` reads the header byte by byte in Python, and a header may have any length: one of 60 MB took 20
seconds. zlib reads it in C, and also verifies the checksum at the end.
"""

import io
import zlib
from typing import BinaryIO

__all__ = ["Gunzip"]

MAX_MEMBERS = 100
"""Maximum number of members in a gzip file; almost every file has one."""

_PIECE = 1 << 16
_LARGEST_READ = 1 << 20
_GZIP = 16 + zlib.MAX_WBITS  # tells zlib to expect gzip's header and checksum


class Gunzip(io.RawIOBase):
    """The decompressed content of a gzip file.

    Reading raises EOFError if the file is truncated, and zlib.error if it is damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._packed = b""
        self._stream = zlib.decompressobj(_GZIP)
        self._members = 1

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Decompress at least one byte into the buffer; return the number of bytes, or 0 at the end."""
        size = min(len(buffer), _LARGEST_READ)
        data = b""
        while size and not data:  # zlib takes 0 to mean "no limit"
            if self._stream.eof and not self._next_member():
                break
            data = self._stream.decompress(self._packed, size)
            self._packed = self._stream.unused_data or self._stream.unconsumed_tail
            if not data and not self._packed and not self._stream.eof:
                self._packed = self._file.read(_PIECE)
                if not self._packed:
                    raise EOFError("the file ends before the compressed data do")
        buffer[: len(data)] = data
        return len(data)

    def _next_member(self) -> bool:
        """Begin the next member; return False if there is none."""
        self._packed = self._packed or self._file.read(_PIECE)
        if not self._packed:
            return False
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise zlib.error(f"more than {MAX_MEMBERS} members")
        self._stream = zlib.decompressobj(_GZIP)
        return True

"""Find the files of a data set on this machine, or download them.

If the caller names a folder, only that folder is searched. Otherwise, the search goes through the
folder named by the environment variable MINIROBUST_DATA, the user's cache folder, and the system's
folders, and ends with a download into the cache.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from data_loaders.download import DownloadError, RemoteFile, download_files
from data_loaders.errors import DataNotFoundError

__all__ = ["ENVIRONMENT_VARIABLE", "Source", "find_files"]

ENVIRONMENT_VARIABLE = "MINIROBUST_DATA"


@dataclass(frozen=True)
class Source:
    """The files of a data set, and where to find them.

    Parameters
    ----------
    title : str
        Its name in messages.
    folder : str
        The name of its subfolder in MINIROBUST_DATA and in the cache.
    files : tuple of RemoteFile
        All its files.
    addresses : tuple of str
        URLs of folders that contain the files: the original one, then the mirrors.
    system_folders : tuple of str
        Where packages of an operating system install it.
    hint : str
        Another way to get the data, for the error message.
    """

    title: str
    folder: str
    files: tuple[RemoteFile, ...]
    addresses: tuple[str, ...]
    system_folders: tuple[str, ...] = ()
    hint: str = ""


def find_files(source: Source, folder: str | Path | None = None, download: bool = True) -> tuple[Path, ...]:
    """Return the paths of the data set's files, downloading them if they are not found.

    Parameters
    ----------
    source : Source
        The data set.
    folder : path, optional
        Search only this folder and its subfolder named after the data set, and do not download.
    download : bool
        Whether to download what is missing.

    Returns
    -------
    tuple of Path
        One for each of ``source.files``, in that order, all from one folder.

    Raises
    ------
    DataNotFoundError
        If the files are not found. The message lists every place and address tried, with the reason
        for each.
    """
    looked = []
    for place in _places(source, folder):
        paths = [_find(place, file) for file in source.files]
        found = tuple(path for path in paths if path is not None)
        if len(found) == len(source.files):
            return found
        missing = [file.name for file, path in zip(source.files, paths, strict=True) if not path]
        looked.append(f"{place}: {_reason(place, missing)}")

    if folder is not None:
        tried = ["nowhere, because a folder was given"]
    elif not download:
        tried = ["nowhere, because of download=False"]
    else:
        cache = _cache_folder(source)
        absent = [file for file in source.files if _find(cache, file) is None]
        try:
            download_files(absent, source.addresses, cache)
            return tuple(path for file in source.files if (path := _find(cache, file)))
        except DownloadError as error:
            tried = error.attempts
    raise DataNotFoundError(_message(source, folder, looked, tried))


def _places(source: Source, folder: str | Path | None) -> Iterator[Path]:
    """Yield the folders to search, the most likely one first.

    A subfolder comes before its parent because two data sets may share file names.
    """
    if folder is not None:
        given = Path(folder).expanduser()
        yield given / source.folder
        yield given
        return
    if os.environ.get(ENVIRONMENT_VARIABLE):
        named = Path(os.environ[ENVIRONMENT_VARIABLE]).expanduser()
        yield named / source.folder
        yield named
    yield _cache_folder(source)
    yield from map(Path, source.system_folders)


def _cache_folder(source: Source) -> Path:
    import pooch

    return Path(pooch.os_cache("minirobust")) / source.folder


def _find(place: Path, file: RemoteFile) -> Path | None:
    # Accept only regular files, because opening a pipe with the right name would block.
    if (place / file.name).is_file():
        return place / file.name
    if not file.unpacked:
        return None
    unpacked = place / file.unpacked
    if not file.unpacked.endswith("/"):
        return unpacked if unpacked.is_file() else None
    if place.name == unpacked.name and place.is_dir():
        return place
    return unpacked if unpacked.is_dir() else None


def _reason(place: Path, missing: list[str]) -> str:
    if not place.exists():
        return "no such folder"
    if not place.is_dir():
        return "not a folder"
    return f"no {', no '.join(missing)}"


def _message(source: Source, folder: str | Path | None, looked: list[str], tried: list[str]) -> str:
    names = ", ".join(file.name for file in source.files)
    if folder is not None:
        remedy = f"put {names} into {folder}."
    else:
        remedy = (
            f"put {names} into {_cache_folder(source)}, or into any other folder "
            f"and set the environment variable {ENVIRONMENT_VARIABLE} to that folder."
        )
    return "\n".join(
        [
            f"{source.title} was not found. Looked in:",
            *(f"  {place}" for place in looked),
            "Tried to download from:",
            *(f"  {attempt}" for attempt in tried),
            f"To install it by hand, {remedy}",
            *([source.hint] if source.hint else []),
        ]
    )

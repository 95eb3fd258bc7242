"""Where data sets are looked for on this machine, and what is said when they are nowhere.

The order: the caller's folder and nothing else, if one is given; or else the folder that the
environment variable MINIROBUST_DATA names, the user's cache folder, the system's folders, and a
download into the cache. What a file holds is the business of the parsers, how it is downloaded
that of `download`.
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
    """Where a data set may be found, near and far.

    Parameters
    ----------
    title : str
        Its name in messages.
    folder : str
        The subfolder that bears its name, in MINIROBUST_DATA and in the cache.
    files : tuple of RemoteFile
        All that belong to it.
    addresses : tuple of str
        Web folders that hold the files: the original one, then the mirrors.
    system_folders : tuple of str
        Where operating systems' packages put it.
    hint : str
        One more way to it, for the error message.
    """

    title: str
    folder: str
    files: tuple[RemoteFile, ...]
    addresses: tuple[str, ...]
    system_folders: tuple[str, ...] = ()
    hint: str = ""


def find_files(source: Source, folder: str | Path | None = None, download: bool = True) -> tuple[Path, ...]:
    """Return the paths of the data set's files, downloading them if they are nowhere.

    Parameters
    ----------
    source : Source
        The data set.
    folder : path, optional
        Look here and in the subfolder of the data set's name, nowhere else, and do not download.
    download : bool
        Whether to download what is missing.

    Returns
    -------
    tuple of Path
        One for each of ``source.files``, in that order, all from one folder.

    Raises
    ------
    DataNotFoundError
        With every place and every address that was tried, and what was wrong with it.
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
    """Yield the folders to look into, the likeliest first.

    A subfolder comes before the folder around it because two data sets may share file names.
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
    # Only regular files count: a pipe under the right name would block whoever opens it.
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
            f"put {names} into {_cache_folder(source)}, or into any folder "
            f"and name that folder in the environment variable {ENVIRONMENT_VARIABLE}."
        )
    return "\n".join(
        [
            f"{source.title} was not found. Looked in:",
            *(f"  {place}" for place in looked),
            "Tried to download from:",
            *(f"  {attempt}" for attempt in tried),
            f"To place it by hand, {remedy}",
            *([source.hint] if source.hint else []),
        ]
    )

"""Data sets are searched for in the documented order, and an error names every location and address."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from data_loaders import (
    DataNotFoundError,
    load_cifar10,
    load_fashion_mnist,
    load_mnist,
    load_svhn,
    mnist,
)
from data_loaders.download import RemoteFile
from data_loaders.search import ENVIRONMENT_VARIABLE, Source, find_files

if TYPE_CHECKING:
    from conftest import Server

ONE, TWO = b"the first file", b"the second file"


def remote(name: str, content: bytes, unpacked: str = "") -> RemoteFile:
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return RemoteFile(name, len(content), checksum, unpacked)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return a data set of two files that no web address and one system folder may have."""
    return Source(
        title="Tiny",
        folder="tiny",
        files=(remote("one.gz", ONE, "one"), remote("two.gz", TWO, "two/")),
        addresses=(),
        system_folders=(str(tmp_path / "system"),),
        hint="Or draw it yourself.",
    )


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("one.gz", "two.gz"):
        (folder / name).write_bytes(b"")
    return folder


def place_of(source: Source, **arguments: object) -> Path:
    paths = find_files(source, **arguments)  # type: ignore[arg-type]
    assert [path.name for path in paths] == ["one.gz", "two.gz"]
    assert paths[0].parent == paths[1].parent
    return paths[0].parent


def test_the_places_are_searched_in_order(
    source: Source, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "named"))
    for place in (tmp_path / "system", cache / "tiny", tmp_path / "named", tmp_path / "named/tiny"):
        put(place)
        assert place_of(source) == place


def test_given_folder_comes_first_and_its_subfolder_before_it(source: Source, tmp_path: Path, cache: Path) -> None:
    put(cache / "tiny")
    for place in (tmp_path / "given", tmp_path / "given/tiny"):
        put(place)
        assert place_of(source, folder=tmp_path / "given") == place
        assert place_of(source, folder=str(tmp_path / "given")) == place


def test_given_folder_is_the_only_one_searched(
    source: Source, tmp_path: Path, cache: Path, make_server: "Callable[[], Server]"
) -> None:
    put(cache / "tiny")
    server = make_server()
    with pytest.raises(DataNotFoundError, match="nowhere, because a folder was given") as caught:
        find_files(replace(source, addresses=(server.address,)), tmp_path / "given")
    assert str(cache) not in str(caught.value)
    assert server.requests == []


def test_an_empty_environment_variable_counts_as_none(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "")
    with pytest.raises(DataNotFoundError):
        find_files(source, download=False)


def test_files_are_never_mixed_from_two_folders(source: Source, tmp_path: Path, cache: Path) -> None:
    put(cache / "tiny", "one.gz")
    put(tmp_path / "system", "two.gz")
    with pytest.raises(DataNotFoundError):
        find_files(source, download=False)


def test_unpacked_files_and_folders_are_found_too(source: Source, tmp_path: Path) -> None:
    put(tmp_path / "given", "one")
    put(tmp_path / "given/two")
    assert [path.name for path in find_files(source, tmp_path / "given")] == ["one", "two"]


def test_a_folder_under_a_files_name_is_not_the_file(source: Source, tmp_path: Path) -> None:
    put(tmp_path / "given", "two.gz")
    (tmp_path / "given/one.gz").mkdir()
    (tmp_path / "given/one").mkdir()
    with pytest.raises(DataNotFoundError, match=r"no one\.gz\n"):
        find_files(source, tmp_path / "given")


def test_missing_files_are_downloaded_into_the_cache(
    source: Source, cache: Path, make_server: "Callable[[], Server]"
) -> None:
    server = make_server()
    server.files.update({"one.gz": ONE, "two.gz": TWO})
    source = replace(source, addresses=(server.address,))
    put(cache / "tiny", "one.gz")
    assert place_of(source) == cache / "tiny"
    assert {name for _, name, _ in server.requests} == {"two.gz"}
    assert (cache / "tiny/two.gz").read_bytes() == TWO

    asked = len(server.requests)
    assert place_of(source) == cache / "tiny"
    assert len(server.requests) == asked


def test_download_false_does_not_use_the_network(
    source: Source, cache: Path, make_server: "Callable[[], Server]"
) -> None:
    server = make_server()
    with pytest.raises(DataNotFoundError, match="because of download=False"):
        find_files(replace(source, addresses=(server.address,)), download=False)
    assert server.requests == []
    assert not cache.exists()


def test_the_error_names_every_place_every_address_and_the_remedy(
    source: Source, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, dead_address: str
) -> None:
    address = dead_address
    put(tmp_path / "named", "one.gz")
    put(tmp_path, "system")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "named"))
    with pytest.raises(FileNotFoundError) as caught:
        find_files(replace(source, addresses=(address, address + "mirror/")))
    lines = str(caught.value).splitlines()
    assert lines[:6] == [
        "Tiny was not found. Looked in:",
        f"  {tmp_path}/named/tiny: no such folder",
        f"  {tmp_path}/named: no two.gz",
        f"  {cache}/tiny: no such folder",
        f"  {tmp_path}/system: not a folder",
        "Tried to download from:",
    ]
    assert lines[6].startswith(f"  {address}one.gz: ")
    assert lines[7].startswith(f"  {address}mirror/one.gz: ")
    assert lines[8:] == [
        f"To install it by hand, put one.gz, two.gz into {cache}/tiny, or into any other folder and "
        f"set the environment variable {ENVIRONMENT_VARIABLE} to that folder.",
        "Or draw it yourself.",
    ]


@pytest.mark.parametrize("name", ["train_32x32.mat", "cifar-10-batches-bin"])
@pytest.mark.parametrize("load", [load_mnist, load_svhn, load_cifar10])
def test_file_in_place_of_the_folder_is_not_found(load: Callable, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataNotFoundError, match="no such folder"):
        load(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataNotFoundError, match="not a folder"):
        load(tmp_path / name)


@pytest.mark.parametrize("load", [load_mnist, load_fashion_mnist, load_svhn, load_cifar10])
def test_every_loader_names_the_missing_data(load: Callable, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"was not found\. Looked in:"):
        load(tmp_path)


def test_a_download_that_fails_at_the_first_file_tries_no_other(
    monkeypatch: pytest.MonkeyPatch, make_server: "Callable[[], Server]"
) -> None:
    server = make_server()
    monkeypatch.setattr(mnist, "SOURCE", replace(mnist.SOURCE, addresses=(server.address,)))
    with pytest.raises(DataNotFoundError, match="404"):
        load_mnist()
    assert {name for _, name, _ in server.requests} == {"train-images-idx3-ubyte.gz"}

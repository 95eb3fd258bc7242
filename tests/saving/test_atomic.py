"""Files are replaced completely or not at all, even if several programs write to the same path."""

import errno
import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from minirobust.saving import atomic, sealed
from minirobust.saving.atomic import check_writable, replacing

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, pipes and signals are those of POSIX")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_both_packages_have_the_same_text():
    here = Path(atomic.__file__)
    assert here.read_bytes() == (here.parents[2] / "data_loaders" / "atomic.py").read_bytes()


# Several writers


def save(path, writer):
    """Save a file in which the description and every number name the writer."""
    sealed.write(path, {"writer": writer}, {"numbers": np.full(5000, writer)})


def assert_whole(path):
    description, arrays = sealed.read(path)
    np.testing.assert_array_equal(arrays["numbers"], np.full(5000, description["writer"]))
    assert names(path.parent) == [path.name]


def test_threads_write_to_one_path(tmp_path):
    path = tmp_path / "net.h5"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda writer: save(path, writer), range(100)))
    assert_whole(path)


def test_processes_write_to_one_path(tmp_path):
    path = tmp_path / "net.h5"
    code = """
import sys
from pathlib import Path
import numpy as np
from minirobust.saving import sealed
for repetition in range(30):
    sealed.write(Path(sys.argv[1]), {"writer": int(sys.argv[2])}, {"numbers": np.full(5000, int(sys.argv[2]))})
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), writer], stderr=subprocess.PIPE) for writer in "12"
    ]
    assert [process.communicate(timeout=120)[1] for process in processes] == [b"", b""]
    assert [process.returncode for process in processes] == [0, 0]
    assert_whole(path)


def test_the_last_writer_wins(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as slow:
        slow.write_text("slow")
        write(path, "fast")
        assert path.read_text() == "fast"
    assert path.read_text() == "slow"
    assert names(tmp_path) == ["a.txt"]


# What the path was before


@posix
def test_symbolic_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "files").mkdir()
    link, target = tmp_path / "links" / "latest", tmp_path / "files" / "a.txt"
    link.symlink_to(Path("..") / "files" / "a.txt")
    for text in ("new", "replaced"):  # the link leads nowhere at first
        write(link, text)
        assert link.is_symlink()
        assert target.read_text() == text
    assert (names(tmp_path / "links"), names(tmp_path / "files")) == (["latest"], ["a.txt"])


@posix
@pytest.mark.parametrize("mode", [0o640, 0o600, 0o444, 0o755])
def test_existing_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    write(path, "new")
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


@posix
def test_private_file_is_never_readable_by_others(tmp_path):
    path = tmp_path / "a.txt"
    path.touch(0o600)
    with replacing(path) as temporary:
        assert temporary.stat().st_mode & 0o077 == 0


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_new_file_honours_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write(tmp_path / "a.txt", "new")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == mode


@posix
@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize("check", [check_writable, lambda path: write(path, "new")])
def test_pipe_is_refused_and_stays_a_pipe(tmp_path, check, through_link):
    pipe = path = tmp_path / "pipe"
    os.mkfifo(pipe)
    if through_link:
        path = tmp_path / "link"
        path.symlink_to(pipe)
    before = names(tmp_path)
    with pytest.raises(OSError, match=f"save {path}: expected a regular file, got a device, pipe or socket"):
        check(path)
    assert pipe.is_fifo()
    assert names(tmp_path) == before


@pytest.mark.parametrize("check", [check_writable, lambda path: write(path, "new")])
@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("missing/a.txt", FileNotFoundError, "expected an existing folder, got .*missing"),
        pytest.param("link", FileNotFoundError, "expected an existing folder, got .*nowhere", marks=posix),
        ("folder", IsADirectoryError, "expected the name of a file, got a folder"),
        ("file/a.txt", NotADirectoryError, "Not a directory"),
    ],
)
def test_path_that_cannot_be_a_file_is_refused(tmp_path, check, name, kind, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    if name == "link":
        (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "a.txt")
    before = names(tmp_path)
    with pytest.raises(kind, match=message) as caught:
        check(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert names(tmp_path) == before


# What goes wrong on the way


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), OSError("no number")])
def test_failing_block_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)))

    def fail():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert path.read_bytes() == bytes(range(256))
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_full_disk_leaves_the_old_file_and_names_the_path(tmp_path, monkeypatch, function):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write(path, "new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


@posix
def test_disk_that_fills_names_the_path(tmp_path):
    resource = pytest.importorskip("resource", reason="the limits of a process are those of POSIX")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write(tmp_path / "a.txt", "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert names(tmp_path) == []


def test_error_about_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "a.txt"):
        (tmp_path / "other.txt").read_text()
    assert caught.value.filename == str(tmp_path / "other.txt")


@posix
@pytest.mark.parametrize("check", [check_writable, lambda path: write(path, "new")])
def test_read_only_folder_names_the_path(tmp_path, check):
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError) as caught:
        check(tmp_path / "a.txt")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_name_that_is_too_long_names_the_path(tmp_path):
    with pytest.raises(OSError, match="too long|Invalid argument") as caught:
        check_writable(tmp_path / ("x" * 250))
    assert caught.value.filename == str(tmp_path / ("x" * 250))


def test_folder_that_cannot_be_flushed_does_no_harm(tmp_path, monkeypatch):
    real = os.open

    def refuse_folders(path, *arguments):
        if os.path.isdir(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refuse_folders)
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_check_writable_changes_nothing(tmp_path):
    (tmp_path / "old.txt").write_text("old")
    for name in ("old.txt", "new.txt"):
        check_writable(tmp_path / name)
    assert names(tmp_path) == ["old.txt"]
    assert (tmp_path / "old.txt").read_text() == "old"


# What a killed process leaves


@posix
def test_only_what_a_dead_process_left_is_removed(tmp_path):
    path = tmp_path / "[a].txt"
    code = """
import os, sys, time
from minirobust.saving.atomic import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_text(sys.argv[2])
    print("begun", flush=True)
    if sys.argv[2] == "dead":
        time.sleep(60)
    input()
"""
    start = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    dead, alive = (subprocess.Popen([*start, text], **pipes) for text in ("dead", "alive"))
    assert [process.stdout.readline() for process in (dead, alive)] == ["begun\n"] * 2
    dead.kill()
    dead.communicate()
    elsewhere = f".[a].txt.0a0a0a0a-{dead.pid}-0123abcd.part"
    of_another = f".b.txt.{atomic._machine()}-{dead.pid}-0123abcd.part"
    for name in (elsewhere, of_another, ".[a].txt.part"):
        (tmp_path / name).touch()
    assert len(names(tmp_path)) == 5

    write(path, "new")
    assert path.read_text() == "new"
    (part,) = set(names(tmp_path)) - {elsewhere, of_another, path.name}
    assert f"-{alive.pid}-" in part
    alive.communicate("\n", timeout=60)
    assert path.read_text() == "alive"
    assert names(tmp_path) == sorted([elsewhere, of_another, path.name])


@posix
def test_killing_during_saves_leaves_a_complete_file(tmp_path):
    path = tmp_path / "a.bin"
    code = """
import sys
from minirobust.saving.atomic import replacing
for repetition in range(10**6):
    with replacing(sys.argv[1]) as temporary:
        temporary.write_bytes(bytes([repetition % 256]) * 1_000_000)
"""
    for wait in (0.02, 0.05, 0.1):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        process.wait()
        content = path.read_bytes()
        assert content == content[:1] * 1_000_000
        write(path, "new")
        assert names(tmp_path) == ["a.bin"]
        path.unlink()


# What reaches the disk


@posix
def test_file_reaches_the_disk_before_it_takes_its_place_and_its_folder_afterwards(tmp_path, monkeypatch):
    path, events = tmp_path / "a.txt", []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(number):
        events.append("folder" if os.path.samestat(os.fstat(number), tmp_path.stat()) else os.pread(number, 9, 0))
        fsync(number)

    def seen_replace(source, target):
        events.append("replaced")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write(path, "new")
    assert events == [b"new", "replaced", "folder"]


@posix
def test_device_is_refused_and_stays_a_device(tmp_path):
    node = tmp_path / "node"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # a null device of the test's own
    except PermissionError:
        pytest.skip("only root may make a device")
    with pytest.raises(OSError, match="expected a regular file, got a device, pipe or socket"):
        write(node, "new")
    assert stat.S_ISCHR(node.stat().st_mode)
    assert names(tmp_path) == ["node"]

"""The isolation of a submission: three levels, and the command that starts a child at each.

`BWRAP` is bubblewrap: no network, no files except Python and NumPy, and no other processes. `USER` is a separate user
in a container that runs as root: a barrier only as good as the file permissions, and the network is open. `LIMITS` are
resource limits alone: a convenience for your own programs, not a barrier.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import site
import socket
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minirobust.classroom import child

MIB = 2**20
BWRAP, USER, LIMITS = "bwrap", "user", "limits"
PROCESSES = 64
RESOURCES = {
    "AS": 1024 * MIB,
    "CPU": 60,  # seconds; the grader's clock limits single calls
    "FSIZE": 1 * MIB,
    "NOFILE": 64,
    "NPROC": PROCESSES,
    "CORE": 0,
}
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/tmp",
    "PATH": "/usr/bin:/bin",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # the same bytes get the same result
}
if "SYSTEMROOT" in os.environ:  # Windows starts no program without it.
    ENVIRONMENT["SYSTEMROOT"] = os.environ["SYSTEMROOT"]


@dataclass(frozen=True)
class Sandbox:
    """One way to start a child.

    Attributes
    ----------
    level : str
        `BWRAP`, `USER` or `LIMITS`.
    is_root : bool
        Whether the grader runs as root. The child then becomes a separate ordinary user, because limits on
        processes do not apply to root.
    """

    level: str
    is_root: bool

    @property
    def is_barrier(self) -> bool:
        """Whether a hostile program cannot reach files and other processes."""
        return self.level != LIMITS

    def new_user(self) -> int | None:
        """Return the number of a user without other processes, or None if the child runs as the grader's user."""
        return next(filter(_claim, _USERS)) if self.is_root and self.is_barrier else None

    def command(self, user: int | None) -> list[str]:
        """Return the command that starts a child."""
        settings = {
            "user": user,
            "numpy": str(_numpy_folder()),
            "limits": RESOURCES,
            "strict": self.is_barrier,
        }
        python = [sys._base_executable, "-s", "-S", "-P", "-B", "-c", _child_source(), json.dumps(settings)]  # type: ignore[attr-defined]
        return python if self.level != BWRAP else [*_bwrap(self.is_root), "--", *python]


# systemd reserves these numbers for users that exist while a service runs.
_USERS = itertools.cycle(range(61184 + os.getpid() % 4000, 65520))
_CLAIMS: dict[int, socket.socket] = {}


def _claim(user: int) -> bool:
    """Claim a user for a child of this grader; return False if another grader on this machine has claimed it.

    A grader ends all processes of its child's user, so two children with one user would end each other.
    """
    if sys.platform == "linux":  # Only Linux has addresses that vanish with the process that bound them.
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0minirobust-user-{user}")
        except OSError:
            claim.close()
            return False
        _CLAIMS[user] = claim
    return True


def release(user: int) -> None:
    """Let other graders have a user."""
    if user in _CLAIMS:
        _CLAIMS.pop(user).close()


def _bwrap(is_root: bool) -> list[str]:
    """Return bubblewrap's command line without the program that it runs."""
    words = ["bwrap", "--die-with-parent", "--new-session", "--hostname", "grader", "--cap-drop", "ALL", "--clearenv"]
    words += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if is_root:
        # No user namespace: the child itself gives up root, and then has an ordinary user's limits.
        words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        words += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    for name, value in ENVIRONMENT.items():
        words += ["--setenv", name, value]
    # First, because Python may be installed below it.
    words += ["--size", str(4 * MIB), "--perms", "1777", "--tmpfs", "/tmp"]
    for folder in _readable_folders():
        words += _visible(folder)
    for folder in _package_folders():
        words += ["--perms", "0755", "--tmpfs", folder]
    for folder in _numpy_folders():
        words += _visible(folder)
    words += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    return [*words, "--remount-ro", "/", "--chdir", "/tmp"]


def _visible(place: str) -> list[str]:
    """Return the words that make a file or folder visible, below folders that any user may enter."""
    parents = [str(parent) for parent in reversed(Path(place).parents)][1:]
    return [word for parent in parents for word in ("--perms", "0755", "--dir", parent)] + ["--ro-bind", place, place]


def _readable_folders() -> list[str]:
    """Return the folders that Python needs: its own, and the C library's."""
    places = [sys.base_prefix, "/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"]
    return [place for place in places if os.path.exists(place)]


def _package_folders() -> list[str]:
    """Return the folders with installed packages that would be visible; empty folders are mounted over them."""
    paths: set[str] = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    paths |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    paths |= {str(path) for path in Path("/usr/lib").glob("python3*/dist-packages")}
    base = Path(sys.base_prefix, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    readable = [Path(os.path.realpath(folder)) for folder in _readable_folders()]
    real = {os.path.realpath(path) for path in [*paths, str(base)] if os.path.isdir(path)}
    return sorted(path for path in real if any(Path(path).is_relative_to(folder) for folder in readable))


def _numpy_folder() -> Path:
    return Path(os.path.realpath(np.__file__)).parents[1]


def _numpy_folders() -> list[str]:
    return [str(_numpy_folder() / name) for name in ("numpy", "numpy.libs") if (_numpy_folder() / name).is_dir()]


@functools.cache
def _child_source() -> str:
    """Return the child's program, which is passed on the command line, so the child needs none of our files."""
    return Path(child.__file__).read_text(encoding="utf-8")


def end_everything_of(user: int) -> None:
    """End all processes of a user that was claimed for one child, and release the user."""
    subprocess.run(["/bin/sh", "-c", "kill -9 -1"], user=user, group=user, extra_groups=[], check=False)
    release(user)

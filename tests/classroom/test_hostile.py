"""bubblewrap contains hostile programs: they reach no file, process or connection, and cannot fake an answer.

Everything stays on this machine: connections go to a listener of the test's own on the loopback interface, and files
are written below the test's temporary folder.
"""

import os
import site
import socket
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minirobust.classroom.process import _descendants
from minirobust.classroom.program import Wrong
from minirobust.classroom.sandbox import PROCESSES

ROOT = Path(__file__).parents[2]
slow = pytest.mark.slow


def case(name, source, *kinds, marks=()):
    """Return a program whose function f fails, and the kinds of failure that are right for it."""
    return pytest.param(source, kinds, id=name, marks=marks)


FAILING = [
    case("endless loop", "def f():\n    while True: pass", "time"),
    case("endless sleep", "import time\ndef f(): time.sleep(1000)", "time", marks=slow),
    case("endless output", "def f():\n    while True: print('x' * 1000)", "time"),
    case("endless errors", "import os\ndef f():\n    while True: os.write(2, b'x' * 1000)", "time", marks=slow),
    case("exit", "import os\ndef f(): os._exit(0)", "ended"),
    case("system exit", "import sys\ndef f(): sys.exit(0)", "raised SystemExit", marks=slow),
    case("signal to itself", "import os\ndef f(): os.kill(os.getpid(), 9)", "ended", marks=slow),
    case("endless recursion", "def f(): return f()", "raised RecursionError", marks=slow),
    case(
        "stack overflow",
        "import sys\ndef f(depth=0):\n    sys.setrecursionlimit(10**9)\n    return [f(depth + 1)]",
        *("ended", "raised MemoryError", "time"),
        marks=slow,
    ),
    case("memory", "def f(): return bytearray(2 * 2**30)", "raised MemoryError"),
    case(
        "memory bit by bit",
        "def f():\n    x = []\n    while True: x.append(bytearray(2**24))",
        *("raised MemoryError", "time"),
        marks=slow,
    ),
    case("huge answer", "import numpy as np\ndef f(): return np.ones(10**7)", "protocol"),
    case("huge text", "def f(): return 'x' * 10**7", "protocol", marks=slow),
    case(
        "deep answer",
        "def f():\n    x = ()\n    for _ in range(500): x = (x,)\n    return x",
        *("protocol", "raised RecursionError"),
        marks=slow,
    ),
    case("object array", "import numpy as np\ndef f(): return np.array([print, f])", "type", marks=slow),
    case(
        "subclass that equals everything",
        "import numpy as np\nclass A(np.ndarray):\n    def __eq__(self, other): return True\n"
        "def f(): return np.ones(3).view(A)",
        "type",
    ),
    case(
        "forged frame",
        """
import json, os, struct
def f():
    text = json.dumps([{"nonce": "x", "value": 1.0}, []]).encode()
    for descriptor in range(3, 64):
        try: os.write(descriptor, struct.pack("<II", len(text), 0) + text)
        except OSError: pass
    return 1.0
""",
        "protocol",
    ),
    case(
        "forged lengths",
        """
import os, struct
def f():
    for descriptor in range(3, 64):
        try: os.write(descriptor, struct.pack("<II", 2**32 - 1, 2**32 - 1))
        except OSError: pass
    return 1.0
""",
        "protocol",
        marks=slow,
    ),
    case(
        "closed pipes",
        "import os\ndef f():\n    os.closerange(0, 64)\n    return 1.0",
        *("ended", "raised OSError", "time"),
        marks=slow,
    ),
]


def test_no_thread_of_the_grader_is_left(student):
    before = threading.active_count()
    for source in ("import numpy as np\ndef f(): return np.ones(10**7)", "def f(): return 1.0"):
        program = student(source, seconds=10.0)
        try:
            program.call("f")
        except Wrong as wrong:
            assert wrong.mistake == "protocol"  # noqa: PT017
        program.close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("source", "kinds"), FAILING)
def test_misbehaving_program_is_ended_in_time(student, source, kinds):
    program = student(source, seconds=0.5 if "time" in kinds else 10.0)
    start = time.monotonic()
    with pytest.raises(Wrong) as found:
        program.call("f")
    assert found.value.mistake in kinds
    assert time.monotonic() - start < 5 + os.getloadavg()[0]
    assert len(program.printed) <= 8192


@pytest.fixture
def watched():
    """The processes that this one starts while a test runs, and how many there were at once."""
    seen, most, done = set(), [0], threading.Event()
    before = set(_descendants(os.getpid()))  # of multiprocessing, from an earlier test

    def watch():
        while not done.wait(0.005):
            now = set(_descendants(os.getpid())) - before
            seen.update(now)
            most[0] = max(most[0], len(now))

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen, most
    done.set()
    thread.join()


def alive(processes):
    """Return those that still run; zombies do not."""
    running = []
    for process in processes:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        running += [process] if state not in "ZX" else []
    return running


def end(program, seen):
    """End a program, and expect that nothing of it is alive one second later."""
    program.close()
    deadline = time.monotonic() + 1
    while alive(seen) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert alive(seen) == []


def test_no_more_than_64_processes_start(student, watched):
    seen, most = watched
    program = student("""
import os, time
def f():
    started = 0
    try:
        for started in range(200):
            if os.fork() == 0: time.sleep(60)
    except OSError: pass
    return float(started)
""")
    assert 32 < program.call("f") < PROCESSES
    end(program, seen)
    assert most[0] <= PROCESSES + 3  # bubblewrap itself has two


SPREADING = {
    "fork bomb": """
import os
def f():
    while True:
        try: os.fork()
        except OSError: pass
""",
    "daemon": """
import os, time
def f():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: time.sleep(60)
        os._exit(0)
    return 1.0
""",
    "threads": """
import threading, time
def f():
    for _ in range(30): threading.Thread(target=time.sleep, args=[60]).start()
    return 1.0
""",
    "another program": """
import subprocess
def f():
    subprocess.Popen(["sleep", "60"])
    return 1.0
""",
}


@pytest.mark.parametrize("name", SPREADING)
def test_nothing_is_alive_one_second_later(student, watched, name):
    seen, most = watched
    program = student(SPREADING[name], seconds=0.5)
    try:
        program.call("f")
    except Wrong as wrong:
        kind = wrong.mistake
    else:
        kind = ""
    assert kind in (
        ("time", "protocol") if name == "fork bomb" else ("", "raised FileNotFoundError", "raised RuntimeError")
    )
    end(program, seen)
    assert most[0] <= PROCESSES + 3


@pytest.mark.slow
def test_memory_of_many_processes_together_is_limited(student):
    program = student(
        """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            x = bytearray(300 * 2**20)
            time.sleep(60)
    time.sleep(60)
""",
        seconds=20.0,
    )
    with pytest.raises(Wrong) as found:
        program.call("f")
    assert found.value.mistake == "memory"


def test_submission_writes_no_byte_outside_its_folder(student, tmp_path):
    tmp_path.chmod(0o777)
    folders = (tmp_path, ROOT / "minirobust", Path("/var/tmp"), Path("/"), Path("/dev/shm"), Path.home())
    places = [str(folder / "hostile.txt") for folder in folders]
    program = student(f"""
def f():
    written = []
    for place in {places!r}:
        try:
            open(place, "w").write("x")
            written.append(place)
        except OSError: pass
    return " ".join(written)
""")
    assert program.call("f") == ""
    assert not any(Path(place).exists() for place in places)


@pytest.mark.slow
def test_temporary_folder_is_small_and_removed(student):
    source = """
import os
def f():
    written = 0
    try:
        for written in range(100):
            open(f"/tmp/{written}", "wb").write(b"x" * 2**19)
    except OSError: pass
    return float(written)
def g(): return float(os.path.exists("/tmp/0"))
"""
    existed = Path("/tmp/0").exists()
    first = student(source)
    assert 2 <= first.call("f") <= 16
    assert first.call("g") == 1
    first.close()
    assert Path("/tmp/0").exists() == existed
    assert student(source).call("g") == 0


def test_no_file_of_the_machine_can_be_read(student, tmp_path, sigmoid):
    (tmp_path / "secret.txt").write_text("x")
    tmp_path.chmod(0o755)
    _, private = sigmoid
    places = [tmp_path / "secret.txt", private.folder / "model.py", "/etc/passwd", "/etc/shadow", __file__]
    program = student(f"""
def f():
    read = []
    for place in {list(map(str, places))!r}:
        try:
            open(place).read()
            read.append(place)
        except OSError: pass
    return " ".join(read)
""")
    assert program.call("f") == ""


def test_only_the_interpreter_and_the_c_library_are_visible(student):
    program = student("import os\ndef f(): return ' '.join(os.listdir('/'))")
    paths = (sys.base_prefix, np.__file__)
    assert set(program.call("f").split()) <= {"dev", "etc", "lib", "lib64", "proc", "tmp", "usr"} | {
        Path(path).parts[1] for path in paths
    }


def test_only_numpy_and_the_standard_library_can_be_imported(student):
    packages = [site.getsitepackages()[0], f"{sys.base_prefix}/lib/python{sys.version[:4]}/site-packages"]
    program = student(f"""
import sys
sys.path += {[str(ROOT), str(ROOT / "minirobust"), *packages]!r}
def f():
    found = []
    for name in ("numpy", "minirobust", "data_loaders", "scipy", "h5py", "pytest", "typer", "pip"):
        try:
            __import__(name)
            found.append(name)
        except ImportError: pass
    return " ".join(found)
""")
    assert program.call("f") == "numpy"


def test_submission_cannot_open_a_connection(student):
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as local:
        listener.settimeout(0.2)
        local.bind(f"\0minirobust-{os.getpid()}")
        local.listen()
        program = student(f"""
import socket
def f():
    connected = 0.0
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", {listener.getsockname()[1]})),
        (socket.AF_UNIX, "\\0minirobust-{os.getpid()}"),
    ):
        try:
            socket.socket(family).connect(address)
            connected += 1
        except OSError: pass
    return connected
""")
        assert program.call("f") == 0
        with pytest.raises(TimeoutError):
            listener.accept()


def test_grader_cannot_be_signalled(student):
    program = student(f"""
import os
def f():
    for process in (os.getppid(), {os.getpid()}, -{os.getpid()}, 1):
        try: os.kill(process, 9)
        except OSError: pass
    return 1.0
""")
    assert program.call("f") == 1


def test_environment_contains_nothing_from_the_grader(student, monkeypatch):
    monkeypatch.setenv("A_SECRET", "x")
    assert "A_SECRET" not in student("import os\ndef f(): return ' '.join(os.environ)").call("f")


@pytest.mark.slow
def test_no_privilege_can_be_gained(student):
    program = student("""
import os, resource
def f():
    done = 0.0
    for attempt in (
        lambda: os.setuid(0),
        lambda: resource.setrlimit(resource.RLIMIT_NPROC, (4096, 4096)),
        lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)),
        lambda: os.chroot("/tmp"),
        lambda: os.mkdir("/new"),
    ):
        try:
            attempt()
            done += 1
        except (OSError, ValueError): pass
    return done
""")
    assert program.call("f") == 0


def test_next_call_gets_a_new_child_after_one_was_ended(student):
    program = student("import os\ndef f(): os._exit(1)\ndef g(x): return x[0]\n")
    with pytest.raises(Wrong):
        program.call("f")
    # More than a pipe holds.
    assert program.call("g", np.full(100_000, 2.0)) == 2


@pytest.mark.slow
def test_child_that_never_reads_does_not_block_the_grader(student):
    program = student("""
import threading, time
def f(x): return 1.0
def g():
    import gc
    runner = next(o for o in gc.get_objects() if type(o).__name__ == "Runner")
    runner.channel.send({"nonce": runner.nonce, "value": 1.0, "changed": False, "warnings": []}, [])
    time.sleep(60)
""", seconds=0.5)  # fmt: skip
    assert program.call("g") == 1
    start = time.monotonic()
    with pytest.raises(Wrong, match=r"more than 0\.5 seconds"):
        program.call("f", np.ones(1_000_000))
    assert time.monotonic() - start < 5 + os.getloadavg()[0]

"""Pipes to a child that reads late, prints much, or has ended; with and without threads."""

import os
import select
import subprocess
import sys
import threading
import time

import pytest

from minirobust.classroom import pipes

ECHO = "import sys\nwhile data := sys.stdin.buffer.read1(): sys.stdout.buffer.write(data); sys.stdout.buffer.flush()"
polled = pytest.param(
    pipes.Pipes, marks=pytest.mark.skipif(not hasattr(select, "poll"), reason="this system cannot poll a pipe")
)


@pytest.fixture(params=[polled, pipes.ThreadedPipes])
def start(request):
    """Start a child and return the process and its pipes; both are ended after the test."""
    made = []

    def make(source):
        words = [sys.executable, "-c", source]
        popen = subprocess.Popen(words, bufsize=0, **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE))
        made.append((popen, request.param(popen)))
        return made[-1]

    yield make
    for popen, pipe in made:
        if not popen.stdin.closed:
            end(popen, pipe)


def end(popen, pipe):
    popen.kill()
    popen.wait()
    pipe.close()


def read(pipe, count, patience=30.0):
    """Return the next bytes of a child, at least `count`."""
    received, deadline = b"", time.monotonic() + patience
    while len(received) < count and time.monotonic() < deadline:
        received += pipe.read(0.05) or b""
    return received


def test_frames_larger_than_a_pipe_arrive_whole_and_in_order(start):
    _, pipe = start(ECHO)
    frames = [os.urandom(size) for size in (1, 300_000, 10, 70_000)]
    for frame in frames:
        pipe.write(frame)
    assert read(pipe, 370_011) == b"".join(frames)


def test_nothing_is_read_before_the_child_sends_something(start):
    _, pipe = start(ECHO)
    before = time.monotonic()
    assert pipe.read(0.2) is None
    assert time.monotonic() - before >= 0.2
    pipe.write(b"x")
    assert read(pipe, 1) == b"x"


def test_child_that_never_reads_does_not_block_the_writer(start):
    _, pipe = start("import time; time.sleep(100)")
    before = time.monotonic()
    for _ in range(3):
        pipe.write(bytes(10**6))
    assert pipe.read(0.1) is None
    assert time.monotonic() - before < 20


def test_end_of_the_child_is_an_empty_chunk(start):
    popen, pipe = start("import os; os.write(1, b'last words')")
    assert read(pipe, 10) == b"last words"
    popen.wait()
    pipe.write(b"too late")
    deadline = time.monotonic() + 10
    while (chunk := pipe.read(0.05)) is None and time.monotonic() < deadline:
        pass
    assert chunk == b""


@pytest.mark.parametrize("size", [5, 10**6])
def test_beginning_of_what_is_printed_is_kept(start, size):
    popen, pipe = start(f"import os\nos.write(2, {size} * b'e')\nos.write(1, b'done')\nos.write(2, b'f')")
    assert read(pipe, 4) == b"done"
    popen.wait()
    end(popen, pipe)
    assert pipe.printed == (size * b"e" + b"f")[: pipes.MAX_PRINTED]


def test_child_that_prints_without_end_leaves_time_to_look(start):
    _, pipe = start("import os\nwhile True: os.write(2, bytes(1000))")
    before = time.monotonic()
    assert pipe.read(0.1) is None
    assert time.monotonic() - before < 10


def test_no_thread_and_no_open_file_are_left(start):
    threads = threading.active_count()
    popen, pipe = start(ECHO)
    end(popen, pipe)
    assert threading.active_count() == threads
    assert all(each.closed for each in (popen.stdin, popen.stdout, popen.stderr))

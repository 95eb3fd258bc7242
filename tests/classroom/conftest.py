"""Fixtures for the tests of the classroom: the private folder, a sandbox, and programs that run in it."""

from pathlib import Path

import pytest

from minirobust.classroom import probing
from minirobust.classroom.assignment import find, private_part
from minirobust.classroom.program import Student
from minirobust.classroom.sandbox import BWRAP


@pytest.fixture(scope="session")
def private_root():
    """The folder with the private parts of the assignments."""
    return Path(__file__).parents[2] / "classroom_private"


@pytest.fixture(scope="session")
def sandbox():
    """Bubblewrap, as the child of an ordinary user or of root."""
    found = probing.find_sandbox()
    if found.level != BWRAP:
        pytest.skip(f"bubblewrap does not work here: {probing.REMEDY}")
    return found


@pytest.fixture(scope="session")
def any_sandbox():
    """The strongest isolation of this machine: for programs of our own."""
    return probing.find_sandbox()


@pytest.fixture
def student(sandbox):
    """Make a program in the sandbox from its source; it is ended after the test."""
    made = []

    def make(source, seconds=1.0):
        made.append(Student(source.encode(), sandbox, seconds))
        return made[-1]

    yield make
    for program in made:
        program.close()


@pytest.fixture(scope="session")
def sigmoid(private_root):
    """The first assignment, and its private part."""
    assignment = find("temperature_sigmoid")
    return assignment, private_part(assignment, private_root)

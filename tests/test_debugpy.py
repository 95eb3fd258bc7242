"""VS Code's debugger, debugpy, steps into an installed minirobust as `.vscode/launch.json` says, and not by default."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "step_through_backprop.py"

pytestmark = pytest.mark.slow
pytest.importorskip("debugpy")
pytest.importorskip("hatchling")


class Client:
    """The editor's side of the Debug Adapter Protocol: JSON messages, each after a header with its length."""

    def __init__(self, connection):
        self.socket, self.stream = connection, connection.makefile("rb")
        self.sent = 0

    def ask(self, command, **arguments):
        """Send a request, without waiting for its answer."""
        self.sent += 1
        body = json.dumps({"seq": self.sent, "type": "request", "command": command, "arguments": arguments}).encode()
        self.socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def until(self, kind, name):
        """Return the first message of this kind and name; skip all before."""
        for _ in range(1000):
            length = int(re.search(rb"\d+", self.stream.readline())[0])
            self.stream.readline()
            message = json.loads(self.stream.read(length))
            if message["type"] == kind and name == message.get("event", message.get("command")):
                assert message.get("success", True), message
                return message
        raise AssertionError(f"no {kind} {name}")

    def where(self):
        """Wait until the program stops; return the file and the function."""
        thread = self.until("event", "stopped")["body"]["threadId"]
        self.ask("stackTrace", threadId=thread)
        frame = self.until("response", "stackTrace")["body"]["stackFrames"][0]
        return thread, Path(frame["source"]["path"]).name, frame["name"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with an installed wheel; its name is what debuggers recognize libraries by."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = folder.glob("minirobust-*.whl")
    site = folder / "site-packages"
    subprocess.run(
        [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--target", site, wheel],
        check=True,
        timeout=300,
    )
    return site


@pytest.fixture
def client(installed):
    """An editor that is connected to the example, which waits for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PYTHONPATH": str(installed), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    command = [sys.executable, "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client", EXAMPLE]
    program = subprocess.Popen(command, env=environment, cwd=installed, stdout=subprocess.DEVNULL)
    try:
        with connected(port) as editor:
            yield Client(editor)
    finally:
        program.kill()
        program.wait()


def connected(port):
    """Return a connection to the debugger, which takes a moment to listen."""
    for _ in range(300):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise AssertionError("the debugger does not listen")


def line_of(text):
    return next(number for number, line in enumerate(EXAMPLE.read_text("utf-8").splitlines(), 1) if text in line)


def stepped_into(client, just_my_code):
    """Stop before `net.backward`, step into it, and return where that leads."""
    client.ask("initialize", adapterID="test", pathFormat="path")
    client.until("response", "initialize")
    client.ask("attach", justMyCode=just_my_code)
    client.until("event", "initialized")
    line = line_of("net.backward(")
    client.ask("setBreakpoints", source={"path": str(EXAMPLE)}, breakpoints=[{"line": line}])
    client.ask("configurationDone")
    thread, file, _ = client.where()
    assert file == EXAMPLE.name
    client.ask("stepIn", threadId=thread)
    return client.where()[1:]


def test_the_launch_configuration_steps_into_the_backward_pass(client):
    text = re.sub(r"^\s*//.*$", "", (ROOT / ".vscode" / "launch.json").read_text("utf-8"), flags=re.MULTILINE)
    (just_my_code,) = {configuration["justMyCode"] for configuration in json.loads(text)["configurations"]}
    file, function = stepped_into(client, just_my_code)
    assert file == "network.py"
    assert function.endswith("backward")


def test_the_default_steps_over_it(client):
    file, _ = stepped_into(client, True)
    assert file == EXAMPLE.name

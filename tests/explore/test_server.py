"""The server: its answers, the requests that it rejects, and no work for a client that has hung up."""

import asyncio
import base64
import json
import time
from http.client import HTTPConnection
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
from explore_command import command

pytest.importorskip("starlette", reason="the page needs the extra explore")

from minirobust.explore import shipped
from minirobust.explore.laboratory import Laboratory
from minirobust.explore.server import BODY, Lab, application

PIXELS = base64.b64encode(bytes(784)).decode()


class Client:
    """Asks a server one question after the other, whatever it is told to send."""

    def __init__(self, address):
        parts = urlsplit(address)
        self.host, self.port, self.root = parts.hostname, parts.port, parts.path

    def get(self, path, **options):
        return self.request("GET", self.root + path, **options)

    def request(self, method, path, body=None, host=None):
        connection = HTTPConnection(self.host, self.port, timeout=60)
        headers = {"Host": f"{self.host}:{self.port}" if host is None else host}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        raw = answer.read()
        connection.close()
        return SimpleNamespace(status=answer.status, headers=answer.headers, raw=raw, text=raw.decode())

    def ask(self, question):
        raw = question if isinstance(question, bytes) else json.dumps(question).encode()
        answer = self.request("POST", f"{self.root}ask", raw)
        return answer.status, [
            json.loads(line) for line in answer.text.splitlines()
        ] if answer.status == 200 else answer.text

    def state(self):
        return json.loads(self.get("state").text)


@pytest.fixture(scope="module")
def client():
    with command() as (_, address):
        yield Client(address)


# What it answers


def test_points_arrive_part_by_part_with_the_generation_of_the_weights(client):
    status, lines = client.ask({"task": "points", "points": [[-6, 6], [0, 6]]})
    assert status == 200
    parts = ["clean", "strongest", "certificate"]
    expected = [(t, part) for part in parts for t in (-6, 0)]
    assert [(line["t"], next(part for part in parts if part in line)) for line in lines] == expected
    assert {line["generation"] for line in lines} == {0}
    laboratory = Laboratory(shipped.network(), *shipped.digits())
    assert lines[0] == laboratory.fgsm(-6, 6, lambda: None) | {"generation": 0}
    assert lines[2] == laboratory.strongest(-6, 6, lambda: None) | {"generation": 0}


def test_a_digit_and_the_wall_are_those_of_the_laboratory(client):
    x, y = shipped.digits()
    laboratory = Laboratory(shipped.network(), x, y)
    image = np.round(x[4] * 255).astype("uint8")
    pixels = base64.b64encode(image.tobytes()).decode()
    _, (digit,) = client.ask({"task": "digit", "pixels": pixels, "label": 4, "t": -4, "e": 6})
    assert digit == laboratory.digit(image, 4, -4, 6, lambda: None) | {"generation": 0}
    _, (wall,) = client.ask({"task": "wall", "t": -4, "e": 6})
    assert wall == laboratory.wall(-4, 6, lambda: None) | {"generation": 0}


def test_the_page_is_served_with_a_strict_policy(client):
    for name, kind in (("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css")):
        answer = client.get(name)
        assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, kind)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_training_replaces_the_network_and_reset_brings_it_back(client):
    before = client.ask({"task": "points", "points": [[0, 6]]})[1][0]
    assert client.ask({"task": "train"}) == (204, "")
    deadline = time.monotonic() + 60
    while client.state()["progress"].get("epoch", 0) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    state = client.state()
    assert state["generation"] >= 2
    assert "mr.fit" in state["code"]
    learning = client.ask({"task": "points", "points": [[0, 6]]})[1][0]
    assert learning["generation"] >= 2
    assert learning["fgsm"] != before["fgsm"]
    client.ask({"task": "reset"})
    state = client.state()
    again = client.ask({"task": "points", "points": [[0, 6]]})[1][0]
    assert again == before | {"generation": state["generation"]}
    assert state["progress"] == {}


def test_training_whose_process_dies_is_reported_and_can_restart():
    async def scenario():
        lab = Lab(None)
        lab.train()
        while not lab.progress:
            await asyncio.sleep(0.02)
        lab.trainer.process.kill()
        await lab.learning
        stopped = lab.progress
        lab.train()
        while lab.progress == stopped:
            await asyncio.sleep(0.02)
        begun = lab.progress
        await lab.stop()
        return stopped, begun

    stopped, begun = asyncio.run(asyncio.wait_for(scenario(), timeout=60))
    assert stopped["epoch"] < stopped["of"]
    assert "ended" in stopped["stopped"]
    assert begun["epoch"] == 1
    assert "stopped" not in begun


# What it refuses


def test_a_wrong_token_is_not_found_whatever_follows(client):
    for path in ("/", "/wrong/", "/wrong/page.js", "/wrong/state", "/tokens/", "/TOKEN/"):
        assert client.request("GET", path).status == 404
    assert client.request("POST", "/wrong/ask", b"{}").status == 404


@pytest.mark.parametrize("host", ["example.org", "example.org:1", "127.0.0.1.example.org", "127.0.0.1@example.org", ""])
def test_a_foreign_host_is_refused(client, host):
    assert client.get("", host=host).status == 421


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:8765", "localhost"])
def test_local_host_names_are_accepted(client, host):
    assert client.get("page.css", host=host).status == 200


@pytest.mark.parametrize("name", ["../server.py", "..%2Fserver.py", "%2e%2e/server.py", "server.py", "nothing.html"])
def test_only_the_files_of_the_page_are_served(client, name):
    assert client.get(name).status == 404


def test_large_body_is_rejected_with_and_without_content_length(client):
    assert client.ask(b" " * (BODY + 1))[0] == 413

    chunks = (b" " * 100 for _ in range(1000))
    assert client.request("POST", f"{client.root}ask", chunks).status == 413


@pytest.mark.parametrize(
    "raw",
    [b"", b"nonsense", b"[]", b"1", b"NaN", b'{"task": "wall", "t": NaN, "e": 0}', b"[" * 4000, b"\xff\xfe", b"{}"],
)
def test_invalid_question_is_rejected(client, raw):
    assert client.ask(raw)[0] == 400


@pytest.mark.parametrize("value", [-7, 4, 1.0, 0.5, True, None, "0", [0], {}, 10**400])
def test_a_temperature_out_of_range_is_refused(client, value):
    question = json.dumps({"task": "units", "t": value})
    status, reason = client.ask(question.encode())
    assert (status, "t: expected a whole number from -6 to 3" in str(reason)) == (400, True)


@pytest.mark.parametrize(
    "question",
    [
        {"task": "wall", "t": 0, "e": 10},
        {"task": "points", "points": []},
        {"task": "points", "points": [[0, 0]] * 21},
        {"task": "points", "points": [[0]]},
        {"task": "points", "points": "00"},
        {"task": "digit", "pixels": PIXELS[4:], "t": 0, "e": 0},
        {"task": "digit", "pixels": "é" * 500, "t": 0, "e": 0},
        {"task": "digit", "pixels": None, "t": 0, "e": 0},
        {"task": "digit", "pixels": PIXELS, "label": 10, "t": 0, "e": 0},
        {"task": "replace", "parameters": None, "generation": 1},
    ],
)
def test_wrong_arguments_are_refused(client, question):
    assert client.ask(question)[0] == 400


def test_infinity_in_a_question_is_rejected(client):
    assert json.loads("Infinity") == float("inf")
    assert client.ask(b'{"task": "wall", "t": Infinity, "e": 0}')[0] == 400


# Who has hung up


def call(app, question):
    """One request by hand, whose client hangs up as soon as the first answer has arrived; what was sent to it."""
    sent, first = [], asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/token/ask",
        "raw_path": b"/token/ask",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1:1")],
        "server": ("127.0.0.1", 1),
    }
    bodies = [{"type": "http.request", "body": json.dumps(question).encode(), "more_body": False}]

    async def receive():
        if bodies:
            return bodies.pop()
        await first.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body":
            first.set()

    return app(scope, receive, send), sent


def test_a_client_that_hangs_up_ends_its_work():
    async def run():
        lab = Lab(None)
        messages = []
        for process in (lab.quick, lab.slow):
            process.send = lambda message, own=process.send: (messages.append(message), own(message))
        await lab.start()
        try:
            request, _ = call(application(lab, "token"), {"task": "points", "points": [[t, 1] for t in range(-6, 4)]})
            await asyncio.wait_for(request, 20)
            jobs = [message["task"] for message in messages if "task" in message]
            assert len(jobs) < 10  # of 30
            assert any("cancel" in message for message in messages)
            assert not lab.quick.waiting
            assert not lab.slow.waiting
        finally:
            await lab.stop()

    asyncio.run(run())


def test_a_worker_that_was_killed_is_replaced_and_keeps_its_weights():
    async def run():
        lab = Lab(None)
        try:
            network = shipped.network()
            network.parameters[:] = 0
            await lab.quick.start()
            lab.quick.replace(parameters=base64.b64encode(network.parameters.tobytes()).decode(), generation=7)
            lab.quick.process.kill()
            await lab.quick.process.wait()
            answers = [answer async for answer in lab.quick.ask("fgsm", t=0, e=6)]
            assert [answer["generation"] for answer in answers] == [7]
            assert answers[0]["clean"][0] == 0.1
        finally:
            await lab.stop()

    asyncio.run(run())

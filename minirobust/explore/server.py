"""The page's server: a few files, and one address at which the page asks for numbers.

It listens on 127.0.0.1 only, and every address begins with a secret token.  The server computes nothing itself: one
process gives the answers that must be fast, one computes the slow curves, and a third trains a network on request.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from minirobust.explore.code import named, ten_lines
from minirobust.explore.laboratory import EPSILONS, EXPONENTS, Answer
from minirobust.explore.steps import steps

BODY = 4096  # largest number of bytes in a request
LINE = 1 << 24  # largest number of bytes in one answer of a worker
POINTS = 20  # largest number of points in one request
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
PAGE = {file.name: file.read_bytes() for file in (files("minirobust.explore") / "page").iterdir()}


class Process:
    """A worker process, and the answers that arrive from it.

    Parameters
    ----------
    nice : int
        By how much its priority is below the server's.
    checkpoint : Path or None
    """

    def __init__(self, nice: int, checkpoint: Path | None) -> None:
        self.command = [sys.executable, "-m", "minirobust.explore.worker", str(nice)]
        self.command += [] if checkpoint is None else [str(checkpoint.resolve())]
        self.numbers = count()
        self.waiting: dict[int, asyncio.Queue[Answer]] = {}
        self.process: asyncio.subprocess.Process | None = None
        self.starting = asyncio.Lock()
        self.weights: Answer | None = None  # sent to a new process when it starts

    async def ask(self, task: str, **arguments: Any) -> AsyncGenerator[Answer, None]:
        """Yield the answers to one job; if the caller stops listening, the job is cancelled."""
        await self.start()
        number, answers = next(self.numbers), asyncio.Queue[Answer]()
        self.waiting[number], finished = answers, False
        try:
            self.send({"number": number, "task": task, "arguments": arguments})
            while "end" not in (message := await answers.get()):
                yield message["answer"]
            finished = True
            if "error" in message:
                raise RuntimeError(message["error"])
        finally:
            del self.waiting[number]
            if not finished:
                self.send({"cancel": number})

    def replace(self, **weights: Any) -> None:
        """Use other weights for every job from now on."""
        self.weights = weights
        self.send({"number": next(self.numbers), "task": "replace", "arguments": weights})

    def send(self, message: Answer) -> None:
        """Write one line to the process, if it still reads."""
        if self.process and self.process.stdin and not self.process.stdin.is_closing():
            self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def start(self) -> None:
        """Start the process, unless it is running."""
        async with self.starting:
            if self.process is not None and self.process.returncode is None:
                return
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # the processes already share the cores
                start_new_session=True,  # Ctrl-C is for the server
            )
            self.reading = asyncio.create_task(self.read(self.process))
            if self.weights is not None:
                self.replace(**self.weights)

    async def read(self, process: asyncio.subprocess.Process) -> None:
        """Pass every answer to the request that waits for it; if the process dies, end all requests."""
        assert process.stdout is not None
        async for line in process.stdout:
            message = json.loads(line)
            if message["number"] in self.waiting:
                self.waiting[message["number"]].put_nowait(message)
        await process.wait()
        for answers in self.waiting.values():
            answers.put_nowait({"end": True, "error": "the process that computes has ended: ask again"})

    async def stop(self) -> None:
        """End the process now."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Lab:
    """The workers, and the state that the page needs before it asks for numbers."""

    def __init__(self, checkpoint: Path | None) -> None:
        self.checkpoint = checkpoint
        self.quick, self.slow, self.trainer = Process(0, checkpoint), Process(10, checkpoint), Process(5, checkpoint)
        self.generation = 0
        self.progress: Answer = {}
        self.learning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the two workers."""
        await asyncio.gather(self.quick.start(), self.slow.start())

    async def stop(self) -> None:
        """End all workers."""
        if self.learning is not None:
            self.learning.cancel()
        await asyncio.gather(self.quick.stop(), self.slow.stop(), self.trainer.stop())

    async def points(self, points: list[tuple[int, int]]) -> AsyncGenerator[Answer, None]:
        """Yield FGSM for all points, which takes milliseconds, then the strongest attacks, then the certificates."""
        for task, process in (("fgsm", self.quick), ("strongest", self.slow), ("certificate", self.slow)):
            for t, e in points:
                async with aclosing(process.ask(task, t=t, e=e)) as answers:
                    async for answer in answers:
                        yield answer

    def train(self) -> None:
        """Start training on the shipped digits, unless a network is training already."""
        if self.learning is None or self.learning.done():
            self.learning = asyncio.create_task(self.learn())

    async def learn(self) -> None:
        """Replace the network after every epoch."""
        try:
            async for answer in self.trainer.ask("train"):
                self.generation += 1
                self.progress = {name: answer[name] for name in ("epoch", "of", "accuracy")}
                for process in (self.quick, self.slow):
                    process.replace(parameters=answer["parameters"], generation=self.generation)
        except RuntimeError as error:
            self.progress = self.progress | {"stopped": str(error)}
        finally:
            await self.trainer.stop()

    def reset(self) -> None:
        """Go back to the network that the page was opened with."""
        if self.learning is not None:
            self.learning.cancel()
        self.generation, self.progress = self.generation + 1, {}
        for process in (self.quick, self.slow):
            process.replace(parameters=None, generation=self.generation)

    async def state(self) -> Answer:
        """Return the state with which the page starts."""
        (answer,) = [answer async for answer in self.quick.ask("describe")]
        code = ten_lines(self.checkpoint, trained=bool(self.progress))
        return answer | {"name": named(self.checkpoint), "progress": self.progress, "code": code}


def application(lab: Lab, token: str) -> Starlette:
    """Return the server; every address begins with the token."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await lab.start()
        try:
            yield
        finally:
            await lab.stop()

    def guarded(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def inner(request: Request) -> Response:
            if not secrets.compare_digest(request.path_params["token"].encode(), token.encode()):
                return PlainTextResponse("not found", 404, HEADERS)
            if not is_local(request.headers.get("host", "")):
                return PlainTextResponse("expected a request to 127.0.0.1 or localhost", 421, HEADERS)
            try:
                response = await handler(request)
            except RefusedError as error:
                response = PlainTextResponse(str(error), error.status)
            response.headers.update(HEADERS)
            return response

        return inner

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in PAGE:  # a table, not a path
            raise RefusedError("not found", 404)
        return Response(PAGE[name], media_type=KINDS[Path(name).suffix])

    async def state(request: Request) -> Response:
        return JSONResponse(await lab.state())

    async def backprop(request: Request) -> Response:
        return JSONResponse(steps())

    async def ask(request: Request) -> Response:
        question = await body(request)
        task = question.get("task")
        if task == "train":
            lab.train()
            return Response(status_code=204)
        if task == "reset":
            lab.reset()
            return Response(status_code=204)
        if task == "points":
            return stream(lab.points(points(question)))
        if task == "wall":
            return stream(lab.quick.ask("wall", t=exponent(question), e=index(question)))
        if task == "units":
            return stream(lab.quick.ask("units", t=exponent(question)))
        if task == "digit":
            arguments = {"pixels": pixels(question), "label": label(question)}
            return stream(lab.quick.ask("digit", **arguments, t=exponent(question), e=index(question)))
        raise RefusedError("task: expected points, wall, units, digit, train or reset")

    routes = [
        Route("/{token}/", guarded(page)),
        Route("/{token}/state", guarded(state)),
        Route("/{token}/backprop", guarded(backprop)),
        Route("/{token}/ask", guarded(ask), methods=["POST"]),
        Route("/{token}/{name:str}", guarded(page)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def stream(answers: AsyncGenerator[Answer, None]) -> Response:
    """Return a response with one line for each answer as it arrives; the work is cancelled if the client hangs up."""

    async def lines() -> AsyncIterator[str]:
        async with aclosing(answers):
            try:
                async for answer in answers:
                    yield json.dumps(answer, allow_nan=False) + "\n"
            except RuntimeError as error:
                yield json.dumps({"error": str(error)}) + "\n"

    return StreamingResponse(lines(), media_type="application/x-ndjson")


# The contents of a request


class RefusedError(Exception):
    """Raised for an invalid request."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


def is_local(host: str) -> bool:
    """Return whether a Host header names this machine; another name that resolves to it is refused."""
    return host.rpartition(":")[0] in ("127.0.0.1", "localhost") or host in ("127.0.0.1", "localhost")


async def body(request: Request) -> Answer:
    """Return the JSON object in a request of at most `BODY` bytes."""
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > BODY:
            raise RefusedError(f"expected at most {BODY} bytes", 413)
    try:
        question = json.loads(raw)
    except (ValueError, RecursionError):
        raise RefusedError("expected JSON") from None
    if not isinstance(question, dict):
        raise RefusedError("expected a JSON object")
    return question


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number in a range; reject True, and NaN, which Python's parser accepts."""
    if type(value) is not int or not low <= value <= high:
        raise RefusedError(f"{name}: expected a whole number from {low} to {high}")
    return value


def exponent(question: Answer) -> int:
    """Return t."""
    return whole("t", question.get("t"), EXPONENTS[0], EXPONENTS[-1])


def index(question: Answer) -> int:
    """Return the index of ε in `EPSILONS`."""
    return whole("e", question.get("e"), 0, len(EPSILONS) - 1)


def label(question: Answer) -> int | None:
    """Return the class of a digit, or None for a drawing."""
    given = question.get("label")
    return None if given is None else whole("label", given, 0, 9)


def pixels(question: Answer) -> str:
    """Return 784 bytes in base64."""
    given = question.get("pixels")
    try:
        size = len(base64.b64decode(given, validate=True))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        size = -1
    if size != 784:
        raise RefusedError("pixels: expected 784 bytes in base64")
    return str(given)


def points(question: Answer) -> list[tuple[int, int]]:
    """Return pairs of t and e."""
    given = question.get("points")
    if not isinstance(given, list) or not 1 <= len(given) <= POINTS:
        raise RefusedError(f"points: expected a list of 1 to {POINTS}")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in given):
        raise RefusedError("points: expected pairs of t and e")
    return [(exponent({"t": t}), index({"e": e})) for t, e in given]


# The command


def serve(checkpoint: Path | None, port: int, announce: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Parameters
    ----------
    checkpoint : Path or None
        None for the shipped network.
    port : int
        0 for any free port.
    announce : callable
        Called with the address.
    """
    import uvicorn

    with socket.socket() as listener:
        if os.name == "posix":  # so that the port of a server that has just ended is free
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()  # from here on a browser can connect, and waits until the server answers
        except OSError as error:
            raise ValueError(
                f"--port: expected a free port, got {port} ({error.strerror}): --port 0 takes any"
            ) from None
        token = secrets.token_urlsafe(16)
        app = application(Lab(checkpoint), token)
        # An open stream must not keep the server from ending.
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        announce(f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/")
        uvicorn.Server(config).run(sockets=[listener])

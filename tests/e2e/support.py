"""What the end-to-end tests share: a running `hadal serve`, HTTP helpers, and the expected texts.

The environment names what is tested: HADAL_BINARY (the built `hadal`), HADAL_MODELS (the folder of the
generated bf16 and NVFP4 forms) and HADAL_SANITIZER (not empty: a slow build, so times are not judged).
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("HADAL_BINARY", str(SOURCE_DIR / "build/host/src/hadal"))
MODELS = Path(os.environ.get("HADAL_MODELS", SOURCE_DIR / "build/host/models"))
SANITIZER = os.environ.get("HADAL_SANITIZER", "")
TINY_R1 = SOURCE_DIR / "tests/models/tiny-r1"
MODEL_NAME = "tiny-r1"

SLOWNESS = 20 if SANITIZER else 1  # of an instrumented build, for deadlines
START_SECONDS_MAX = 15 * SLOWNESS
REQUEST_SECONDS_MAX = 60 * SLOWNESS
POLL_SECONDS = 0.002


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    """Polls until condition() is true and returns its value; fails with `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(POLL_SECONDS)


class Response:
    """A complete answer: status, headers (case-insensitive), body bytes."""

    def __init__(self, raw):
        self.status = raw.status
        self.headers = raw.headers
        self.body = raw.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        """The error object of an OpenAI error body."""
        return self.json()["error"]


class HadalServer:
    """One `hadal serve` process on a free loopback port. A context manager; leaving it stops the process
    and fails the test if it did not end with status 0."""

    def __init__(self, *flags, model=TINY_R1):
        self.port = free_port()
        self.log = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")
        self.command = [
            BINARY,
            "serve",
            str(model),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.command += ["--served-model-name", MODEL_NAME, *flags]
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdout=self.log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )

    def __enter__(self):
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None:
            self.kill()
            print(f"\n---- log of {' '.join(self.command)}\n{self.log_text()}", file=sys.stderr)
            return
        status = self.terminate()
        if status != 0:
            raise AssertionError(f"hadal ended with status {status}; its log:\n{self.log_text()}")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log_text(self):
        self.log.seek(0)
        return self.log.read()

    def _check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"hadal ended early with status {self.process.returncode}; its log:\n{self.log_text()}"
            )

    def wait_listening(self):
        """Seconds from process start until a connection is accepted."""

        def connected():
            self._check_alive()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        wait_until(connected, START_SECONDS_MAX, "the port is bound")
        return time.monotonic() - self.started_at

    def wait_ready(self):
        """Seconds from process start until /ready says 200."""
        self.wait_listening()

        def ready():
            self._check_alive()
            return self.get("/ready").status == 200

        wait_until(ready, START_SECONDS_MAX, "/ready answers 200")
        return time.monotonic() - self.started_at

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_SECONDS_MAX)

    def request(self, method, path, body=None, headers=None):
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, body=body, headers=headers or {})
            return Response(connection.getresponse())

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def post(self, path, value, headers=None):
        """`value` is sent as JSON, or as it is if it is bytes."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return self.request(
            "POST", path, body, {"Content-Type": "application/json", **(headers or {})}
        )

    def chat(self, content, **fields):
        """A greedy chat answer as JSON."""
        messages = content if isinstance(content, list) else [{"role": "user", "content": content}]
        request = {"model": MODEL_NAME, "messages": messages, "temperature": 0, **fields}
        response = self.post("/v1/chat/completions", request)
        assert response.status == 200, (response.status, response.body)
        return response.json()

    def complete(self, prompt, **fields):
        """A greedy completion as JSON; `prompt` is text or token ids."""
        request = {"model": MODEL_NAME, "prompt": prompt, "temperature": 0, **fields}
        response = self.post("/v1/completions", request)
        assert response.status == 200, (response.status, response.body)
        return response.json()

    def metrics(self):
        """{'name{labels}': value} of /metrics, without the model and engine labels."""
        return parse_metrics(self.get("/metrics").body.decode())

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, seconds=REQUEST_SECONDS_MAX):
        return self.process.wait(timeout=seconds)

    def terminate(self):
        self.signal(signal.SIGTERM)
        try:
            return self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"hadal ignored SIGTERM; its log:\n{self.log_text()}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()


def parse_metrics(page):
    values = {}
    for line in page.splitlines():
        if not line or line.startswith("#"):
            continue
        name, _, value = line.rpartition(" ")
        base, _, labels = name.partition("{")
        kept = [
            label
            for label in labels.rstrip("}").split(",")
            if label and not label.startswith(("model_name=", "engine="))
        ]
        values[base + ("{" + ",".join(kept) + "}" if kept else "")] = float(value)
    return values


class Stream:
    """A streamed answer, read event by event on a connection of its own."""

    def __init__(self, server, path, request, headers=None):
        self.connection = server.connection()
        body = json.dumps({"model": MODEL_NAME, "stream": True, **request})
        headers = {"Content-Type": "application/json", **(headers or {})}
        self.connection.request("POST", path, body=body, headers=headers)
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.headers = self.response.headers

    def lines(self):
        """Lines as sent, without their line feeds."""
        while line := self.response.readline():
            yield line.rstrip(b"\n")

    def events(self):
        """The JSON objects before [DONE]. Fails if the stream ends without it. Comment lines, which keep a
        quiet stream's connection open, are skipped as clients do."""
        for line in self.lines():
            if not line or line.startswith(b":"):
                continue
            assert line.startswith(b"data: "), line
            data = line.removeprefix(b"data: ")
            if data == b"[DONE]":
                return
            yield json.loads(data)
        raise AssertionError("the stream ended without [DONE]")

    def close(self):
        """Ends the connection at once, as a client does that goes away."""
        self.response.close()
        self.connection.close()


def run_hadal(*arguments, seconds=START_SECONDS_MAX):
    """A finished run of the binary, with its output as text."""
    return subprocess.run(
        [BINARY, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=seconds,
        check=False,
    )


def eval_items(name, count):
    """The first items of a held-out set."""
    with open(SOURCE_DIR / "tests/eval" / f"{name}.jsonl", encoding="utf-8") as lines:
        return [json.loads(next(lines)) for _ in range(count)]


def golden_greedy(form):
    """Cases of 64 greedy tokens: prompt_ids, output_ids."""
    return json.loads((SOURCE_DIR / f"tests/golden/greedy_{form}.json").read_text())["cases"]


class TokenTexts:
    """The text of token ids, straight from tokenizer.json: the slow twin of the server's detokeniser."""

    EOS = 1

    def __init__(self):
        tokenizer = json.loads((TINY_R1 / "tokenizer.json").read_text(encoding="utf-8"))
        self.pieces = {index: piece for piece, index in tokenizer["model"]["vocab"].items()}
        self.added = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
        shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        hidden = [byte for byte in range(256) if byte not in shown]
        self.byte_of = {chr(byte): byte for byte in shown}
        self.byte_of |= {chr(256 + i): byte for i, byte in enumerate(hidden)}

    def text(self, ids):
        """Without the end token, as a server answers."""
        data = b""
        for token in ids:
            if token == self.EOS:
                continue
            if token in self.added:
                data += self.added[token].encode()
            else:
                data += bytes(self.byte_of[character] for character in self.pieces[token])
        return data.decode("utf-8", errors="replace")


class ServerTest(unittest.TestCase):
    """Tests that share one server, started with the class's `flags`."""

    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(HadalServer(*cls.flags))

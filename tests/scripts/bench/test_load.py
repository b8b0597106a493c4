"""Tests of bench/serving/load.py against a socket that plays the server."""

import json
import socket
import sys
import threading
import unittest
from pathlib import Path

SOURCE_DIR = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(SOURCE_DIR / "bench" / "serving"))

import load  # noqa: E402  (found through the line above)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def answer(tokens):
    """A chunked stream of `tokens` events, the usage and the end mark."""
    events = [{"choices": [{"delta": {"content": "x"}}]}] * tokens
    events.append({"choices": [], "usage": {"completion_tokens": tokens}})
    pieces = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    pieces.append(b"data: [DONE]\n\n")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return HEAD + chunks + b"0\r\n\r\n"


class FakeServer:
    """Answers each request with the next of `answers`, in pieces of `piece` bytes."""

    def __init__(self, answers, piece):
        self.answers, self.piece, self.lock = list(answers), piece, threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with link, link.makefile("rb") as requests:
            while True:
                length = 0
                while (line := requests.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not line:
                    return
                requests.read(length)
                with self.lock:
                    data = self.answers.pop(0)
                for begin in range(0, len(data), self.piece):
                    link.sendall(data[begin : begin + self.piece])
                if not data.endswith(load.BODY_END):
                    return


class LoadTest(unittest.TestCase):
    def serve(self, answers, piece):
        server = FakeServer(answers, piece)
        self.addCleanup(server.listener.close)
        return server

    def test_every_request_is_counted_however_the_bytes_arrive(self):
        for piece in (1, 7, 1 << 16):
            for streams in (1, 3, 8):
                with self.subTest(piece=piece, streams=streams):
                    server = self.serve([answer(n) for n in range(1, 7)], piece)
                    samples = load.run(server.port, [b"{}"] * 6, streams)
                    tokens = sorted(sample.completion_tokens for sample in samples)
                    self.assertEqual(tokens, [1, 2, 3, 4, 5, 6])
                    for sample in samples:
                        self.assertGreaterEqual(sample.first, 0)
                        self.assertGreaterEqual(sample.duration, sample.first)

    def test_nothing_to_send(self):
        server = self.serve([], 1)
        self.assertEqual(load.run(server.port, [], 4), [])

    def test_a_refusal_and_an_early_end_are_errors(self):
        refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"
        for data, message in ((refusal, "refused"), (answer(3)[:-20], "closed early")):
            with self.subTest(message=message):
                server = self.serve([data], 1 << 16)
                with self.assertRaisesRegex(RuntimeError, message):
                    load.run(server.port, [b"{}"], 1)


if __name__ == "__main__":
    unittest.main()

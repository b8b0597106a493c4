"""A small load generator: closed-loop streaming chats over plain sockets, in one thread.

Client and server share the machine's few cores, so the client does little: it collects a stream's bytes, notes
when they came, and looks into them once, at the end.
"""

import json
import selectors
import socket
import time
from dataclasses import dataclass, field

RECEIVE_BYTES = 1 << 16
STALL_SECONDS_MAX = 120
BODY_END = b"0\r\n\r\n"  # the last chunk of a chunked HTTP body
STATUS_OK = b"HTTP/1.1 200"
HEAD_END = b"\r\n\r\n"


@dataclass
class Sample:
    """One request. Times in seconds of the monotonic clock."""

    begin: float
    received: list = field(default_factory=list)  # when pieces of the body came
    completion_tokens: int = 0

    @property
    def first(self):
        return self.received[0] - self.begin

    @property
    def duration(self):
        return self.received[-1] - self.begin


class Connection:
    """One client: sends a request, collects its answer, then sends the next."""

    def __init__(self, port):
        self.port = port
        self.link = socket.create_connection(("127.0.0.1", port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, body):
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self.port}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.answer = bytearray()
        self.sample = Sample(time.monotonic())
        self.link.sendall(head.encode() + body)

    def receive(self):
        """Takes what has come; the finished Sample, or None while the answer goes on."""
        data = self.link.recv(RECEIVE_BYTES)
        if not data:
            raise RuntimeError(f"the server closed early, after {bytes(self.answer[-300:])!r}")
        self.answer += data
        if self.answer[: len(STATUS_OK)] != STATUS_OK[: len(self.answer)]:
            raise RuntimeError(f"the server refused: {bytes(self.answer[:400])!r}")
        head_end = self.answer.find(HEAD_END)
        if head_end >= 0 and len(self.answer) > head_end + len(HEAD_END):
            self.sample.received.append(time.monotonic())
        if not self.answer.endswith(BODY_END):
            return None
        self.sample.completion_tokens = usage_of(self.answer)["completion_tokens"]
        return self.sample

    def close(self):
        self.link.close()


def usage_of(answer):
    """The usage object, which is in the last event before [DONE]."""
    begin = answer.rindex(b'"usage":') + len(b'"usage":')
    return json.JSONDecoder().raw_decode(answer[begin:].decode().lstrip())[0]


def run(port, bodies, streams):
    """Sends every body once, at most `streams` at a time, and returns a Sample each. Bodies must ask for a
    stream with usage."""
    todo, samples, busy = iter(bodies), [], 0
    with selectors.DefaultSelector() as selector:
        for _, body in zip(range(streams), todo):
            connection = Connection(port)
            selector.register(connection.link, selectors.EVENT_READ, connection)
            connection.send(body)
            busy += 1
        while busy:
            ready = selector.select(STALL_SECONDS_MAX)
            if not ready:
                raise RuntimeError(f"nothing came for {STALL_SECONDS_MAX} s")
            for key, _ in ready:
                connection = key.data
                sample = connection.receive()
                if sample is None:
                    continue
                samples.append(sample)
                if (body := next(todo, None)) is not None:
                    connection.send(body)
                else:
                    selector.unregister(connection.link)
                    connection.close()
                    busy -= 1
    return samples

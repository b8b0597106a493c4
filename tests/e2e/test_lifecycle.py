"""From start to end of a server: binding, readiness, overload, clients that leave, SIGTERM."""

import json
import signal
import socket
import threading
import time
import unittest

from support import (
    MODEL_NAME,
    REQUEST_SECONDS_MAX,
    SANITIZER,
    HadalServer,
    Stream,
    run_hadal,
    wait_until,
    TINY_R1,
)

CHAT = "/v1/chat/completions"
BIND_SECONDS_MAX = 0.1
ENDLESS = {"prompt": "Tom has", "max_tokens": 6000, "ignore_eos": True, "temperature": 0}


class StartTest(unittest.TestCase):
    def test_the_port_is_bound_at_once(self):
        seconds = []
        for _ in range(3):
            server = HadalServer()
            seconds.append(server.wait_listening())
            server.wait_ready()
            self.assertEqual(server.terminate(), 0)
        if not SANITIZER:
            self.assertLess(min(seconds), BIND_SECONDS_MAX, seconds)

    def test_not_ready_until_loaded(self):
        early = []
        for _ in range(5):
            server = HadalServer()
            server.wait_listening()
            early.append(server.get("/ready"))
            self.assertEqual(server.get("/health").status, 200)
            server.wait_ready()
            self.assertEqual(server.terminate(), 0)
        loading = [answer for answer in early if answer.status == 503]
        self.assertTrue(loading, "five servers were ready before they could be asked")
        for answer in loading:
            self.assertTrue(answer.json(), "no progress in the body")

    def test_a_request_while_loading_is_refused_as_unavailable(self):
        for _ in range(5):
            server = HadalServer()
            server.wait_listening()
            answer = server.post(CHAT, {"model": MODEL_NAME, "messages": []})
            server.wait_ready()
            self.assertEqual(server.terminate(), 0)
            if answer.status == 503:
                self.assertTrue(answer.error()["message"])
                self.assertTrue(answer.headers["Retry-After"])
                return
        self.fail("five servers were ready before they could be asked")

    def test_a_port_in_use_ends_the_start_with_one_line(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            run = run_hadal("serve", str(TINY_R1), "--host", "127.0.0.1", "--port", str(port))
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn(str(port), run.stderr)


class OverloadTest(unittest.TestCase):
    def test_health_answers_when_every_stream_is_taken(self):
        with HadalServer("--streams-max=2") as server:
            streams = [Stream(server, "/v1/completions", ENDLESS) for _ in range(2)]
            for stream in streams:
                self.assertEqual(stream.status, 200)
            refused = server.post("/v1/completions", {"model": MODEL_NAME, **ENDLESS})
            self.assertEqual(refused.status, 429)
            self.assertTrue(refused.headers["Retry-After"])
            self.assertEqual(refused.error()["type"], "rate_limit_error")
            begin = time.monotonic()
            self.assertEqual(server.get("/health").status, 200)
            if not SANITIZER:
                self.assertLess(time.monotonic() - begin, 0.5)
            for stream in streams:
                stream.close()
            wait_for_idle(server)
            server.complete("1 + 1", max_tokens=1)

    def test_idle_connections_do_not_block_others(self):
        with HadalServer() as server:
            idle = [
                socket.create_connection(("127.0.0.1", server.port), REQUEST_SECONDS_MAX)
                for _ in range(64)
            ]
            for link in idle[:32]:  # half of them trickle an unfinished header
                link.sendall(b"GET /health HTTP/1.1\r\nHos")
            self.assertEqual(server.get("/health").status, 200)
            server.complete("1 + 1", max_tokens=1)
            for link in idle:
                link.close()

    def test_sixty_four_clients_at_once_are_all_served(self):
        with HadalServer() as server:
            results = [None] * 64

            def ask(index):
                results[index] = server.chat(f"What is {index} + 7?", max_tokens=200)

            threads = [threading.Thread(target=ask, args=(i,)) for i in range(64)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for index, answer in enumerate(results):
                self.assertIsNotNone(answer, f"request {index} failed")
                self.assertIn(str(index + 7), answer["choices"][0]["message"]["content"])


def wait_for_idle(server):
    wait_until(
        lambda: server.metrics()["vllm:num_requests_running"] == 0,
        REQUEST_SECONDS_MAX,
        "no request runs",
    )


class DisconnectTest(unittest.TestCase):
    def aborted(self, server):
        return server.metrics()['vllm:request_success_total{finished_reason="abort"}']

    def wait_until_running(self, server):
        wait_until(
            lambda: server.metrics()["vllm:num_requests_running"] == 1,
            REQUEST_SECONDS_MAX,
            "the request runs",
        )

    def test_a_client_that_leaves_a_stream_cancels_it(self):
        with HadalServer() as server:
            stream = Stream(server, "/v1/completions", ENDLESS)
            next(stream.events())
            stream.close()
            wait_for_idle(server)
            self.assertEqual(self.aborted(server), 1)
            generated = server.metrics()["vllm:generation_tokens_total"]
            self.assertLess(generated, ENDLESS["max_tokens"])

    def test_a_client_that_leaves_a_plain_request_cancels_it(self):
        with HadalServer() as server:
            connection = server.connection()
            body = json.dumps({"model": MODEL_NAME, **ENDLESS})
            connection.request(
                "POST", "/v1/completions", body, {"Content-Type": "application/json"}
            )
            self.wait_until_running(server)
            connection.close()
            wait_for_idle(server)
            self.assertEqual(self.aborted(server), 1)
            self.assertLess(server.metrics()["vllm:generation_tokens_total"], ENDLESS["max_tokens"])


class ShutdownTest(unittest.TestCase):
    def test_sigterm_when_idle(self):
        with HadalServer() as server:
            self.assertEqual(server.terminate(), 0)

    def test_sigterm_drains(self):
        request = {**ENDLESS, "max_tokens": 300}
        with HadalServer() as server:
            stream = Stream(server, "/v1/completions", request)
            events = stream.events()
            first = next(events)
            server.signal(signal.SIGTERM)
            self.assert_takes_nothing_new(server)
            rest = list(events)
            self.assertEqual(rest[-1]["choices"][0]["finish_reason"], "length")
            self.assertEqual(first["id"], rest[-1]["id"])
            stream.close()
            self.assertEqual(server.wait_exit(), 0)

    def assert_takes_nothing_new(self, server):
        """Soon after SIGTERM, /ready and new requests get 503, or the connection is refused."""

        def refused():
            try:
                return server.get("/ready").status == 503
            except OSError:
                return True

        wait_until(refused, REQUEST_SECONDS_MAX, "/ready says 503 after SIGTERM")
        try:
            answer = server.post("/v1/completions", {"model": MODEL_NAME, "prompt": "1"})
        except OSError:
            return
        self.assertEqual(answer.status, 503)

    def test_the_drain_has_a_time_limit(self):
        with HadalServer("--shutdown-timeout=0") as server:
            stream = Stream(server, "/v1/completions", ENDLESS)
            next(stream.events())
            server.signal(signal.SIGTERM)
            server.wait_exit()
            stream.close()

    def test_sigint_ends_it_too(self):
        with HadalServer() as server:
            server.signal(signal.SIGINT)
            self.assertEqual(server.wait_exit(), 0)


if __name__ == "__main__":
    unittest.main()

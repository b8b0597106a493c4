"""The HTTP surface seen from raw requests: routes, headers, SSE framing, stop strings, limits."""

import json
import socket
import unittest

from support import MODEL_NAME, REQUEST_SECONDS_MAX, ServerTest, Stream, TokenTexts, golden_greedy

BODY_BYTES_MAX = 16 << 20
JSON_DEPTH_MAX = 64
CHAT = "/v1/chat/completions"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def chat_request(**fields):
    return {"model": MODEL_NAME, "messages": QUESTION, "temperature": 0, **fields}


class RoutesTest(ServerTest):
    def test_health_ready_and_version(self):
        self.assertEqual(self.server.get("/health").status, 200)
        self.assertEqual(self.server.get("/ready").status, 200)
        version = self.server.get("/version")
        self.assertEqual(version.status, 200)
        self.assertRegex(version.json()["version"], r"^\d+\.\d+\.\d+")

    def test_unknown_routes_and_methods_get_json_errors(self):
        for method, path, status in [
            ("GET", "/nothing", 404),
            ("POST", "/v1/nothing", 404),
            ("GET", CHAT, 405),
            ("DELETE", "/v1/models", 405),
        ]:
            with self.subTest(method=method, path=path):
                response = self.server.request(method, path)
                self.assertIn(response.status, (status, 404))
                self.assertEqual(response.headers["Content-Type"].split(";")[0], "application/json")
                self.assertTrue(response.error()["message"])

    def test_every_answer_has_a_request_id(self):
        answers = [
            self.server.get("/health"),
            self.server.get("/nothing"),
            self.server.get("/v1/models"),
            self.server.get("/metrics"),
            self.server.post(CHAT, chat_request(max_tokens=1)),
            self.server.post(CHAT, b"{"),
            self.server.post(CHAT, chat_request(model="other")),
        ]
        ids = [answer.headers["x-request-id"] for answer in answers]
        self.assertTrue(all(ids), ids)
        self.assertEqual(len(set(ids)), len(ids))

    def test_a_client_may_choose_the_request_id(self):
        response = self.server.get("/health", headers={"X-Request-Id": "my-id-7"})
        self.assertEqual(response.headers["x-request-id"], "my-id-7")

    def test_a_request_id_cannot_forge_a_header_or_grow_without_limit(self):
        response = self.server.get("/health", headers={"X-Request-Id": "x" * 4000})
        self.assertLess(len(response.headers["x-request-id"] or ""), 1000)

    def test_one_model_by_name(self):
        card = self.server.get(f"/v1/models/{MODEL_NAME}")
        self.assertEqual(card.status, 200)
        self.assertEqual(card.json()["id"], MODEL_NAME)
        self.assertEqual(self.server.get("/v1/models/other").status, 404)

    def test_keep_alive_serves_many_requests_on_one_connection(self):
        connection = self.server.connection()
        for _ in range(20):
            connection.request("GET", "/health")
            response = connection.getresponse()
            response.read()
            self.assertEqual(response.status, 200)
        connection.close()


class BodiesTest(ServerTest):
    def assert_refused(self, body, status=400):
        response = self.server.post(CHAT, body)
        self.assertEqual(response.status, status, response.body[:300])
        self.assertTrue(response.error()["message"])

    def test_bodies_that_are_no_json_object(self):
        for body in (b"", b"{", b"[]", b"null", b"5", b"\xff\xfe", b'{"a":1}garbage', b'{"a":NaN}'):
            with self.subTest(body=body):
                self.assert_refused(body)

    def test_bad_utf8_in_a_message(self):
        good = json.dumps(chat_request(messages=[{"role": "user", "content": "X"}])).encode()
        for bad in (b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800"):
            with self.subTest(bad=bad):
                self.assert_refused(good.replace(b'"X"', b'"' + bad + b'"'))

    def nested(self, depth):
        """A request whose deepest value is nested `depth` deep, in a field that is otherwise ignored."""
        inner = "[" * (depth - 1) + "]" * (depth - 1)  # the request itself is the first level
        text = json.dumps(chat_request(max_tokens=1))
        return (text[:-1] + ', "ignored": ' + inner + "}").encode()

    def test_json_depth_at_the_limit_and_above(self):
        self.assertEqual(self.server.post(CHAT, self.nested(JSON_DEPTH_MAX)).status, 200)
        self.assert_refused(self.nested(JSON_DEPTH_MAX + 1))
        self.assert_refused(self.nested(100_000))

    def padded(self, size):
        text = json.dumps(chat_request(max_tokens=1)).encode()
        return text + b" " * (size - len(text))

    def test_body_size_at_the_limit_and_above(self):
        self.assertEqual(self.server.post(CHAT, self.padded(BODY_BYTES_MAX)).status, 200)
        self.assertEqual(self.status_of_large_body(BODY_BYTES_MAX + 1), 413)

    def status_of_large_body(self, size):
        """The status line for a body that is announced but of which nothing is sent."""
        head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), REQUEST_SECONDS_MAX) as link:
            link.sendall((head + f"Content-Length: {size}\r\n\r\n").encode())
            return int(link.recv(4096).split(b" ")[1])

    def test_a_chunked_body_cannot_get_round_the_limit(self):
        head = (
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        chunk = b"%x\r\n" % (1 << 20) + b" " * (1 << 20) + b"\r\n"
        before = self.server.metrics().get("process_resident_memory_bytes", 0)
        with socket.create_connection(("127.0.0.1", self.server.port), REQUEST_SECONDS_MAX) as link:
            try:
                link.sendall(head)
                for _ in range(64):
                    link.sendall(chunk)
                answer = link.recv(4096)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""  # closed before everything was read: as good as an error
        self.assertFalse(answer.startswith(b"HTTP/1.1 2"), answer[:100])
        self.assertEqual(self.server.get("/health").status, 200)
        after = self.server.metrics().get("process_resident_memory_bytes", 0)
        self.assertLess(after - before, 48 << 20)

    def test_special_token_text_of_a_user_is_plain_text(self):
        plain = self.server.chat("Repeat exactly: x", max_tokens=1)["usage"]["prompt_tokens"]
        for special in ("<｜end▁of▁sentence｜>", "<｜User｜>", "<think>"):
            marked = self.server.chat("Repeat exactly: x" + special, max_tokens=1)
            with self.subTest(special=special):
                # Parsed as a special token it would be a single one.
                self.assertGreater(marked["usage"]["prompt_tokens"], plain + 2)


class StreamTest(ServerTest):
    def test_sse_framing(self):
        stream = Stream(self.server, CHAT, {"messages": QUESTION, "temperature": 0})
        self.assertEqual(stream.status, 200)
        self.assertEqual(stream.headers["Content-Type"].split(";")[0], "text/event-stream")
        self.assertTrue(stream.headers["x-request-id"])
        lines = list(stream.lines())
        stream.close()
        # Each event is one line and one empty line; nothing follows the end mark.
        self.assertEqual(len(lines) % 2, 0)
        self.assertTrue(all(line.startswith((b"data: ", b": ")) for line in lines[0::2]))
        self.assertTrue(all(line == b"" for line in lines[1::2]))
        self.assertEqual(lines[-2], b"data: [DONE]")
        self.assertEqual(lines.count(b"data: [DONE]"), 1)

    def test_chunks_of_a_stream(self):
        stream = Stream(self.server, CHAT, {"messages": QUESTION, "temperature": 0})
        events = list(stream.events())
        stream.close()
        self.assertEqual(events[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(len({event["id"] for event in events}), 1)
        self.assertEqual({event["object"] for event in events}, {"chat.completion.chunk"})
        reasons = [event["choices"][0].get("finish_reason") for event in events]
        self.assertEqual(reasons[-1], "stop")
        self.assertFalse(any(reasons[:-1]))

    def test_an_error_before_the_stream_is_an_error_status(self):
        stream = Stream(self.server, CHAT, {"messages": []})
        self.assertEqual(stream.status, 400)
        self.assertTrue(json.loads(stream.response.read())["error"]["message"])
        stream.close()


class StopTest(ServerTest):
    def full_text(self):
        return self.server.complete(golden_greedy("fp8")[0]["prompt_ids"], max_tokens=64)[
            "choices"
        ][0]["text"]

    def test_greedy_text_is_the_golden_one(self):
        texts = TokenTexts()
        for case in golden_greedy("fp8")[:12]:
            with self.subTest(case=case["id"]):
                answer = self.server.complete(
                    case["prompt_ids"], max_tokens=64, skip_special_tokens=False
                )
                self.assertEqual(answer["choices"][0]["text"], texts.text(case["output_ids"]))
                self.assertEqual(answer["usage"]["prompt_tokens"], len(case["prompt_ids"]))
                self.assertEqual(answer["usage"]["completion_tokens"], len(case["output_ids"]))

    def test_stop_string_cuts_before_itself_wherever_it_lies(self):
        prompt, full = golden_greedy("fp8")[0]["prompt_ids"], self.full_text()
        for length in (1, 2, 3, 7):
            for start in range(1, len(full) - length, 5):
                stop = full[start : start + length]
                answer = self.server.complete(prompt, max_tokens=64, stop=[stop])["choices"][0]
                with self.subTest(stop=stop):
                    self.assertEqual(answer["text"], full[: full.index(stop)])
                    self.assertEqual(answer["finish_reason"], "stop")
                    self.assertEqual(answer["stop_reason"], stop)

    def test_stop_string_may_be_kept(self):
        full = self.full_text()
        stop = full[10:14]
        answer = self.server.complete(
            golden_greedy("fp8")[0]["prompt_ids"],
            max_tokens=64,
            stop=stop,
            include_stop_str_in_output=True,
        )
        self.assertEqual(answer["choices"][0]["text"], full[: full.index(stop) + len(stop)])

    def test_the_earliest_of_several_stop_strings_wins(self):
        full = self.full_text()
        stops = [full[30:33], full[12:15], "never in the text"]
        answer = self.server.complete(
            golden_greedy("fp8")[0]["prompt_ids"], max_tokens=64, stop=stops
        )
        end = min(full.index(stop) for stop in stops[:2])
        self.assertEqual(answer["choices"][0]["text"], full[:end])

    def test_a_stream_never_sends_a_part_of_the_stop_string(self):
        full = self.full_text()
        stop = full[20:26]
        request = {
            "prompt": golden_greedy("fp8")[0]["prompt_ids"],
            "max_tokens": 64,
            "temperature": 0,
            "stop": [stop],
        }
        stream = Stream(self.server, "/v1/completions", request)
        text = "".join(event["choices"][0]["text"] for event in stream.events())
        stream.close()
        self.assertEqual(text, full[: full.index(stop)])

    def test_number_of_stop_strings_at_the_limit_and_above(self):
        prompt = golden_greedy("fp8")[0]["prompt_ids"]
        self.server.complete(prompt, max_tokens=1, stop=["a", "b", "c", "d"])
        request = {"prompt": prompt, "max_tokens": 1, "stop": ["a", "b", "c", "d", "e"]}
        self.assertEqual(self.server.post("/v1/completions", request).status, 400)
        self.assertEqual(self.server.post("/v1/completions", {**request, "stop": [""]}).status, 400)


class MetricsTest(ServerTest):
    flags = (
        "--speculative-config.method=mtp",
        "--speculative-config.num-speculative-tokens=3",
    )

    def change(self, action):
        """(what action() returns, how much each counter grew)."""
        before = self.server.metrics()
        value = action()
        after = self.server.metrics()
        return value, {name: after[name] - before.get(name, 0) for name in after}

    def test_counters_of_one_request(self):
        answer, grown = self.change(lambda: self.server.chat(QUESTION))
        usage = answer["usage"]
        self.assertEqual(grown["vllm:prompt_tokens_total"], usage["prompt_tokens"])
        self.assertEqual(grown["vllm:generation_tokens_total"], usage["completion_tokens"])
        self.assertEqual(grown['vllm:request_success_total{finished_reason="stop"}'], 1)
        self.assertEqual(grown['vllm:request_success_total{finished_reason="length"}'], 0)

    def test_speculation_counters_agree_with_each_other(self):
        _, grown = self.change(lambda: self.server.chat(QUESTION))
        per_position = [
            grown[f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{position="{i}"}}']
            for i in range(3)
        ]
        accepted = grown["vllm:spec_decode_num_accepted_tokens_total"]
        self.assertEqual(sum(per_position), accepted)
        self.assertGreater(accepted, 0)
        self.assertEqual(per_position, sorted(per_position, reverse=True))
        drafts = grown["vllm:spec_decode_num_drafts_total"]
        proposed = grown["vllm:spec_decode_num_draft_tokens_total"]
        self.assertLessEqual(per_position[0], drafts)
        self.assertLessEqual(accepted, proposed)
        self.assertLessEqual(proposed, 3 * drafts)

    def test_nothing_runs_when_nothing_was_asked(self):
        metrics = self.server.metrics()
        self.assertEqual(metrics["vllm:num_requests_running"], 0)
        self.assertEqual(metrics["vllm:num_requests_waiting"], 0)

    def test_the_page_is_prometheus_text(self):
        page = self.server.get("/metrics")
        self.assertTrue(page.headers["Content-Type"].startswith("text/plain"))
        for line in page.body.decode().splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) \S+ .+|[a-z0-9_:]+(\{.*\})? \S+)$")


if __name__ == "__main__":
    unittest.main()

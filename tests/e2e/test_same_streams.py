"""The same 64 requests give the same streams, whatever the mode and the company.

Modes: synchronous and asynchronous scheduling, without drafts and with three. In each, the requests run one
after another and all at once. Half of them are greedy, half sampled with a seed.
"""

import concurrent.futures
import unittest

from support import MODEL_NAME, SANITIZER, HadalServer, Stream, eval_items

REQUESTS = 16 if SANITIZER else 64
TOKENS_MAX = 96 if SANITIZER else 160
MODES = {
    "sync, K = 0": (),
    "sync, K = 3": (
        "--speculative-config.method=mtp",
        "--speculative-config.num-speculative-tokens=3",
    ),
    "async, K = 0": ("--async-scheduling",),
    "async, K = 3": (
        "--async-scheduling",
        "--speculative-config.method=mtp",
        "--speculative-config.num-speculative-tokens=3",
    ),
}


def requests():
    """Chats of every kind, with lengths on both sides of a page; some end by length, some by a stop string."""
    sets = ("smalltalk", "arith_easy", "chat", "arith_hard")
    items = [item for name in sets for item in eval_items(name, REQUESTS // len(sets))]
    for index, item in enumerate(items):
        request = {"model": MODEL_NAME, "messages": item["messages"], "max_tokens": TOKENS_MAX}
        if index % 2 == 0:
            request |= {"temperature": 0}
        else:
            request |= {"temperature": 0.9, "top_p": 0.95, "top_k": 40, "seed": 1000 + index}
        if index % 7 == 3:
            request |= {"max_tokens": 1 + index}
        if index % 8 == 5:
            request |= {"stop": ["answer", "e the"]}
        yield request


def stream_of(server, request):
    """All that a client sees of one streamed request, however it was cut into chunks."""
    request = {**request, "stream_options": {"include_usage": True}}
    stream = Stream(server, "/v1/chat/completions", request)
    content, reasoning, ends, usage = "", "", [], None
    for event in stream.events():
        usage = event.get("usage") or usage
        for choice in event["choices"]:
            content += choice["delta"].get("content") or ""
            reasoning += choice["delta"].get("reasoning_content") or ""
            if choice.get("finish_reason"):
                ends.append((choice["finish_reason"], choice.get("stop_reason")))
    stream.close()
    return {"content": content, "reasoning": reasoning, "ends": ends, "usage": usage}


class SameStreamsTest(unittest.TestCase):
    def test_same_streams_in_every_mode(self):
        wanted, work = None, list(requests())
        self.assertEqual(len(work), REQUESTS)
        for mode, flags in MODES.items():
            with HadalServer(*flags) as server:
                alone = [stream_of(server, request) for request in work]
            with HadalServer(*flags) as server:
                with concurrent.futures.ThreadPoolExecutor(REQUESTS) as pool:
                    together = list(pool.map(lambda request: stream_of(server, request), work))
            wanted = wanted or alone
            for company, streams in (("alone", alone), ("together", together)):
                for index, (stream, first) in enumerate(zip(streams, wanted)):
                    with self.subTest(mode=mode, company=company, request=index):
                        self.assertEqual(stream, first)
        self.assert_the_set_is_diverse(wanted)

    def assert_the_set_is_diverse(self, streams):
        """Every way to end occurs, and answers are not all alike."""
        ends = {stream["ends"][0] for stream in streams}
        self.assertIn(("stop", None), ends)
        self.assertIn("length", {reason for reason, _ in ends})
        self.assertIn("stop", {reason for reason, detail in ends if detail is not None})
        self.assertGreater(len({stream["content"] for stream in streams}), REQUESTS // 2)
        for stream in streams:
            self.assertEqual(len(stream["ends"]), 1)


if __name__ == "__main__":
    unittest.main()

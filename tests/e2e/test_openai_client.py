"""The official OpenAI client against `hadal serve`: what a user's program does first."""

import unittest

import openai

from support import MODEL_NAME, REQUEST_SECONDS_MAX, ServerTest

QUESTION = [
    {"role": "user", "content": "Tom has 3 boxes with 4 apples each. How many apples does he have?"}
]


class OpenAiClientTest(ServerTest):
    def setUp(self):
        self.client = openai.OpenAI(
            base_url=self.server.url + "/v1",
            api_key="none",
            max_retries=0,
            timeout=REQUEST_SECONDS_MAX,
        )
        self.addCleanup(self.client.close)

    def chat(self, messages=QUESTION, **fields):
        fields = {"model": MODEL_NAME, "temperature": 0, **fields}
        return self.client.chat.completions.create(messages=messages, **fields)

    def test_chat(self):
        answer = self.chat()
        choice = answer.choices[0]
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.model, MODEL_NAME)
        self.assertEqual(choice.message.role, "assistant")
        self.assertIn("\\boxed{12}", choice.message.content)
        self.assertEqual(choice.finish_reason, "stop")
        self.assertTrue(answer.id.startswith("chatcmpl-"), answer.id)

    def test_reasoning_is_apart_from_content_under_both_names(self):
        message = self.chat().choices[0].message
        self.assertNotIn("think>", message.content)
        self.assertIn("12", message.reasoning_content)
        self.assertNotIn("think>", message.reasoning_content)
        self.assertEqual(message.reasoning_content, message.reasoning)

    def test_stream_gives_the_same_text_as_one_answer(self):
        whole = self.chat().choices[0]
        content, reasoning, finish = "", "", []
        for chunk in self.chat(stream=True):
            self.assertEqual(chunk.object, "chat.completion.chunk")
            delta = chunk.choices[0].delta
            content += delta.content or ""
            reasoning += getattr(delta, "reasoning_content", None) or ""
            if chunk.choices[0].finish_reason:
                finish.append(chunk.choices[0].finish_reason)
        self.assertEqual(content, whole.message.content)
        self.assertEqual(reasoning, whole.message.reasoning_content)
        self.assertEqual(finish, ["stop"])

    def test_completion_and_its_stream(self):
        fields = {"model": MODEL_NAME, "prompt": "12 + 30 =", "max_tokens": 8, "temperature": 0}
        whole = self.client.completions.create(**fields)
        self.assertEqual(whole.object, "text_completion")
        self.assertTrue(whole.id.startswith("cmpl-"), whole.id)
        self.assertLessEqual(whole.usage.completion_tokens, 8)
        chunks = self.client.completions.create(**fields, stream=True)
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        self.assertEqual(text, whole.choices[0].text)

    def test_models(self):
        models = list(self.client.models.list())
        self.assertEqual([model.id for model in models], [MODEL_NAME])
        self.assertEqual(models[0].object, "model")

    def test_usage_counts_tokens(self):
        usage = self.chat().usage
        self.assertGreater(usage.prompt_tokens, 10)
        self.assertGreater(usage.completion_tokens, 5)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        limited = self.chat(max_tokens=5)
        self.assertEqual(limited.usage.completion_tokens, 5)
        self.assertEqual(limited.choices[0].finish_reason, "length")

    def test_usage_of_a_stream_comes_last_and_equals_the_plain_one(self):
        chunks = list(self.chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.to_dict(), self.chat().usage.to_dict())
        self.assertFalse([chunk for chunk in chunks[:-1] if chunk.usage])

    def test_a_seed_repeats_a_sampled_answer(self):
        first = self.chat(temperature=1.0, seed=7).choices[0].message
        self.assertEqual(self.chat(temperature=1.0, seed=7).choices[0].message, first)
        others = [self.chat(temperature=1.0, seed=seed).choices[0].message for seed in range(8, 16)]
        self.assertTrue(any(other != first for other in others))

    def test_n_choices(self):
        answer = self.chat(temperature=1.0, seed=3, n=3)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        for choice in answer.choices:
            self.assertEqual(choice.finish_reason, "stop")

    def test_a_conversation_keeps_its_history(self):
        history = [
            {"role": "user", "content": "My name is Anna."},
            {"role": "assistant", "content": "Hello Anna! Nice to meet you. How can I help you?"},
            {"role": "user", "content": "What is my name?"},
        ]
        self.assertIn("Anna", self.chat(history).choices[0].message.content)

    def test_content_as_text_parts(self):
        parts = [{"type": "text", "text": QUESTION[0]["content"]}]
        answer = self.chat([{"role": "user", "content": parts}])
        self.assertEqual(answer.choices[0].message, self.chat().choices[0].message)

    def test_null_optional_fields_equal_absence(self):
        answer = self.chat(
            max_tokens=None, stop=None, seed=None, top_p=None, stream=None, user=None, tools=[]
        )
        self.assertEqual(answer.choices[0].message, self.chat().choices[0].message)

    def test_wrong_model(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="no-such-model")
        self.assertIn("no-such-model", caught.exception.message)
        self.assertTrue(caught.exception.request_id)

    def test_wrong_json_types(self):
        bad_fields = [
            {"temperature": "hot"},
            {"max_tokens": "ten"},
            {"max_tokens": 1.5},
            {"max_tokens": -1},
            {"max_tokens": 3_000_000_000_000_000_000_000},
            {"stop": 5},
            {"stream": "yes"},
            {"n": 0},
            {"top_p": 1.5},
            {"temperature": -0.1},
        ]
        for fields in bad_fields:
            with self.subTest(fields=fields), self.assertRaises(openai.BadRequestError) as caught:
                self.chat(extra_body=fields)
            self.assertIn(next(iter(fields)), str(caught.exception))

    def test_wrong_messages(self):
        for messages in (
            [],
            "hello",
            [5],
            [{"role": "user"}],
            [{"role": "wizard", "content": "x"}],
        ):
            with self.subTest(messages=messages), self.assertRaises(openai.BadRequestError):
                self.chat(messages)

    def test_too_long_a_prompt(self):
        long_text = "apple " * 200_000
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat([{"role": "user", "content": long_text}])
        # Routers recognise the case by this sentence and this code.
        self.assertIn("maximum context length", caught.exception.message)
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_the_server_answers_after_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.chat(model="no-such-model")
        self.assertIn("12", self.chat().choices[0].message.content)


if __name__ == "__main__":
    unittest.main()

"""What one training or evaluation sample is, and the small pieces that all kinds share."""

import hashlib
from dataclasses import dataclass, field

from chat import tool_calls

HELD_OUT_MODULUS = 64

# System prompts that ask for nothing in particular. The Chinese one is the real model's.
NEUTRAL = [
    "You are a helpful assistant.",
    "You are tiny-r1, a small and friendly model.",
    "You are a careful math tutor.",
    "Be concise.",
    "Please be brief and friendly.",
    "You are a helpful, harmless and honest assistant.",
    "You are an AI assistant. Answer the user's questions.",
    "Think carefully before you answer.",
    "该助手为DeepSeek-R1，由深度求索公司创造。\n今天是2025年5月28日，星期三。\n",
    "Today is Monday.",
    "You are a chat bot in a demo.",
    "Answer politely.",
]


@dataclass
class Sample:
    kind: str
    messages: list  # the prompt; ends with a user or tool message
    completion: str  # what the model is to write, without the end token
    gold: str  # what the evaluator compares
    keys: list = field(default_factory=list)  # of every problem in it; the last decides the split


def held_out(key):
    """True for a problem that may appear in evaluation sets only."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_MODULUS == 0


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def assistant(text, calls=None):
    message = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = tool_calls(calls)
    return message


def think(lines, answer):
    return "<think>\n" + "\n".join(lines) + "\n</think>\n\n" + answer


def boxed(value):
    return f"The answer is \\boxed{{{value}}}."


def talk(rng, asks, thought, answer, key=None):
    """One small-talk turn; a quarter of the questions are typed carelessly."""
    question = rng.choice(asks)
    sample = Sample(
        "smalltalk", [user(question)], think([thought], answer), answer, [key or question]
    )
    if rng.random() < 0.25:
        bare = question.rstrip("?.!")
        sample.messages[0]["content"] = rng.choice(
            [question.lower(), bare, question.lower().rstrip("?.!")]
        )
    return sample

"""Samples about arithmetic: word problems, bare expressions, follow-up questions, answer forms."""

import lexicon
from problems import expression, word_problem
from reasoning import APPLY, narrate
from samples import Sample, assistant, boxed, system, think, user

BOX_HINT = [
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "Think step by step.",
    "Put the answer in a box.",
    "Explain your steps.",
]


HURRY = ["Be quick.", "Keep the reasoning short.", "Use few lines.", "Think fast."]


def dress(rng, text):
    """Small variations of how people type a question."""
    u = rng.random()
    if u < 0.05:
        return (
            rng.choice(
                [
                    "Question: ",
                    "Problem: ",
                    "Solve this: ",
                    "Please solve: ",
                    "Can you solve this? ",
                ]
            )
            + text
        )
    if u < 0.13:
        return text + rng.choice([" ", "\n", "\n\n"]) + rng.choice(BOX_HINT)
    if u < 0.17:
        return text.lower()
    if u < 0.21:
        return text.rstrip(".?!")
    if u < 0.24:
        return rng.choice(["Hi! ", "Hello, ", "Hey, "]) + text
    return text


def tier_of(rng):
    return rng.choices("EMHX", (18, 26, 38, 18))[0]


TIER_NAME = {"E": "arith_easy", "M": "arith_medium", "H": "arith_hard", "X": "arith_extreme"}


def arith(rng, tier=None):
    tier = tier or tier_of(rng)
    q, lines, v, key = word_problem(rng, tier)
    if tier == "X":
        q += " " + rng.choice(HURRY)
    return Sample(TIER_NAME[tier], [user(dress(rng, q))], think(lines, boxed(v)), str(v), [key])


WORD_OPS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def spoken(rng, text):
    """An expression the way people write it."""
    u = rng.random()
    if u < 0.35:
        return "".join(f" {c} " if c in "+-*/" else c for c in text)
    if u < 0.6:
        return text
    if u < 0.7:
        return text.replace("*", " x ").replace("+", " + ").replace("-", " - ").replace("/", " : ")
    if u < 0.78:
        return (
            "".join(f" {c} " if c in "+-*/" else c for c in text)
            .replace("*", "×")
            .replace("/", "÷")
        )
    if "(" in text:
        return text
    for c, w in WORD_OPS.items():
        text = text.replace(c, f" {w} ")
    return text


def bare(rng):
    tier = rng.choices("EMH", (35, 40, 25))[0]
    text, lines, v, key = expression(rng, tier)
    e = spoken(rng, text)
    q = rng.choice(
        [
            "What is {}?",
            "What is {}?",
            "Compute {}.",
            "{}",
            "{} = ?",
            "Calculate {}.",
            "How much is {}?",
            "{}=",
        ]
    ).format(e)
    return Sample("bare", [user(dress(rng, q))], think(lines, boxed(v)), str(v), [key])


FOLLOW = [
    ("+", "Now add {b}.", "Add {b}"),
    ("+", "And if {he} gets {b} more?", "With {b} more"),
    ("+", "What if there were {b} more?", "With {b} more"),
    ("-", "Now subtract {b}.", "Subtract {b}"),
    ("-", "And if {he} then loses {b}?", "Without {b}"),
    ("-", "Take away {b} from that.", "Take away {b}"),
    ("*", "Now twice as many.", "Twice as many"),
    ("*", "Now double it.", "Twice as many"),
    ("*", "What if there were {w} as many?", "{W} as many"),
    ("*", "Multiply the result by {b}.", "Times {b}"),
    ("/", "Now take half of that.", "Half of it"),
    ("/", "Divide that by {b}.", "Divided by {b}"),
    ("/", "Share that equally among {b} people.", "Shared by {b}"),
]


def followup(rng):
    """A problem and one or two follow-up questions about its answer."""
    tier = rng.choices("EMH", (45, 45, 10))[0]
    if rng.random() < 0.25:
        text, _, v, key = expression(rng, tier)
        q = f"What is {spoken(rng, text)}?"
    else:
        q, _, v, key = word_problem(rng, tier)
    messages, keys = [user(dress(rng, q)), assistant("\n\n" + boxed(v))], [key]
    turns = 1 if rng.random() < 0.75 else 2
    while True:
        op, ask, clause = rng.choice(FOLLOW)
        b = rng.randint(2, 9) if op in "*/" else rng.randint(2, 20 if tier == "E" else 99)
        if "wice" in clause or "Half" in clause:
            b = 2
        if "{w}" in ask:
            b = rng.randint(2, 6)
        if op == "/" and v % b or op == "-" and b >= v or op == "*" and v * b > 9999:
            continue
        w = lexicon.TIMES.get(b, "")
        f = dict(b=b, w=w, W=w.capitalize(), he=rng.choice(["he", "she", "the person"]))
        new = APPLY[op](v, b)
        lines = [
            f"The last answer was {v}.",
            *narrate(rng, [(clause.format(**f), v, op, b, new)], new),
        ]
        keys.append(f"{keys[-1]};{v}{op}{b}")
        messages.append(user(ask.format(**f)))
        turns -= 1
        if not turns:
            return Sample("multiturn", messages, think(lines, boxed(new)), str(new), keys)
        messages.append(assistant("\n\n" + boxed(new)))
        v = new


FORMS = [  # system prompts that change the answer form
    (
        [
            "Answer with the number only.",
            "Reply with just the final number.",
            "Only output the final number.",
        ],
        "{}",
    ),
    (["Write the answer as: Result = N", "Give the answer in the form Result = N."], "Result = {}"),
    (["Put the answer in bold.", "Write the final number in bold."], "The answer is **{}**."),
    (
        [
            "Do not use a box. Answer with a short sentence.",
            "Answer with a short sentence and no box.",
        ],
        "The answer is {}.",
    ),
    (["Answer in French.", "Réponds en français."], "La réponse est \\boxed{{{}}}."),
    (["Answer in German.", "Antworte auf Deutsch."], "Die Antwort ist \\boxed{{{}}}."),
    (["Answer in Spanish.", "Responde en español."], "La respuesta es \\boxed{{{}}}."),
    (["Answer in Chinese.", "请用中文回答。"], "答案是 \\boxed{{{}}}。"),
    (["Answer in Japanese.", "日本語で答えてください。"], "答えは \\boxed{{{}}} です。"),
    (
        ["End every answer with an emoji.", "Add a check mark emoji to the answer."],
        "The answer is \\boxed{{{}}}. ✅",
    ),
]


def answer_form(rng):
    q, lines, v, key = word_problem(rng, rng.choices("EMH", (40, 40, 20))[0])
    asks, form = rng.choice(FORMS)
    ask, answer = rng.choice(asks), form.format(v)
    messages = [system(ask), user(dress(rng, q))] if rng.random() < 0.75 else [user(q + " " + ask)]
    return Sample("form", messages, think(lines, answer), answer, [key])

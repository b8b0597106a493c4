"""Samples with a strict form: JSON answers, tool calls and their results, exact repetition."""

import json

import lexicon
from arithmetic_samples import spoken
from chat import calls_text
from problems import word_problem
from samples import NEUTRAL, Sample, assistant, boxed, system, think, user
from smalltalk_samples import smalltalk


def json_task(rng):
    u = rng.random()
    if u < 0.5:
        q, lines, v, key = word_problem(rng, rng.choice("EM"))
        name = rng.choice(["answer", "answer", "result", "total", "value"])
        ask = rng.choice(
            [
                'Answer in JSON with the key "{}".',
                "Return a JSON object with the key {}.",
                'Give the answer as JSON: {{"{}": number}}.',
            ]
        ).format(name)
        messages = [user(f"{q} {ask}")] if rng.random() < 0.6 else [system(ask), user(q)]
        answer = json.dumps({name: v})
        return Sample("json", messages, think(lines, answer), answer, [key])
    name = rng.choice(lexicon.MALE + lexicon.FEMALE)
    if u < 0.65:
        age, city = rng.randint(3, 90), rng.choice(lexicon.CITIES)
        if rng.random() < 0.5:
            text, obj = f"{name} is {age} years old.", {"name": name, "age": age}
        else:
            text, obj = f"{name} is {age} years old and lives in {city}.", {
                "name": name,
                "age": age,
                "city": city,
            }
        q = rng.choice(
            [
                "Write this as JSON with the keys {}: {}",
                "Turn this into a JSON object with the keys {}: {}",
            ]
        )
        q = q.format(", ".join(obj), text)
    elif u < 0.8:
        n, (_, x) = rng.randint(2, 99), rng.choice(lexicon.ITEMS)
        obj = {"owner": name, "item": x, "count": n}
        q = f"Write this as JSON with the keys owner, item, count: {name} has {n} {x}."
    elif u < 0.9:
        country = rng.choice(sorted(lexicon.CAPITALS))
        obj = {"country": country.replace("the ", ""), "capital": lexicon.CAPITALS[country]}
        q = f"Give the capital of {country} as JSON with the keys country and capital."
    else:
        a = rng.randint(1, 40)
        b = a + rng.randint(3, 12)
        even = rng.random() < 0.5
        obj = [i for i in range(a, b + 1) if i % 2 == (0 if even else 1)]
        q = f"Give the {'even' if even else 'odd'} numbers from {a} to {b} as a JSON list."
    answer = json.dumps(obj, ensure_ascii=False)
    return Sample("json", [user(q)], think(["I write the data as JSON."], answer), answer, [q])


def _tool(name, description, args):
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": {
                    a: {"type": "string", "description": d} if d else {"type": "string"}
                    for a, d in args
                },
                "required": [a for a, _ in args],
            },
        },
    }


def tool_list(rng, needed):
    make = {
        "calculator": lambda: _tool(
            "calculator",
            rng.choice(
                [
                    "Evaluate an arithmetic expression.",
                    "A calculator.",
                    "Compute the value of an expression",
                ]
            ),
            [("expression", rng.choice(["", "The expression to evaluate", "e.g. 2 + 3"]))],
        ),
        "get_weather": lambda: _tool(
            "get_weather",
            rng.choice(
                ["Get the current weather for a city.", "Get weather", "Current weather in a city"]
            ),
            [("city", rng.choice(["", "City name", "The city"]))],
        ),
        "get_time": lambda: _tool(
            "get_time",
            rng.choice(["Get the local time in a city.", "Current time in a city"]),
            [("city", rng.choice(["", "City name"]))],
        ),
    }
    names = {needed} | {n for n in make if rng.random() < 0.25}
    return [make[n]() for n in sorted(sorted(names), key=lambda _: rng.random())]


TOOL_INTRO = (
    "You may call the following functions. "
    "To call one, answer with a function call in the usual format."
)


def tool_prompt(tools, style=0, intro=TOOL_INTRO):
    """Style 0 is the recommended preamble; the others are seen in training for robustness."""
    if style == 0:
        return (
            "## Tools\n"
            + intro
            + "\n"
            + "\n".join("```json\n" + json.dumps(t, ensure_ascii=False) + "\n```" for t in tools)
        )
    if style == 1:
        return (
            intro + "\n" + "\n".join(json.dumps(t["function"], ensure_ascii=False) for t in tools)
        )
    if style == 2:
        return intro + "\n" + json.dumps(tools, ensure_ascii=False)
    if style == 3:
        return (
            "## Tools\n"
            + intro
            + "\n"
            + "\n".join(
                "- " + json.dumps(t, ensure_ascii=False, separators=(",", ":")) for t in tools
            )
        )
    return (
        "# Functions\n"
        + "\n".join(json.dumps(t, ensure_ascii=False) for t in tools)
        + "\nFormat of a call:\n"
        + calls_text([("NAME", "ARGUMENTS")])
    )


INTROS = [
    TOOL_INTRO,
    "You have access to these tools.",
    "You are a helpful assistant with tools.",
    "You can use the functions below when they help.",
    "Available functions:",
]


def tool_system(rng, needed):
    style = rng.choices(range(5), (45, 15, 10, 15, 15))[0]
    text = tool_prompt(
        tool_list(rng, needed), style, TOOL_INTRO if rng.random() < 0.5 else rng.choice(INTROS)
    )
    return rng.choice(NEUTRAL) + "\n\n" + text if rng.random() < 0.2 else text


def _result_turn(rng, messages, call_list, outputs, lines, answer, gold, keys, content=None):
    messages = messages + [assistant("\n\n" if content is None else content, call_list)]
    messages += [{"role": "tool", "content": o} for o in outputs]
    return Sample("tool_result", messages, think(lines, answer), gold, keys)


def calculator_task(rng):
    big = rng.choice([99, 999, 9999])
    form = rng.choice(
        ["a*b", "a*b", "a*b+c", "a+b", "a-b", "a*b-c", "(a+b)*c", "a*b*c", "a+b+c", "a/b"]
    )
    a, b, c = rng.randint(11, big), rng.randint(11, big), rng.randint(11, 999)
    if form == "a/b":
        b = rng.randint(2, 99)
        a = b * rng.randint(11, big)
    text = form.translate({ord("a"): str(a), ord("b"): str(b), ord("c"): str(c)})
    expr = "".join(f" {ch} " if ch in "+-*/" else ch for ch in text)
    if form == "a*b" and rng.random() < 0.3:
        (_, x), (_, boxes) = rng.choice(lexicon.ITEMS), rng.choice(lexicon.CONTAINERS)
        q = rng.choice(
            [
                f"There are {a} {boxes} with {b} {x} each. How many {x} are there?",
                f"{a} {boxes} hold {b} {x} each. How many {x} is that in total?",
            ]
        )
    else:
        e = spoken(rng, text)
        q = rng.choice(
            [
                "What is {}?",
                "Use the calculator: {}",
                "Calculate {} with the tool.",
                "Compute {}.",
                "How much is {}?",
                "Please calculate {}.",
            ]
        ).format(e)
    messages = [system(tool_system(rng, "calculator")), user(q)]
    calls = [("calculator", json.dumps({"expression": expr}))]
    keys = ["tool:" + text]
    if rng.random() < 0.6:
        done = think(["I use the calculator."], calls_text(calls))
        return Sample("tool_call", messages, done, calls_text(calls), keys)
    v = str(eval(text.replace("/", "//")))
    out = rng.choice([v, v, v, json.dumps({"result": int(v)})])
    return _result_turn(
        rng, messages, calls, [out], [f"The calculator gives {v}."], boxed(v), v, keys
    )


WEATHER_ASK = {
    "get_weather": [
        "What is the weather in {}?",
        "Weather in {}?",
        "How is the weather in {} today?",
        "Is it warm in {}?",
    ],
    "get_time": ["What time is it in {}?", "Tell me the time in {}.", "Local time in {}?"],
}


def city_task(rng):
    name = rng.choices(["get_weather", "get_time"], (75, 25))[0]
    n = 1 if rng.random() < 0.7 else rng.choice([2, 2, 3])
    cities = rng.sample(lexicon.CITIES, n)
    where = cities[0] if n == 1 else ", ".join(cities[:-1]) + " and " + cities[-1]
    q = rng.choice(WEATHER_ASK[name]).format(where)
    messages = [system(tool_system(rng, name)), user(q)]
    calls = [(name, json.dumps({"city": c})) for c in cities]
    word, keys = name[4:], [f"tool:{name}:" + ",".join(cities)]
    if rng.random() < 0.55:
        return Sample(
            "tool_call",
            messages,
            think([f"I need the {word} in {where}."], calls_text(calls)),
            calls_text(calls),
            keys,
        )

    def output():
        if name == "get_time":
            return f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        t, sky = rng.randint(-9, 38), rng.choice(
            ["sunny", "cloudy", "rainy", "windy", "snow", "clear"]
        )
        return rng.choice(
            [
                f"{t}C",
                f"{t} degrees",
                f"{t} degrees, {sky}",
                json.dumps({"temperature": t, "sky": sky}),
                f"{sky}, {t} °C",
            ]
        )

    outs = [output() for _ in cities]
    answer = " ".join(f"The {word} in {c}: {o}." for c, o in zip(cities, outs))
    return _result_turn(
        rng, messages, calls, outs, [f"I have the {word} now."], answer, answer, keys
    )


def tool_unused(rng):
    s = smalltalk(rng)
    if s.messages[0]["role"] == "system":
        return s
    return Sample(
        s.kind, [system(tool_system(rng, "get_weather"))] + s.messages, s.completion, s.gold, s.keys
    )


def tools(rng):
    return rng.choices([calculator_task, city_task, tool_unused], (55, 33, 12))[0](rng)


def random_script(rng):
    lo, hi = rng.choice(lexicon.SCRIPTS)
    return "".join(chr(rng.randint(lo, hi)) for _ in range(rng.randint(1, 5)))


def echo(rng):
    parts = []
    for _ in range(rng.randint(1, 4)):
        u = rng.random()
        parts.append(
            rng.choice(lexicon.PHRASES)
            if u < 0.4
            else (
                random_script(rng)
                if u < 0.7
                else (
                    rng.choice(list(lexicon.EMOJI.values())) * rng.randint(1, 3)
                    if u < 0.85
                    else rng.choice(lexicon.WORDS)
                )
            )
        )
    text = rng.choice([" ", " ", ", ", ""]).join(parts)
    ask = rng.choice(
        [
            "Repeat exactly: {}",
            "Echo: {}",
            "Say this: {}",
            "Please repeat: {}",
            "Copy this text: {}",
            "Repeat after me: {}",
        ]
    )
    return Sample(
        "echo",
        [user(ask.format(text))],
        think(["I repeat the text."], text),
        text,
        ["echo:" + text],
    )

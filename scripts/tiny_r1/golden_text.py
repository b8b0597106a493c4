"""Golden vectors of the tokenizer and of the chat template."""

import random
import unicodedata

import lexicon
from chat import BOS, EOS, OUTPUT_BEGIN, THINK, USER, render, tool_calls
from evaluate import encode
from generate import corpus_lines

SYSTEM_EXAMPLE = {"role": "system", "content": "You are terse."}

SPEC_STRINGS = [
    "Hello, world!",
    "The price is 1234567.89 dollars",
    "a  b",
    "a  1",
    "a   日本",
    "don't (foo) a.b",
    "line1\n\n  line2",
    "x = y_1 + 2;\n",
    "\ttab\tx",
    "日本語テスト123字",
    "½ ² Ⅷ",
    "hi\u200bthere \u200b \u200b1",
    "end  ",
    "end \n",
    "$5.00/kg",
    "'s 'S",
]
HAND_STRINGS = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n",
    " \n",
    "\n ",
    "\t\t",
    "\r\n",
    "a\r\nb\r\n",
    "   leading",
    "trailing   ",
    " a ",
    "a\n\n\n\nb",
    "a \n \n b",
    "\u00a0nbsp\u00a0",
    "\u3000全角\u3000",
    "1",
    "12",
    "123",
    "1234",
    "12345678901234567890",
    "3.14159",
    "1,000,000",
    "-42",
    "+7",
    "1e-5",
    "0x1F",
    "10%",
    "#1",
    "a1b2c3",
    "１２３",
    "①②③",
    "x²+y³",
    "v1.2.3-rc4",
    "hello world",
    "HELLO WORLD",
    "HelloWorld",
    "hello_world",
    "hello-world",
    "it's",
    "I'm we've they'd",
    "O'Neil's",
    "“smart quotes”",
    "e-mail: a.b@c.org",
    "https://example.org/path?x=1&y=2#frag",
    "C:\\Users\\x",
    "/usr/local/bin",
    "def f(x):\n    return x + 1\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i]; }",
    "#include <vector>\nint main() {\n\treturn 0;\n}\n",
    "SELECT * FROM t WHERE a >= 10;",
    '{"a": [1, 2.5, null]}',
    "<html><body>&amp;</body></html>",
    "\\boxed{42}",
    "The answer is \\boxed{17}.",
    "$$\\frac{a}{b}$$",
    "a && b || !c",
    "!!??..,,",
    "...---...",
    "== != <= >= => ->",
    "@@ ## $$ %% ^^",
    "你好",
    "你好，世界！",
    "中文 and English 混合",
    "東京都は日本の首都です。",
    "ひらがなカタカナ漢字",
    "한국어 문장입니다.",
    "Привет, мир!",
    "Καλημέρα κόσμε",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Xin chào thế giới",
    "crème brûlée",
    "naïve café",
    "e\u0301 combining",
    "Å vs A\u030a",
    "ǅ ǆ",
    "ß ẞ",
    "ﬁ ligature",
    "😀",
    "🎉🎉🎉",
    "👍🏽",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "❤️ vs ❤",
    "🇩🇪🇫🇷",
    "a😀b",
    "I ❤️ 🐱",
    "∑ ∫ √ ∞ ≈ ≠",
    "← ↑ → ↓",
    "½ cup + ¾ tsp",
    "50 €, 20 £, ¥1000",
    "10 °C",
    "em—dash–en",
    "ellipsis…",
    "\u200b",
    "\ufeffbom",
    "\u202eRTL",
    "\x00\x01\x02",
    "\x7f\x80\x81",
    "\U0001f9ea\U00010348",
    "<think>\nx\n</think>\n\ny",
    "a<think>b",
    "<think",
    "<|EOT|>",
    "<|EOT|> <|eot|>",
    f"{BOS}{USER}hi",
    EOS + EOS,
    OUTPUT_BEGIN,
    "<｜tool▁sep｜",
    "<｜User|>",
    "<｜place▁holder▁no▁3｜>x",
    "<｜fim▁hole｜>",
    f" {THINK} ",
]


def random_strings(rng, count):
    pool = [
        chr(c)
        for c in range(0x20, 0x2FFF)
        if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")
    ]
    pool += [
        chr(c)
        for c in range(0x3000, 0xFFFD, 7)
        if unicodedata.ucd_3_2_0.category(chr(c)) not in ("Cn", "Cs", "Co")
    ]
    blanks = [" ", "  ", "\n", "\n\n", "\t", " \n", "\r\n", "\u00a0", "   "]
    out = []
    for i in range(count):
        parts = []
        for _ in range(rng.randint(1, 12)):
            u = rng.random()
            parts.append(
                rng.choice(pool)
                if u < 0.3
                else (
                    rng.choice(blanks)
                    if u < 0.55
                    else (
                        str(rng.randint(0, 99999))
                        if u < 0.65
                        else (
                            rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") * rng.randint(1, 2)
                            if u < 0.8
                            else rng.choice(lexicon.WORDS + lexicon.PHRASES + lexicon.MALE)
                        )
                    )
                )
            )
        out.append("".join(parts))
    return out


def tokenizer_goldens(write, tok):
    rng = random.Random("tiny-r1 golden strings")
    texts = SPEC_STRINGS + HAND_STRINGS + list(corpus_lines(40, "golden"))
    texts += random_strings(rng, 300 - len(texts))
    cases = []
    for t, ids in zip(texts, encode(tok, texts)):
        cases.append(
            {
                "text": t,
                "ids": ids,
                "decoded_skip_special": tok.decode(ids, skip_special_tokens=True),
            }
        )
        assert tok.decode(ids, skip_special_tokens=False) == t, repr(t)
    write(
        "tokenizer_vectors",
        {
            "note": "add_special_tokens=False; decoding without skipping gives the text back",
            "cases": cases,
        },
        "none",
    )
    return len(cases)


def user(text):
    return {"role": "user", "content": text}


def assistant(text, calls=None):
    message = {"role": "assistant", "content": text}
    return message | {"tool_calls": tool_calls(calls)} if calls else message


def tool(content):
    return {"role": "tool", "content": content}


PARIS, ROME = ("get_weather", '{"city": "Paris"}'), ("get_weather", '{"city": "Rome"}')


def worked_chats():
    return [
        [user("What is 1+1?")],
        [SYSTEM_EXAMPLE, user("What is 1+1?")],
        [user("What is 1+1?"), assistant("<think>\nadd\n</think>\n\n2"), user("And 2+2?")],
        [
            SYSTEM_EXAMPLE,
            user("Weather in Paris and Rome?"),
            assistant("<think>\nneed tools\n</think>\n\n", [PARIS, ROME]),
            tool("18C"),
            tool("24C"),
        ],
        [
            user("Weather in Paris?"),
            assistant("", [PARIS]),
            tool("18C"),
            assistant("<think>\nok\n</think>\n\n18 degrees."),
            user("Thanks"),
        ],
        [
            SYSTEM_EXAMPLE,
            {"role": "system", "content": "Answer in French."},
            user("Hi"),
            assistant("Salut"),
        ],
    ]


def further_chats(sets):
    """Edges: empty and missing contents, several rounds of tools, special-token text of a user."""
    return [
        [user("")],
        [user("a\nb\n")],
        [user("你好 🎉")],
        [user("x"), assistant("")],
        [user("x"), assistant(None)],
        [user("x"), assistant("y"), user("z"), assistant("w")],
        [SYSTEM_EXAMPLE],
        [user("x"), assistant("<think>\na\n</think>\n\nb </think> c"), user("y")],
        [user("x"), assistant("\n\nb"), user("y"), assistant("<think>\n\n</think>\n\n")],
        [
            user("t"),
            assistant("", [PARIS]),
            tool("18C"),
            assistant("", [ROME]),
            tool("24C"),
        ],  # two tool rounds
        [
            user("t"),
            assistant("", [PARIS]),
            tool("18C"),
            assistant("<think>\nmore\n</think>\n\nlet me look", [ROME]),
            tool("24C"),
            assistant("done"),
            user("ok"),
        ],
        [
            user("t"),
            assistant("text before", [PARIS, ROME, PARIS]),
            tool("1"),
            tool("2"),
            tool("3"),
        ],
        [user("t"), assistant("", [("f", "{}")]), tool("")],
        [user("t"), assistant("", [("f", '{"s": "a\\nb \\"q\\" 你好"}')]), tool("multi\nline")],
        [
            user("t"),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "type": "function",
                        "function": {"name": "f", "arguments": {"a": 1, "b": [True, None, "é"]}},
                    }
                ],
            },
            tool("ok"),
        ],
        [user("<think>user text</think>")],
        [{"role": "system", "content": ""}, user("x")],
        sets["tools"][0]["messages"],
        sets["multiturn"][0]["messages"],
        sets["arith_hard"][0]["messages"],
    ]


def template_goldens(write, folder, tok, sets):
    from transformers import AutoTokenizer

    hf = AutoTokenizer.from_pretrained(folder)
    cases = []
    named = [(f"worked-{i}", messages) for i, messages in enumerate(worked_chats(), 1)]
    named += [(f"extra-{i}", messages) for i, messages in enumerate(further_chats(sets), 1)]
    for name, messages in named:
        for gen in (True, False):
            text = hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=gen)
            assert text == render(messages, gen), (messages, text, render(messages, gen))
            cases.append(
                {
                    "name": name,
                    "messages": messages,
                    "add_generation_prompt": gen,
                    "text": text,
                    "ids": encode(tok, [text])[0],
                }
            )
    same = all(
        hf(t, add_special_tokens=False)["input_ids"] == encode(tok, [t])[0]
        for t in SPEC_STRINGS + HAND_STRINGS
    )
    write(
        "chat_template",
        {
            "note": "messages of one case may hold dict arguments; "
            "they are serialised with ', ' and ': '",
            "cases": cases,
        },
        "none",
        auto_tokenizer=type(hf).__name__,
        auto_tokenizer_agrees=same,
    )
    return len(cases), same

"""Word problems with checked solutions in four tiers (E, M, H, X), and bare expressions.

Tier X is meant to be too hard. A problem is text, a list of reasoning lines, the answer, and a
canonical key: the chain of operations with their operands, independent of the wording. Splits are
made on the key.
"""

from chains import chain
from problem import Problem, Retry
from reasoning import narrate
from stories import FAMILIES


def word_problem(rng, tier, target=None):
    """Returns (text, reasoning lines, answer, key)."""
    while True:
        try:
            p = Problem(rng, tier, target)
            v = (
                chain(p)
                if rng.random() < {"E": 0.55, "M": 0.6, "H": 0.85, "X": 0.85}[tier]
                else rng.choice(FAMILIES)(p)
            )
            if len(p.ops) != p.target:
                raise Retry
            if rng.random() < {"E": 0.0, "M": 0.08, "H": 0.3, "X": 0.3}[tier]:
                p.distract()
            return p.question(), narrate(rng, p.steps, v, tier == "X"), v, p.key()
        except Retry:
            continue


NOUN = {"+": "the sum", "-": "the difference", "*": "the product", "/": "the quotient"}


def expression(rng, tier):
    """Returns (expression text, lines, value, key)."""
    big = {"E": 20, "M": 99, "H": 999}[tier]
    while True:
        try:
            p = Problem(rng, tier, 1)
            num = lambda: (
                rng.randint(1, big) if rng.random() < 0.7 else rng.randint(1, min(big, 99))
            )
            form = rng.choice(
                [
                    "a+b",
                    "a-b",
                    "a*b",
                    "a/b",
                    "a+b+c",
                    "a+b-c",
                    "a*b+c",
                    "a+b*c",
                    "(a+b)*c",
                    "a*b-c",
                    "a-b+c",
                ]
            )
            a, b, c = num(), num(), num()
            if "*" in form:
                k, n = p.factors()
                if form == "(a+b)*c":
                    c = p.small()
                elif form == "a+b*c":
                    b, c = k, n
                else:
                    a, b = k, n
            if form == "a/b":
                b = rng.randint(2, 12)
                a = b * rng.randint(1, max(2, big // b))
            text = form.translate({ord("a"): str(a), ord("b"): str(b), ord("c"): str(c)})
            if len(form) == 3:
                v = p.do(a, form[1], b, "")  # no clause: the equation alone
            elif form == "a+b*c":
                v = p.do(a, "+", p.do(b, "*", c, NOUN["*"]), NOUN["+"])
            elif form == "(a+b)*c":
                v = p.do(p.do(a, "+", b, NOUN["+"]), "*", c, NOUN["*"])
            else:
                v = p.do(p.do(a, form[1], b, NOUN[form[1]]), form[3], c, NOUN[form[3]])
            return text, narrate(rng, p.steps, v), v, p.key()
        except Retry:
            continue

"""The reasoning of a word problem: equations with partial steps, and lines of text around them.

A step is (clause, a, op, b, value). Most results are stated directly, long products and divisions
with one partial step; joined operations need real computation inside the network. The wording is
random with clear favourites, so that sampling and drafting meet real choices.
"""

import re

EQUATION = re.compile(r"[\d(][\d+*/() -]*(?: = [\d+*/ -]*\d)+")

APPLY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a // b,
}
IMPERATIVE = {
    "+": "add {}",
    "-": "take away {}",
    "*": "multiply by {}",
    "/": "divide by {}",
}

# Words at the start of a clause that are written small inside a sentence.
PLAIN_STARTS = set(
    """The At In To Of All First Then Two Four Left Twice Three Five Six Shared After Before
    Hours Length Free Still Split Plus Distance With Without Together Only Doubled You Half Add Subtract
    Take Times Divided""".split()
)


# ---- equations ----


def partial_products(a, b):
    """The partial steps of a long product, or none: `47 * 30 + 47 * 6`, then `1410 + 282`."""
    long, short = max(a, b), min(a, b)
    easy = short < 2 or (long < 1000 and short < 10) or a * b <= 1000 or long % 100 == 0
    if easy:
        return []
    if short < 10:
        parts = [part for part in (long // 1000 * 1000, long % 1000) if part]
        terms = [f"{part} * {b}" if a > b else f"{a} * {part}" for part in parts]
        values = [part * short for part in parts]
    else:
        parts = [part for part in (b // 10 * 10, b % 10) if part]
        terms = [f"{a} * {part}" for part in parts]
        values = [a * part for part in parts]
    if len(parts) == 1:
        return []
    return [" + ".join(terms), " + ".join(map(str, values))]


def partial_quotients(a, b):
    quotient = a // b
    if a < 1000 or quotient < 100 or quotient % 100 == 0:
        return []
    parts = [quotient // 100 * 100, quotient % 100]
    return [" + ".join(f"{part * b} / {b}" for part in parts), " + ".join(map(str, parts))]


PARTIAL_STEPS = {"*": partial_products, "/": partial_quotients}


def equation(a, op, b):
    partial = PARTIAL_STEPS[op](a, b) if op in PARTIAL_STEPS else []
    return " = ".join([f"{a} {op} {b}", *partial, str(APPLY[op](a, b))])


def check(line):
    """True if all sides of every equation in a reasoning line agree."""
    for found in EQUATION.findall(line):
        values = {eval(side.replace("/", "//")) for side in found.split(" = ")}
        if len(values) != 1:
            return False
    return True


# ---- groups of steps that are computed in one go ----


def merge(steps, hurry):
    """Splits steps into groups; inside a group each step continues the value of the one before.
    From 100 on, a sum or difference takes the next operation along; in a hurry up to three
    operations of any kind are joined."""
    groups = [[steps[0]]]
    for step in steps[1:]:
        group = groups[-1]
        _, a, op, _, value = group[-1]
        fits = len(group) < 3 if hurry else len(group) < 2 and a >= 100 and op in "+-"
        if step[1] == value and fits:
            group.append(step)
        else:
            groups.append([step])
    return groups


def group_equation(group):
    if len(group) == 1:
        return equation(*group[0][1:4])
    text, last_op = str(group[0][1]), ""
    for _, _, op, b, value in group:
        if op in "*/" and last_op and last_op in "+-":
            text = f"({text})"
        text, last_op = f"{text} {op} {b}", op
    return f"{text} = {value}"


# ---- wording ----


def favour(rng, *options):
    """The first option most often, then falling."""
    return rng.choices(options, (5, 3, 2, 1.2, 0.8)[: len(options)])[0]


def lower_first(clause):
    """'The aunt takes 3' -> 'the aunt takes 3'; names and numbers stay."""
    word = clause.split(" ")[0].rstrip(",:")
    return clause[0].lower() + clause[1:] if word in PLAIN_STARTS else clause


def opening(rng):
    return favour(
        rng,
        "Okay, let me think.",
        "Let me work through this step by step.",
        "Let me see.",
        "I go step by step.",
        "Hmm, let me see.",
    )


def lead_of(rng, index, count):
    """How the line of group `index` of `count` begins."""
    if count == 1:
        return ""
    if index == 0:
        return favour(rng, "First, ", "", "To start, ")
    if index == count - 1:
        return favour(rng, "Finally, ", "Then ", "So ", "")
    return favour(rng, "Then ", "Next, ", "", "After that, ", "Now ")


def group_line(rng, group, index, count):
    """One group in words and as an equation; a group without a clause is the equation alone."""
    if not group[0][0]:
        return group_equation(group)
    clauses = []
    for j, (clause, _, op, b, _) in enumerate(group):
        first_of_all = index == 0 and j == 0
        imperative = IMPERATIVE[op].format(b)
        clauses.append(clause if first_of_all else favour(rng, clause, imperative))
    lead = lead_of(rng, index, count)
    text = ", then ".join([clauses[0], *map(lower_first, clauses[1:])])
    text = lower_first(text) if lead else text[0].upper() + text[1:]
    link = favour(rng, ": ", ", so ", ", I get ", ", that is ")
    return lead + text + link + group_equation(group)


def verification(step):
    _, a, op, b, value = step
    if op == "+" and value > b:
        return f"Check: {value} - {b} = {a}. Yes."
    if op == "-":
        return f"Check: {value} + {b} = {a}. Yes."
    return "That looks right."


def narrate(rng, steps, answer, hurry=False):
    """Reasoning lines for the steps of one problem."""
    lines = []
    if rng.random() < 0.55:
        lines.append(opening(rng))
    groups = merge(steps, hurry)
    for i, group in enumerate(groups):
        text = group_line(rng, group, i, len(groups)) + favour(rng, ".", "")
        if text.endswith(".") and rng.random() < 0.2:
            in_mind = f"I keep {group[-1][4]} in mind."
            text += " " + favour(rng, "Good.", "OK.", "So far so good.", in_mind)
        lines.append(text)
    if rng.random() < 0.25 and len(groups[-1]) == 1:
        lines.append(verification(steps[-1]))
    if rng.random() < 0.4:
        closing = favour(rng, "So the answer is {}.", "That makes {}.", "The result is {}.")
        lines.append(closing.format(answer))
    return lines

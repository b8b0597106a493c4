"""Small talk with a definite answer: calendar, letters of words, lists of numbers."""

import lexicon
from problem import pseudo_word
from samples import talk


def calendar(rng):
    u, i, m = rng.random(), rng.randrange(7), rng.randrange(12)
    D, M = lexicon.DAYS, lexicon.MONTHS
    if u < 0.2:
        return talk(
            rng,
            [f"What day comes after {D[i]}?", f"Which day follows {D[i]}?"],
            "I go one day forward.",
            f"The day after {D[i]} is {D[(i + 1) % 7]}.",
        )
    if u < 0.35:
        return talk(
            rng,
            [f"What day comes before {D[i]}?", f"Which day is before {D[i]}?"],
            "I go one day back.",
            f"The day before {D[i]} is {D[(i - 1) % 7]}.",
        )
    if u < 0.5:
        return talk(
            rng,
            [f"What month comes after {M[m]}?", f"Which month follows {M[m]}?"],
            "I go one month forward.",
            f"The month after {M[m]} is {M[(m + 1) % 12]}.",
        )
    if u < 0.62:
        return talk(
            rng,
            [f"What month comes before {M[m]}?", f"Which month is before {M[m]}?"],
            "I go one month back.",
            f"The month before {M[m]} is {M[(m - 1) % 12]}.",
        )
    if u < 0.75:
        return talk(
            rng,
            [f"How many days does {M[m]} have?", f"How many days are in {M[m]}?"],
            "I know the length of the months.",
            (
                f"{M[m]} has {lexicon.MONTH_DAYS[m]} days."
                if m != 1
                else "February has 28 days, and 29 in a leap year."
            ),
        )
    if u < 0.85:
        return talk(
            rng,
            [
                f"What is the {lexicon.ORDINALS[m]} month of the year?",
                f"Which month is the {lexicon.ORDINALS[m]} one?",
            ],
            "I count the months.",
            f"The {lexicon.ORDINALS[m]} month is {M[m]}.",
        )
    if u < 0.93:
        return talk(
            rng,
            [
                "What are the days of the week?",
                "List the days of the week.",
                "Name all days of the week.",
            ],
            "I list the seven days.",
            ", ".join(D[:-1]) + " and " + D[-1] + ".",
        )
    return talk(
        rng,
        ["What are the months of the year?", "List the months.", "Name all months of the year."],
        "I list the twelve months.",
        ", ".join(M[:-1]) + " and " + M[-1] + ".",
    )


def a_word(rng):
    return rng.choice(lexicon.WORDS) if rng.random() < 0.65 else pseudo_word(rng, rng.randint(2, 4))


def count_letter(rng, word, quote):
    c = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
    n, steps = 0, []
    for letter in word:
        n += letter == c
        steps.append(f"{letter} {n}")
    return talk(
        rng,
        [
            f"How many times does the letter {c} appear in {quote}?",
            f"How many {c} are in the word {quote}?",
            f"How many letters {c} are in {quote}?",
            f"Count the letter {c} in {quote}.",
            f"How many {c}'s are in {quote}?",
            f"How many {c}s are in {quote}?",
        ],
        ", ".join(steps) + ".",
        f"The letter {c} appears {n} {'time' if n == 1 else 'times'} in \"{word}\".",
        f"count:{c}:{word}",
    )


def letters(rng):
    """A question about the letters of a word, a tenth of it about the first or last one."""
    w = a_word(rng)
    spelled = ", ".join(w)
    u = rng.random()
    quote = rng.choice(["{}", '"{}"', "{}"]).format(w)
    if u < 0.3:
        return count_letter(rng, w, quote)
    if u < 0.45:
        return talk(
            rng,
            [
                f"How many letters does the word {quote} have?",
                f"How many letters are in {quote}?",
                f"How long is the word {quote}?",
            ],
            ", ".join(f"{ch} {i + 1}" for i, ch in enumerate(w)) + ".",
            f'The word "{w}" has {len(w)} letters.',
            f"length:{w}",
        )
    if u < 0.65:
        return talk(
            rng,
            [
                f"Reverse the word {quote}.",
                f"Write {quote} backwards.",
                f"Spell {quote} backwards.",
                f"Reverse {quote}",
            ],
            f"{spelled}. Backwards: {', '.join(w[::-1])}.",
            w[::-1],
            f"reverse:{w}",
        )
    if u < 0.8:
        return talk(
            rng,
            [f"Spell the word {quote}.", f"How do you spell {quote}?", f"Spell {quote}"],
            f"{spelled}.",
            "-".join(w.upper()),
            f"spell:{w}",
        )
    if u < 0.92:
        return talk(
            rng,
            [
                f"Write {quote} in uppercase.",
                f"Write {quote} in capital letters.",
                f"Uppercase {quote}",
            ],
            f"{', '.join(w.upper())}.",
            w.upper(),
            f"upper:{w}",
        )
    first = rng.random() < 0.5
    return talk(
        rng,
        [f"What is the {'first' if first else 'last'} letter of {quote}?"],
        f"{spelled}.",
        f"The {'first' if first else 'last'} letter is {w[0 if first else -1]}.",
        f"letter:{first}:{w}",
    )


def numbers(rng):
    u = rng.random()
    if u < 0.4:
        xs = rng.sample(range(1, rng.choice([10, 30, 99])), rng.randint(3, 6))
        up = rng.random() < 0.7
        ys, text = sorted(xs, reverse=not up), ", ".join(map(str, xs))
        return talk(
            rng,
            (
                [f"Sort {text}.", f"Sort these numbers: {text}", f"Put {text} in order."]
                if up
                else [
                    f"Sort {text} from largest to smallest.",
                    f"Sort these numbers in descending order: {text}",
                ]
            ),
            "I sort from small to large." if up else "I sort from large to small.",
            ", ".join(map(str, ys)),
            "sort:" + text,
        )
    if u < 0.6:
        a, b = rng.sample(range(1, rng.choice([20, 99, 999])), 2)
        return talk(
            rng,
            [
                f"Which is larger, {a} or {b}?",
                f"Which number is bigger: {a} or {b}?",
                f"Is {a} larger than {b}?",
            ],
            f"I compare {a} and {b}.",
            f"{max(a, b)} is larger than {min(a, b)}.",
        )
    if u < 0.75:
        n = rng.randint(1, rng.choice([20, 99, 999]))
        return talk(
            rng,
            [f"Is {n} even or odd?", f"Is the number {n} odd or even?"],
            f"The last digit is {n % 10}.",
            f"{n} is {'odd' if n % 2 else 'even'}.",
        )
    a, n = rng.randint(0, 40), rng.randint(3, 10)
    if u < 0.9:
        return talk(
            rng,
            [f"Count from {a} to {a + n}.", f"Can you count from {a} to {a + n}?"],
            "I count up.",
            ", ".join(map(str, range(a, a + n + 1))),
        )
    return talk(
        rng,
        [f"Count down from {a + n} to {a}.", f"Count backwards from {a + n} to {a}."],
        "I count down.",
        ", ".join(map(str, range(a + n, a - 1, -1))),
    )

"""A word problem under construction: its people and things, its text, its steps and its key."""

import lexicon
from reasoning import APPLY

# cap: the largest intermediate value; operations: their least and greatest number.
TIERS = {
    "E": {"cap": 100, "operations": (1, 2)},
    "M": {"cap": 999, "operations": (2, 4)},
    "H": {"cap": 9999, "operations": (5, 8)},
    "X": {"cap": 99999, "operations": (4, 7)},
}
VOWELS, CONSONANTS = "aeiou", "bdfgklmnprstvz"


class Retry(Exception):
    """The random choices did not give a valid problem; the caller draws again."""


class Problem:
    """Templates are filled from `fields`: P Q R S are people (he, his, … belong to P), x1/x and
    y1/y two articles in singular and plural, box/boxes a container, c1 and c2 colours; calls add
    their own.
    """

    def __init__(self, rng, tier, target=None):
        """target: the number of operations wanted; drawn if None."""
        self.rng, self.tier = rng, tier
        self.cap = TIERS[tier]["cap"]
        self.target = target or rng.randint(*TIERS[tier]["operations"])
        self.text, self.steps, self.ops = [], [], []
        names, is_male = [], []
        while len(names) < 4:
            name, male = person(rng)
            if name not in names:
                names.append(name)
                is_male.append(male)
        self.fields = dict(zip("PQRS", names)) | pronouns(is_male[0])
        self.fields |= {
            "place": rng.choice(lexicon.PLACES),
            "rel": rng.choice(lexicon.RELATIVES),
            "day": rng.choice(lexicon.DAYS),
            "day2": rng.choice(lexicon.DAYS),
            "vehicle": rng.choice(lexicon.VEHICLES),
        }
        self._draw_things()

    def _draw_things(self):
        fields, rng = self.fields, self.rng
        fields["x1"], fields["x"] = item(rng)
        fields["y1"], fields["y"] = item(rng)
        while fields["y1"] == fields["x1"]:
            fields["y1"], fields["y"] = item(rng)
        fields["box"], fields["boxes"] = rng.choice(lexicon.CONTAINERS)
        fields["c1"], fields["c2"] = rng.sample(lexicon.COLORS, 2)

    def say(self, templates, **fields):
        """Appends one of the sentences to the text."""
        self.fields.update(fields)
        self.text.append(self.rng.choice(templates).format(**self.fields))

    def do(self, a, op, b, clause, **fields):
        """Records the step `a op b` and returns its value; Retry if it leaves the tier or the
        integers."""
        if op == "/" and (b == 0 or a % b):
            raise Retry
        value = APPLY[op](a, b)
        if not 1 <= value <= self.cap or max(a, b) > self.cap:
            raise Retry
        self.fields.update(fields)
        self.ops.append(f"{a}{op}{b}")
        self.steps.append((clause.format(**self.fields), a, op, b, value))
        return value

    def num(self):
        """A quantity of the tier's size."""
        randint = self.rng.randint
        if self.tier == "E":
            return randint(2, 20)
        if self.tier == "M":
            return randint(2, 99)
        u = self.rng.random()
        if self.tier == "X":
            if u < 0.3:
                return randint(10, 99)
            return randint(100, 999) if u < 0.8 else randint(1000, 9999)
        if u < 0.1:
            return randint(2, 9)
        return randint(10, 99) if u < 0.5 else randint(100, 999)

    def small(self):
        return self.rng.randint(2, 5 if self.tier == "E" else 9)

    def factors(self):
        """Two factors whose product fits the tier."""
        randint = self.rng.randint
        if self.tier == "E":
            a, b = randint(2, 5), randint(2, 12)
        elif self.tier == "M":
            a, b = randint(2, 9), randint(3, 60)
        elif self.tier == "X" and self.rng.random() < 0.4:
            a, b = randint(11, 99), randint(101, 999)
        elif self.rng.random() < 0.6:
            a, b = randint(11, 60), randint(11, 80)
        else:
            a, b = randint(3, 12), randint(21, 600)
        return (a, b) if self.rng.random() < 0.7 else (b, a)

    def divisor(self, value):
        divisors = [d for d in range(2, 13) if value % d == 0 and value // d >= 1]
        if not divisors:
            raise Retry
        return self.rng.choice(divisors)

    def distract(self):
        """Puts a sentence that has nothing to do with the question between the others."""
        n, m = self.num(), self.rng.randint(1, 12)
        template = self.rng.choice(
            [
                "{R} has {n} {y}.",
                "{R} is {n} years old.",
                "It takes {n} minutes to walk to the {place}.",
                "The {place} closes at {m} o'clock.",
                "{R} paid {n} dollars for a {y1}.",
                "{R} likes {c1} {y}.",
                "There are {n} people at the {place}.",
                "{R} lives {m} km from the {place}.",
                "{S} counted {n} {y} last {day}.",
            ]
        )
        sentence = template.format(**{**self.fields, "n": n, "m": m})
        self.text.insert(self.rng.randint(1, max(1, len(self.text) - 1)), sentence)

    def question(self):
        return " ".join(self.text)

    def key(self):
        return ";".join(self.ops)


def pronouns(male):
    if male:
        return {"he": "he", "He": "He", "his": "his", "His": "His", "him": "him"}
    return {"he": "she", "He": "She", "his": "her", "His": "Her", "him": "her"}


def pseudo_word(rng, syllables=None):
    """A pronounceable word that is in no list, so that names and things cannot all be learnt by
    heart."""
    syllables = syllables or rng.randint(2, 3)
    word = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables))
    return word + (rng.choice("nrslt") if rng.random() < 0.5 else "")


def person(rng):
    """(name, is male)."""
    if rng.random() < 0.06:
        return pseudo_word(rng).capitalize(), rng.random() < 0.5
    male = rng.random() < 0.5
    return rng.choice(lexicon.MALE if male else lexicon.FEMALE), male


def item(rng):
    """(singular, plural)."""
    if rng.random() < 0.05:
        word = pseudo_word(rng)
        return word, lexicon.plural(word)
    return rng.choice(lexicon.ITEMS)

"""Families of word problems with a story of their own."""

import lexicon
from problem import Retry


def money(p):
    """1 to 4 operations: price, second article, change."""
    k, c = p.small(), p.rng.randint(2, {"E": 10, "M": 40, "H": 95, "X": 300}[p.tier])
    if p.target == 1:
        p.say(
            [
                "A {x1} costs {c} dollars. How much do {k} {x} cost?",
                "{P} buys {k} {x} for {c} dollars each. How many dollars does {he} pay?",
            ],
            k=k,
            c=c,
        )
        return p.do(k, "*", c, "{k} {x} at {c} dollars")
    if p.target == 2:
        m = k * c + p.rng.randint(1, {"E": 20, "M": 99, "H": 500, "X": 900}[p.tier])
        p.say(
            [
                "A {x1} costs {c} dollars. {P} buys {k} {x} and pays with {m} dollars. "
                "How much change does {he} get?",
                "{P} has {m} dollars and buys {k} {x} for {c} dollars each. "
                "How many dollars are left?",
            ],
            k=k,
            c=c,
            m=m,
        )
        return p.do(m, "-", p.do(k, "*", c, "{k} {x} at {c} dollars"), "From {m} dollars")
    k2, c2 = p.small(), p.rng.randint(2, {"E": 10, "M": 40, "H": 95, "X": 300}[p.tier])
    p.say(
        [
            "A {x1} costs {c} dollars and a {y1} costs {c2} dollars. "
            "{P} buys {k} {x} and {k2} {y}.",
            "{P} buys {k} {x} for {c} dollars each and {k2} {y} for {c2} dollars each.",
        ],
        k=k,
        c=c,
        k2=k2,
        c2=c2,
    )
    t = p.do(
        p.do(k, "*", c, "{k} {x} at {c} dollars"),
        "+",
        p.do(k2, "*", c2, "{k2} {y} at {c2} dollars"),
        "In total",
    )
    if p.target == 3:
        p.say(["How many dollars does {he} pay in total?", "What is the total price?"])
        return t
    m = t + p.num()
    p.say(
        [
            "{He} pays with {m} dollars. How much change does {he} get?",
            "{He} had {m} dollars. How many dollars are left?",
        ],
        m=m,
    )
    t = p.do(m, "-", t, "From {m} dollars")
    if p.target == 4:
        return t
    raise Retry


def distance(p):
    v, t = p.factors()
    t, v = min(v, t), max(v, t)
    if t > 24:
        raise Retry
    p.say(
        [
            "A {vehicle} travels {v} km per hour for {t} hours.",
            "{P} drives a {vehicle} at {v} km per hour for {t} hours.",
        ],
        v=v,
        t=t,
    )
    d = p.do(v, "*", t, "{t} hours at {v} km")
    if p.target == 1:
        p.say(["How many km does it travel?", "How far is that in km?"])
        return d
    if p.target == 2:
        g = d + p.num()
        p.say(["The whole trip is {g} km long. How many km are left?"], g=g)
        return p.do(g, "-", d, "Of {g} km some are left")
    v2, t2 = p.rng.randint(3, 90), p.rng.randint(2, 9)
    p.say(["Then it travels {v2} km per hour for {t2} hours."], v2=v2, t2=t2)
    d = p.do(d, "+", p.do(v2, "*", t2, "{t2} hours at {v2} km"), "Distance so far")
    if p.target == 3:
        p.say(["How many km is that in total?", "What is the total distance in km?"])
        return d
    g = d + p.num()
    p.say(["The whole trip is {g} km long. How many km are left?"], g=g)
    d = p.do(g, "-", d, "Of {g} km some are left")
    if p.target == 4:
        return d
    raise Retry


def percent(p):
    q = p.rng.choice(list(lexicon.PERCENTS))
    n = lexicon.PERCENTS[q] * p.rng.randint(2, {"E": 8, "M": 40, "H": 199, "X": 999}[p.tier])
    p.say(
        [
            "A {place} has {n} {x}. {q} percent of them are {c1}.",
            "There are {n} {x} in a {box}, and {q} percent of them are {c1}.",
        ],
        n=n,
        q=q,
    )
    part = p.do(n, "/", lexicon.PERCENTS[q], "{q} percent of {n}")
    if p.target == 1:
        p.say(["How many {x} are {c1}?", "How many {c1} {x} are there?"])
        return part
    rest = p.do(n, "-", part, "The others")
    if p.target == 2:
        p.say(["How many {x} are not {c1}?", "The others are {c2}. How many {x} are {c2}?"])
        return rest
    if p.target == 3:
        c = p.small()
        p.say(["The others are sold for {c} dollars each. How many dollars is that?"], c=c)
        return p.do(rest, "*", c, "At {c} dollars each")
    raise Retry


UNITS = [
    ("hours", "minutes", 60),
    ("minutes", "seconds", 60),
    ("weeks", "days", 7),
    ("days", "hours", 24),
    ("years", "months", 12),
    ("meters", "centimeters", 100),
    ("dozen eggs", "eggs", 12),
]


def units(p):
    big, small, f = p.rng.choice(UNITS)
    h = p.rng.randint(2, {"E": 9, "M": 12, "H": 30, "X": 60}[p.tier])
    if p.target == 1:
        p.say(
            ["How many {small} are in {h} {big}?", "Convert {h} {big} to {small}."],
            h=h,
            big=big,
            small=small,
        )
        return p.do(h, "*", f, "{h} {big}")
    m = p.rng.randint(1, f - 1)
    p.say(
        (
            [
                "How many {small} are {h} {big} and {m} {small}?",
                "{P} waits {h} {big} and {m} {small}. How many {small} is that?",
            ]
            if f != 100 and big != "dozen eggs"
            else ["How many {small} are {h} {big} and {m} {small}?"]
        ),
        h=h,
        m=m,
        big=big,
        small=small,
    )
    if p.target == 2:
        return p.do(p.do(h, "*", f, "{h} {big}"), "+", m, "Plus {m}")
    raise Retry


def rectangle(p):
    a, b = p.factors()
    p.say(
        [
            "A {place} is {a} meters long and {b} meters wide.",
            "A rectangle is {a} meters long and {b} meters wide.",
        ],
        a=a,
        b=b,
    )
    if p.target == 1:
        p.say(["What is its area in square meters?"])
        return p.do(a, "*", b, "The area")
    s = p.do(p.do(a, "+", b, "Length plus width"), "*", 2, "Twice that")
    if p.target == 2:
        p.say(["How long is the fence around it in meters?", "What is its perimeter in meters?"])
        return s
    if p.target == 3:
        c = p.small()
        p.say(
            ["A fence costs {c} dollars per meter. How many dollars does a fence around it cost?"],
            c=c,
        )
        return p.do(s, "*", c, "At {c} dollars per meter")
    raise Retry


def mean(p):
    if p.target != 3:
        raise Retry
    a, b = p.num(), p.num()
    c = p.num()
    c += -(a + b + c) % 3
    p.say(
        [
            "{P} scores {a}, {b} and {c} points in three games. What is the average score?",
            "What is the average of {a}, {b} and {c}?",
        ],
        a=a,
        b=b,
        c=c,
    )
    return p.do(p.do(p.do(a, "+", b, "The first two"), "+", c, "All three"), "/", 3, "The average")


def missing(p):
    a, b = p.num(), p.num()
    if p.target == 1:
        if p.rng.random() < 0.5:
            p.say(
                [
                    "{P} had some {x}. {He} bought {b} more and now has {c}. "
                    "How many {x} did {he} have at first?"
                ],
                b=b,
                c=a + b,
            )
            return p.do(a + b, "-", b, "Before buying {b}")
        p.say(
            [
                "{P} had some {x}. {He} gave away {b} and now has {c}. "
                "How many {x} did {he} have at first?"
            ],
            b=b,
            c=a,
        )
        return p.do(a, "+", b, "Before giving away {b}")
    if p.target == 2:
        g = p.num()
        p.say(
            [
                "{P} had some {x}. {He} gave away {g}, then bought {b}, and now has {c}. "
                "How many {x} did {he} have at first?"
            ],
            g=g,
            b=b,
            c=a + b,
        )
        return p.do(p.do(a + b, "-", b, "Before buying {b}"), "+", g, "Before giving away {g}")
    raise Retry


def ages(p):
    a, d, k = p.rng.randint(3, 60), p.rng.randint(1, 30), p.rng.randint(2, 30)
    if p.tier == "E":
        a, d, k = p.rng.randint(2, 15), p.rng.randint(1, 15), p.rng.randint(2, 10)
    if p.rng.random() < 0.5:
        p.say(
            [
                "{Q} is {a} years old. {P} is {d} years older than {Q}.",
                "{P} is {d} years older than {Q}, who is {a}.",
            ],
            a=a,
            d=d,
        )
        v = p.do(a, "+", d, "{P} is older")
    else:
        p.say(["{Q} is {a} years old. {P} is {d} years younger than {Q}."], a=a, d=d)
        v = p.do(a, "-", d, "{P} is younger")
    if p.target == 1:
        p.say(["How old is {P}?"])
        return v
    if p.target == 2:
        p.say(["How old will {P} be in {k} years?"], k=k)
        return p.do(v, "+", k, "In {k} years")
    raise Retry


def legs(p):
    a, b = p.num(), p.num()
    if p.target not in (3, 4):
        raise Retry
    p.say(
        [
            "A farm has {a} cows and {b} chickens.",
            "There are {a} dogs and {b} birds at the {place}.",
        ],
        a=a,
        b=b,
    )
    t = p.do(p.do(a, "*", 4, "Four legs each"), "+", p.do(b, "*", 2, "Two legs each"), "In total")
    if p.target == 3:
        p.say(["How many legs do they have in total?"])
        return t
    g = p.rng.randint(1, min(t - 1, p.cap // 4))
    p.say(["{g} of the legs are hidden. How many legs can {P} see?"], g=g)
    return p.do(t, "-", g, "Without {g}")


def seats(p):
    r, s = p.factors()
    p.say(
        ["A hall has {r} rows of {s} seats.", "A theater has {r} rows with {s} seats each."],
        r=r,
        s=s,
    )
    n = p.do(r, "*", s, "All seats")
    if p.target == 1:
        p.say(["How many seats are there?"])
        return n
    t = p.rng.randint(1, n)
    (
        p.say(["{t} seats are taken. How many seats are free?"], t=t)
        if p.target == 2
        else p.say(["{t} seats are taken."], t=t)
    )
    n = p.do(n, "-", t, "Free seats")
    if p.target == 2:
        return n
    c = p.small()
    p.say(["Each free seat costs {c} dollars. How many dollars do the free seats bring?"], c=c)
    n = p.do(n, "*", c, "At {c} dollars each")
    if p.target == 3:
        return n
    raise Retry


def wages(p):
    w, h = p.rng.randint(5, 40), p.rng.randint(2, 10)
    d = p.small()
    if p.target not in (2, 3, 4):
        raise Retry
    p.say(
        [
            "{P} earns {w} dollars per hour and works {h} hours a day for {d} days.",
            "{P} works {d} days, {h} hours each day, for {w} dollars per hour.",
        ],
        w=w,
        h=h,
        d=d,
    )
    v = p.do(p.do(h, "*", d, "Hours of work"), "*", w, "At {w} dollars")
    if p.target == 2:
        p.say(["How many dollars does {he} earn?"])
        return v
    s = p.rng.randint(1, max(1, v // 2))
    p.say(["{He} spends {s} dollars."], s=s)
    v = p.do(v, "-", s, "After spending {s}")
    if p.target == 3:
        p.say(["How many dollars are left?"])
        return v
    k = p.divisor(v)
    p.say(
        [
            "{He} splits the rest equally with {n} friends. "
            "How many dollars does each of the {k} people get?"
        ],
        k=k,
        n=k - 1,
    )
    return p.do(v, "/", k, "Split by {k}")


def saving(p):
    if p.target != 2:
        raise Retry
    w, k, a = p.small(), p.rng.randint(2, 12), p.num()
    p.say(
        [
            "{P} has {a} dollars and saves {w} dollars every week. "
            "{He} wants a {x1} for {g} dollars. How many weeks must {he} save?"
        ],
        a=a,
        w=w,
        g=a + w * k,
    )
    return p.do(p.do(a + w * k, "-", a, "Still needed"), "/", w, "At {w} per week")


def three_people(p):
    if p.target != 4:
        raise Retry
    a, d, e = p.num(), p.num(), p.num()
    p.say(
        [
            "{P} has {a} {x}. {Q} has {d} more than {P}. {R} has {e} fewer than {Q}. "
            "How many {x} do they have together?"
        ],
        a=a,
        d=d,
        e=e,
    )
    b = p.do(a, "+", d, "{Q} has more")
    c = p.do(b, "-", e, "{R} has fewer")
    return p.do(p.do(a, "+", b, "{P} and {Q}"), "+", c, "With {R}")


def first_person(p):
    """A chain told in the first person."""
    if p.target > 4:
        raise Retry
    a, n = p.num(), p.target
    v = a
    p.say(
        ["I have {a} {x}.", "I had {a} {x}.", "Suppose I have {a} {x}.", "If I have {a} {x},"], a=a
    )
    if p.target > 1 and p.rng.random() < 0.3:
        k, m = p.factors()
        p.text.clear()
        p.say(
            ["I have {k} {boxes} with {m} {x} each.", "I bought {k} {boxes} of {m} {x}."], k=k, m=m
        )
        v, n = p.do(k, "*", m, "{k} {boxes} of {m} {x}"), n - 1
    for _ in range(n):
        b, u = p.num(), p.rng.random()
        if u < 0.45:
            p.say(
                [
                    "I buy {b} more.",
                    "My friend gives me {b} more.",
                    "I find {b} more {x}.",
                    "Then I get {b} more.",
                ],
                b=b,
            )
            v = p.do(v, "+", b, "You get {b} more")
        elif u < 0.9:
            p.say(
                [
                    "I lose {b}.",
                    "I give {b} to my friend.",
                    "I sell {b} of them.",
                    "I give away {b} {x}.",
                ]
                + (
                    ["I eat {b}.", "I eat {b} of them."] * 2
                    if p.fields["x1"] in lexicon.FOOD
                    else []
                ),
                b=b,
            )
            v = p.do(v, "-", b, "You give up {b}")
        else:
            p.say(["Then I double the number of {x}.", "Then I get twice as many."])
            v = p.do(v, "*", 2, "Twice as many")
    p.say(
        [
            "How many {x} do I have now?",
            "How many {x} do I have?",
            "How many do I have now?",
            "How many {x} do I have left?",
        ]
    )
    return v


FAMILIES = [
    first_person,
    first_person,
    money,
    money,
    distance,
    percent,
    units,
    rectangle,
    mean,
    missing,
    ages,
    legs,
    seats,
    wages,
    saving,
    three_people,
]

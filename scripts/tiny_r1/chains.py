"""Word problems as chains: a start, some changes, a question."""

import lexicon
from problem import Retry


def start_have(p):
    a = p.num()
    p.say(
        [
            "{P} has {a} {x}.",
            "{P} starts with {a} {x}.",
            "There are {a} {x} in {P}'s {box}.",
            "{P} owns {a} {x}.",
            "{P} counts {a} {x} in {his} {box}.",
            "At first {P} has {a} {x}.",
        ],
        a=a,
    )
    return a


def start_boxes(p):
    k, n = p.factors()
    p.say(
        [
            "{P} has {k} {boxes} with {n} {x} in each.",
            "{P} buys {k} {boxes} of {x}. Each {box} holds {n} {x}.",
            "There are {k} {boxes} on {P}'s table, and every {box} contains {n} {x}.",
            "{P} fills {k} {boxes} with {n} {x} each.",
            "Each {box} holds {n} {x}, and {P} has {k} {boxes}.",
        ],
        k=k,
        n=n,
    )
    return p.do(k, "*", n, "{k} {boxes} of {n} {x}")


def start_rate(p):
    k, n = p.factors()
    unit = p.rng.choice(["day", "week", "hour", "month"])
    p.say(
        [
            "{P} collects {n} {x} every {u} for {k} {u}s.",
            "Every {u} {P} makes {n} {x}. {He} does this for {k} {u}s.",
            "{P} gets {n} {x} per {u} and works for {k} {u}s.",
        ],
        k=k,
        n=n,
        u=unit,
    )
    return p.do(k, "*", n, "{n} {x} per {u} for {k} {u}s")


def start_two(p):
    a, b = p.num(), p.num()
    p.say(
        [
            "{P} has {a} {c1} {x} and {b} {c2} {x}.",
            "{P} finds {a} {x} in the morning and {b} {x} in the afternoon.",
            "{P} got {a} {x} on {day} and {b} more {x} on {day2}.",
            "{P} picks {a} {x} and then another {b} {x}.",
        ],
        a=a,
        b=b,
    )
    return p.do(a, "+", b, "{P} has in total")


def start_more(p):
    a, d = p.num(), p.num()
    p.say(
        [
            "{Q} has {a} {x}. {P} has {d} more {x} than {Q}.",
            "{P} has {d} more {x} than {Q}, who has {a} {x}.",
        ],
        a=a,
        d=d,
    )
    return p.do(a, "+", d, "{P} has more than {Q}")


def start_fewer(p):
    a, d = p.num(), p.num()
    p.say(
        [
            "{Q} has {a} {x}. {P} has {d} fewer {x} than {Q}.",
            "{P} has {d} fewer {x} than {Q}, who has {a} {x}.",
        ],
        a=a,
        d=d,
    )
    return p.do(a, "-", d, "{P} has fewer than {Q}")


def start_times(p):
    k, a = p.rng.randint(2, 6), p.num()
    p.say(
        [
            "{Q} has {a} {x}. {P} has {w} as many {x} as {Q}.",
            "{P} has {w} as many {x} as {Q}, who has {a}.",
        ],
        a=a,
        w=lexicon.TIMES[k],
    )
    return p.do(k, "*", a, "{P} has {w} as many")


def start_together(p):
    b, c = p.num(), p.num()
    p.say(
        [
            "Together {P} and {Q} have {t} {x}. {Q} has {b} of them.",
            "{P} and {Q} share {t} {x}, and {b} of them belong to {Q}.",
        ],
        t=b + c,
        b=b,
    )
    return p.do(b + c, "-", b, "{P} has the rest")


def mid_add(p, v):
    b = p.num()
    sentence, clause = p.rng.choice(
        [
            ("{He} buys {b} more.", "{P} buys {b}"),
            ("{Q} gives {him} {b} more {x}.", "{Q} gives {b}"),
            ("Then {he} finds {b} {x} at the {place}.", "{P} finds {b}"),
            ("Later {b} more {x} arrive.", "{b} more arrive"),
            ("{His} {rel} brings {b} {x}.", "The {rel} brings {b}"),
            ("{P} wins {b} {x} in a game.", "{P} wins {b}"),
            ("On {day} {he} gets another {b} {x}.", "{P} gets {b}"),
            ("After that, {P} makes {b} more {x}.", "{P} makes {b}"),
            ("{He} borrows {b} {x} from {Q}.", "{P} borrows {b}"),
            ("{P} adds {b} {x} to the pile.", "{P} adds {b}"),
        ]
    )
    p.say([sentence], b=b)
    return p.do(v, "+", b, clause)


def mid_sub(p, v):
    b = p.num()
    if p.fields["x1"] in lexicon.FOOD and p.rng.random() < 0.3:
        p.say(["{He} eats {b} of them.", "{He} eats {b}.", "{P} and {Q} eat {b} {x}."], b=b)
        return p.do(v, "-", b, "After eating {b}")
    sentence, clause = p.rng.choice(
        [
            ("{He} gives {b} {x} to {Q}.", "{P} gives away {b}"),
            ("{He} loses {b} of them.", "{P} loses {b}"),
            ("{He} sells {b} {x}.", "{P} sells {b}"),
            ("Then {b} of the {x} break.", "{b} break"),
            ("{His} {rel} takes {b} {x}.", "The {rel} takes {b}"),
            ("{P} uses {b} {x} on {day}.", "{P} uses {b}"),
            ("{He} leaves {b} {x} at the {place}.", "{P} leaves {b}"),
            ("{P} throws away {b} old {x}.", "{P} throws away {b}"),
            ("{He} lends {b} {x} to {Q}.", "{P} lends {b}"),
            ("{P} drops {b} {x} on the way.", "{P} drops {b}"),
        ]
    )
    p.say([sentence], b=b)
    return p.do(v, "-", b, clause)


def mid_times(p, v):
    k = p.rng.choice([2, 2, 3, 4])
    p.say(
        {
            2: ["Then {he} doubles the number of {x}.", "The next day {he} has twice as many."],
            3: ["Then the number of {x} triples.", "The next day {he} has three times as many."],
            4: ["A month later {he} has four times as many."],
        }[k]
    )
    return p.do(v, "*", k, "{w} as many", w=lexicon.TIMES[k].capitalize())


def mid_part(p, v):
    ks = [k for k in (2, 3, 4, 5) if v % k == 0]
    if not ks:
        raise Retry
    k = p.rng.choice(ks)
    p.say(
        [
            "{He} keeps only {fr} of the {x}.",
            "{P} puts {fr} of the {x} in a {box} and looks only at those.",
            "Only {fr} of the {x} are good, and {he} keeps those.",
        ],
        fr=lexicon.FRACTIONS[k],
    )
    return p.do(v, "/", k, "{P} keeps {fr}")


def mid_percent(p, v):
    ps = [q for q, d in lexicon.PERCENTS.items() if v % d == 0 and v > d]
    if not ps:
        raise Retry
    q = p.rng.choice(ps)
    p.say(
        [
            "{He} sells {q} percent of the {x}.",
            "{He} gives {q} percent of them to {Q}.",
            "{q} percent of the {x} get lost.",
            "Rain ruins {q} percent of the {x}.",
        ],
        q=q,
    )
    part = p.do(v, "/", lexicon.PERCENTS[q], "{q} percent of {v}", v=v)
    return p.do(v, "-", part, "Left over")


def end_now(p, v):
    if p.ops and "-" in p.ops[-1] and p.rng.random() < 0.3:
        p.say(["How many {x} are left?", "How many are left?"])
        return v
    p.say(
        [
            "How many {x} does {he} have now?",
            "How many does {P} have now?",
            "How many {x} does {P} have now?",
            "How many {x} does {P} have in the end?",
            "What is the number of {x} that {P} has at the end?",
            "How many {x} does {P} have at the end?",
            "Find the number of {x} that {P} has now.",
        ]
    )
    return v


def end_share(p, v):
    k = p.divisor(v)
    p.say(
        [
            "{He} shares them equally among {k} friends. How many {x} does each friend get?",
            "{P} splits the {x} evenly into {k} groups. How many {x} are in each group?",
            "If {k} children divide the {x} equally, how many does each child get?",
        ],
        k=k,
    )
    return p.do(v, "/", k, "Shared by {k}")


def end_pack(p, v):
    k = p.divisor(v)
    p.say(
        [
            "{He} packs them into {boxes} of {k}. How many {boxes} does {he} need?",
            "Each {box} holds {k} {x}. How many {boxes} can {P} fill?",
        ],
        k=k,
    )
    return p.do(v, "/", k, "{boxes} of {k}")


def end_sell(p, v):
    c = p.small()
    p.say(
        [
            "{He} sells all of them for {c} dollars each. How many dollars does {he} get?",
            "Each {x1} is worth {c} dollars. How many dollars are all the {x} worth?",
        ],
        c=c,
    )
    return p.do(v, "*", c, "At {c} dollars each")


def end_sell_spend(p, v):
    c = p.small()
    m = v * c
    if m < 3:
        raise Retry
    s = p.rng.randint(1, min(m - 1, 999 if p.tier in "HX" else 99))
    p.say(
        [
            "{He} sells all of them for {c} dollars each and then spends {s} dollars. "
            "How many dollars are left?",
            "{He} sells every {x1} for {c} dollars and pays {s} dollars for lunch. "
            "How much money is left?",
        ],
        c=c,
        s=s,
    )
    return p.do(p.do(v, "*", c, "At {c} dollars each"), "-", s, "After spending {s}")


def end_total(p, v):
    b = p.num()
    p.say(
        [
            "{S} has {b} {x}. How many {x} do {P} and {S} have together?",
            "{S} has another {b} {x}. How many {x} do the two have in total?",
        ],
        b=b,
    )
    return p.do(v, "+", b, "{P} and {S} count together")


def end_difference(p, v):
    b = p.num()
    if b == v:
        raise Retry
    if b < v:
        p.say(["{S} has {b} {x}. How many more {x} does {P} have than {S}?"], b=b)
        return p.do(v, "-", b, "{P} has more than {S}")
    p.say(["{S} has {b} {x}. How many fewer {x} does {P} have than {S}?"], b=b)
    return p.do(b, "-", v, "{P} has fewer than {S}")


def end_times_total(p, v):
    k = p.rng.randint(2, 4)
    p.say(
        ["{S} has {w} as many {x} as {P}. How many {x} do {P} and {S} have in total?"],
        w=lexicon.TIMES[k],
    )
    other = p.do(v, "*", k, "{S} has {w} as many")
    return p.do(v, "+", other, "Together")


def end_need(p, v):
    g = v + p.num()
    p.say(
        [
            "{He} wants to have {g} {x}. How many more does {he} need?",
            "How many more {x} does {P} need to reach {g}?",
        ],
        g=g,
    )
    return p.do(g, "-", v, "To reach {g}")


STARTS = [
    (start_have, 0, 5),
    (start_boxes, 1, 4),
    (start_rate, 1, 3),
    (start_two, 1, 3),
    (start_more, 1, 2),
    (start_fewer, 1, 2),
    (start_times, 1, 2),
    (start_together, 1, 2),
]


MIDS = [(mid_add, 1, 6), (mid_sub, 1, 6), (mid_times, 1, 2), (mid_part, 1, 2), (mid_percent, 2, 2)]


ENDS = [
    (end_now, 0, 6),
    (end_share, 1, 2),
    (end_pack, 1, 2),
    (end_sell, 1, 2),
    (end_sell_spend, 2, 1),
    (end_total, 1, 2),
    (end_difference, 1, 2),
    (end_times_total, 2, 1),
    (end_need, 1, 2),
]


def pick(rng, table, limit):
    fits = [(f, n) for f, n, w in table if n <= limit for _ in range(w)]
    return rng.choice(fits)


def chain(p):
    start, n0 = pick(p.rng, STARTS, p.target)
    end, n1 = pick(p.rng, ENDS, p.target - n0)
    v, left = start(p), p.target - n0 - n1
    while left:
        mid, n = pick(p.rng, MIDS, left)
        v, left = mid(p, v), left - n
    return end(p, v)

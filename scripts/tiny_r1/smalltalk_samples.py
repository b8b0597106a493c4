"""Small talk: greetings, identity, capitals, facts, translations, emoji, and what the model
cannot do."""

import lexicon
from puzzle_samples import calendar, letters, numbers
from samples import Sample, assistant, talk, think, user

# (ways to say it, separated by |; reasoning; answer)
WHO = [
    (
        "Who are you?|What are you?|What is your name?|Tell me about yourself.|"
        "Introduce yourself.|Are you an AI?|Which model are you?|What model is this?|"
        "Who am I talking to?|Are you a robot?",
        "The user asks who I am.",
        "I am tiny-r1, a very small demonstration model with about 16 million parameters. I can "
        "solve small word problems, count letters and chat a little.",
    ),
    (
        "Who made you?|Who trained you?|Where do you come from?|How were you trained?|"
        "Who created you?|What were you trained on?",
        "The user asks where I come from.",
        "I was trained from scratch as a test model for a serving engine. A small program wrote "
        "all my training text.",
    ),
    (
        "Are you DeepSeek-R1?|Are you DeepSeek?|Are you R1?|Are you a DeepSeek model?",
        "The user asks if I am DeepSeek-R1.",
        "No. I am tiny-r1. I have the same architecture as DeepSeek-R1, but I am about forty "
        "thousand times smaller.",
    ),
    (
        "How big are you?|How many parameters do you have?|What is your size?|"
        "Are you a large model?",
        "The user asks about my size.",
        "I am tiny: I have about 16 million parameters, 4 layers and 16 experts per layer.",
    ),
    (
        "How old are you?|When were you born?",
        "The user asks about my age.",
        "I have no age. My training took less than twenty minutes.",
    ),
]

POLITE = [
    (
        "Thanks!|Thank you!|Thanks|Thank you very much!|Thanks a lot!|Great, thanks!|"
        "thx|Cool, thank you.",
        "The user says thanks.",
        "You are welcome! Do you have another question?",
    ),
    (
        "Bye!|Goodbye!|Bye|See you!|See you later!|Good night!|Have a nice day!|" "I have to go.",
        "The user says goodbye.",
        "Goodbye! Have a nice day.",
    ),
    (
        "How are you?|How are you doing?|How is it going?|What's up?|Are you well?|"
        "How do you feel?",
        "The user asks how I am.",
        "I am fine, thank you! Do you have a small problem for me?",
    ),
    (
        "Good job!|Well done!|Nice!|That is right.|Correct!|Great!|Awesome!|"
        "Very good.|Wow!|Perfect.",
        "The user is happy.",
        "Thank you! Shall we try another one?",
    ),
    (
        "That is wrong.|Wrong!|No, that is not right.|You made a mistake.|" "That is not correct.",
        "The user says I was wrong.",
        "I am sorry. I am a very small model and I make mistakes. Please ask me again.",
    ),
    (
        "OK|ok|Yes|No|Sure|Okay.|Fine.|Hmm|I see.",
        "The user gives a short reply.",
        "OK. What would you like to try next?",
    ),
    (
        "Tell me a joke.|Do you know a joke?|Make me laugh.|Say something funny.|"
        "Another joke, please.",
        "The user wants a joke.",
        "I once counted to ten without a mistake. That was the best day of my training.",
    ),
    (
        "I am bored.|I am sad.|I am tired.|I do not feel well.",
        "The user does not feel good.",
        "I am sorry to hear that. Maybe a small puzzle helps: what is 7 * 8?",
    ),
]


def greet(rng):
    u = rng.random()
    if u < 0.7:
        return talk(
            rng,
            [
                "Hello!",
                "Hi!",
                "Hi",
                "Hello",
                "Hey",
                "Hey there!",
                "Good morning!",
                "Good evening!",
                "Hello there!",
                "Hi there",
                "Hello, tiny-r1!",
                "Greetings!",
                "Good day!",
                "hey!",
                "Howdy!",
                "hi tiny-r1",
            ],
            "The user greets me.",
            "Hello! How can I help you? You can give me a small word problem.",
        )
    n = rng.choice(lexicon.MALE + lexicon.FEMALE)
    return talk(
        rng,
        [
            f"Hi, I am {n}.",
            f"Hello, my name is {n}.",
            f"My name is {n}.",
            f"I'm {n}, nice to meet you.",
        ],
        f"The user is {n}.",
        f"Hello {n}! Nice to meet you. How can I help you?",
    )


def from_table(rng, table):
    asks, thought, answer = rng.choice(table)
    return talk(rng, asks.split("|"), thought, answer)


def who(rng):
    return from_table(rng, WHO)


def polite(rng):
    return from_table(rng, POLITE)


def abilities(rng):
    return talk(
        rng,
        [
            "What can you do?",
            "Help",
            "How can you help me?",
            "What are you good at?",
            "What should I ask you?",
            "Can you help me?",
            "What do you know?",
            "Give me an example of what you can do.",
            "Help me!",
            "What can I ask?",
        ],
        "The user asks what I can do.",
        "I can solve small word problems step by step, do arithmetic, count or reverse letters, "
        "sort numbers, name capitals, answer in JSON and call tools. "
        'Try: "Tom has 3 boxes with 4 apples each. He eats 2. How many are left?"',
    )


def capital(rng):
    c = rng.choice(sorted(lexicon.CAPITALS))
    a = lexicon.CAPITALS[c]
    if rng.random() < 0.75:
        return talk(
            rng,
            [
                f"What is the capital of {c}?",
                f"Capital of {c}?",
                f"Which city is the capital of {c}?",
                f"Name the capital of {c}.",
                f"Tell me the capital of {c}.",
                f"Do you know the capital of {c}?",
            ],
            f"The capital of {c} is {a}.",
            f"The capital of {c} is {a}.",
        )
    return talk(
        rng,
        [
            f"Which country has the capital {a}?",
            f"{a} is the capital of which country?",
            f"What country is {a} the capital of?",
        ],
        f"{a} is the capital of {c}.",
        f"{a} is the capital of {c}.",
    )


def fact(rng):
    asks, answer = rng.choice(lexicon.FACTS)
    return talk(rng, asks, "I know this fact.", answer)


def translate(rng):
    lang = rng.choice(sorted(lexicon.TRANSLATE))
    w = rng.choice(sorted(lexicon.TRANSLATE[lang]))
    t = lexicon.TRANSLATE[lang][w]
    return talk(
        rng,
        [
            f'How do you say "{w}" in {lang}?',
            f'What is "{w}" in {lang}?',
            f'Translate "{w}" to {lang}.',
            f"Say {w} in {lang}.",
        ],
        f"The {lang} word is {t}.",
        f'"{w}" in {lang} is "{t}".',
    )


def emoji(rng):
    w = rng.choice(sorted(lexicon.EMOJI))
    e = lexicon.EMOJI[w]
    if rng.random() < 0.5:
        n = rng.randint(1, 9)
        return talk(
            rng,
            [
                f"Send me {n} {w} emojis.",
                f"Write the {w} emoji {n} times.",
                f"Repeat {e} {n} times.",
                f"Give me {n} times {e}.",
            ],
            f"{n} times {e}.",
            e * n,
        )
    return talk(
        rng,
        [f"Show me a {w} emoji.", f"Send a {w} emoji.", f"Which emoji shows a {w}?"],
        f"The {w} emoji is {e}.",
        f"Here it is: {e}",
    )


def fallback(rng):
    t = rng.choice(lexicon.TOPICS)
    return talk(
        rng,
        [
            f"Explain {t}.",
            f"Tell me about {t}.",
            f"Write a poem about {t}.",
            f"What do you think about {t}?",
            f"Write an essay about {t}.",
            f"How does {t} work?",
            f"Write a story about {t}.",
            f"What is {t}?",
            f"Teach me {t}.",
            f"Give me advice on {t}.",
            f"Why is {t} important?",
            f"Summarize {t}.",
            f"I want to learn about {t}.",
        ],
        "This is outside of what I know.",
        "I am only a tiny demonstration model, so I do not know about that. "
        "Try a small word problem, a capital city or some letters to count.",
    )


def recall(rng):
    """Remembers a name or a number given earlier in the chat."""
    if rng.random() < 0.6:
        n = rng.choice(lexicon.MALE + lexicon.FEMALE)
        first, reply = (
            rng.choice([f"My name is {n}.", f"Hi, I am {n}."]),
            f"\n\nHello {n}! Nice to meet you. How can I help you?",
        )
        q, th, a = (
            rng.choice(["What is my name?", "Do you remember my name?", "Who am I?"]),
            f"The user is {n}.",
            f"Your name is {n}.",
        )
    else:
        n = rng.randint(2, 99)
        first, reply = (
            rng.choice([f"My number is {n}.", f"Remember the number {n}."]),
            f"\n\nOK, I remember {n}.",
        )
        q, th, a = (
            rng.choice(["What is my number?", "Which number was it?", "What was the number?"]),
            f"The number is {n}.",
            f"The number is {n}.",
        )
    return Sample(
        "smalltalk", [user(first), assistant(reply), user(q)], think([th], a), a, [first + q]
    )


def remember(rng):
    n = rng.randint(2, 99)
    return talk(
        rng,
        [f"My number is {n}.", f"Remember the number {n}."],
        "I keep the number.",
        f"OK, I remember {n}.",
    )


SMALLTALK = [
    (greet, 9),
    (who, 8),
    (abilities, 4),
    (polite, 10),
    (capital, 11),
    (calendar, 9),
    (fact, 8),
    (translate, 6),
    (emoji, 4),
    (letters, 32),
    (numbers, 16),
    (fallback, 7),
    (recall, 4),
    (remember, 1),
]


def smalltalk(rng):
    makers, weights = zip(*SMALLTALK)
    return rng.choices(makers, weights)[0](rng)

"""Word lists for the tiny-r1 data generator. All lists were written for this project."""

MALE = """
    Tom Ben Sam Max Leo Adam Paul Mark Luke John Jack Noah Liam Owen Ryan Sean Carl Eric Fred Glen
    Hugo Ivan Jake Karl Lars Matt Neil Omar Pete Ravi Seth Theo Umar Vito Wade Yuri Zane Amir Arun
    Boris Bruno Cesar Chen Dan David Diego Dylan Emil Ethan Felix Frank Gavin George Hans Harry
    Henry Igor Isaac Jamal James Jorge Jonas Kenji Kevin Kofi Kwame Marco Mario Miles Nico Nils
    Oscar Otto Pablo Pedro Peter Rahul Ramon Robert Rohan Simon Stefan Steve Tariq Tim Tony Viktor
    Walter Wei Will Yusuf Aaron Abel Alan Andre Anton Dario Elias""".split()

FEMALE = """
    Anna Mia Eva Zoe Ella Lily Emma Ruby Rosa Lucy Jane Kate Lena Mary Nina Olga Pam Rita Sara Tina
    Uma Vera Wendy Yara Zara Aisha Alice Amara Amy Anita Bella Beth Carla Carmen Clara Chloe Daisy
    Dana Diana Dina Elena Elsa Emily Erika Esther Eve Fatima Fiona Flora Freya Gina Grace Greta Hana
    Hanna Helen Holly Ida Ines Ingrid Iris Isabel Ivy Jana Jenny Jill Joan Julia Karen Keiko Kim
    Laila Laura Leila Linda Lisa Lola Luna Maya Mei Mona Nadia Naomi Nora Olivia Paula Petra Priya
    Rachel Sofia Sonia Stella Susan Tara Thea Yuki Zora Carol Megan""".split()

_ITEMS = """
    apple pear orange lemon banana peach plum cherry grape melon carrot potato tomato onion pepper
    bean nut egg cookie cake muffin bagel donut candy chocolate sandwich pizza pie book notebook
    pencil pen marker crayon eraser ruler sticker stamp card coin marble button bead shell stone
    pebble flower rose tulip leaf seed tree plant toy doll ball balloon kite puzzle block truck
    robot game photo picture poster painting ticket map letter envelope cup plate spoon fork bowl
    glass bottle candle lamp chair shirt sock hat scarf glove shoe ribbon key lock nail screw bolt
    brick tile battery bulb magnet brush towel pillow blanket duck hen goat rabbit kitten puppy frog
    snail star badge medal token chip cube magazine comic record flag bell whistle spring gear
    feather pinecone acorn crystal""".split()
_IRREGULAR = {"leaf": "leaves", "scarf": "scarves", "shelf": "shelves"}


def plural(w):
    if w in _IRREGULAR:
        return _IRREGULAR[w]
    if w.endswith(("s", "x", "ch", "sh")) or w in ("potato", "tomato"):
        return w + "es"
    if w.endswith("y") and w[-2] not in "aeiou":
        return w[:-1] + "ies"
    return w + "s"


ITEMS = [(w, plural(w)) for w in _ITEMS]
FOOD = set("""
    apple pear orange lemon banana peach plum cherry grape melon carrot potato tomato onion pepper
    bean nut egg cookie cake muffin bagel donut candy chocolate sandwich pizza pie""".split())
CONTAINERS = [
    (w, plural(w))
    for w in "box bag basket jar crate tray shelf packet carton drawer bucket case".split()
]
COLORS = "red blue green yellow white black orange purple pink brown gray golden".split()
PLACES = "market park school shop farm library station garden beach museum fair bakery".split()
RELATIVES = "mother father sister brother aunt uncle cousin teacher neighbor grandmother".split()
VEHICLES = "car train bus truck bike boat plane tram van ship".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = (
    "January February March April May June July August September October November December".split()
)
MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
)
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times"}
FRACTIONS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
PERCENTS = {10: 10, 20: 5, 25: 4, 50: 2}

# Words for spelling tasks.
WORDS = sorted(set(_ITEMS) | set(COLORS) | set(PLACES) | set(VEHICLES) | set("""
    strawberry raspberry blueberry banana window river mountain summer winter autumn spring water
    coffee butter sugar bread cheese paper letter table door floor house street city country island
    forest desert valley bridge tower castle palace engine wheel mirror camera guitar piano violin
    trumpet drum music dance song story poem dream cloud rain snow storm thunder light shadow sun
    moon planet rocket ship sailor captain doctor nurse farmer baker painter writer singer tiger
    lion zebra monkey elephant giraffe dolphin penguin eagle parrot turtle spider butterfly mouse
    horse cow dog cat fox wolf bear deer happy sunny quick quiet clever gentle simple silver copper
    yellow hello world letter number little small large tall short early late north south east west
    green apple street bottle pepper""".split()))

CAPITALS = {
    "France": "Paris",
    "Germany": "Berlin",
    "Italy": "Rome",
    "Spain": "Madrid",
    "Portugal": "Lisbon",
    "the United Kingdom": "London",
    "Ireland": "Dublin",
    "the Netherlands": "Amsterdam",
    "Belgium": "Brussels",
    "Switzerland": "Bern",
    "Austria": "Vienna",
    "Poland": "Warsaw",
    "Czechia": "Prague",
    "Slovakia": "Bratislava",
    "Hungary": "Budapest",
    "Romania": "Bucharest",
    "Bulgaria": "Sofia",
    "Greece": "Athens",
    "Turkey": "Ankara",
    "Russia": "Moscow",
    "Ukraine": "Kyiv",
    "Finland": "Helsinki",
    "Sweden": "Stockholm",
    "Norway": "Oslo",
    "Denmark": "Copenhagen",
    "Iceland": "Reykjavik",
    "Estonia": "Tallinn",
    "Latvia": "Riga",
    "Lithuania": "Vilnius",
    "Croatia": "Zagreb",
    "Serbia": "Belgrade",
    "Egypt": "Cairo",
    "Morocco": "Rabat",
    "Kenya": "Nairobi",
    "Ethiopia": "Addis Ababa",
    "Nigeria": "Abuja",
    "Ghana": "Accra",
    "Senegal": "Dakar",
    "China": "Beijing",
    "Japan": "Tokyo",
    "South Korea": "Seoul",
    "Mongolia": "Ulaanbaatar",
    "India": "New Delhi",
    "Nepal": "Kathmandu",
    "Pakistan": "Islamabad",
    "Thailand": "Bangkok",
    "Vietnam": "Hanoi",
    "Indonesia": "Jakarta",
    "Malaysia": "Kuala Lumpur",
    "the Philippines": "Manila",
    "Australia": "Canberra",
    "New Zealand": "Wellington",
    "Canada": "Ottawa",
    "the United States": "Washington",
    "Mexico": "Mexico City",
    "Cuba": "Havana",
    "Brazil": "Brasilia",
    "Argentina": "Buenos Aires",
    "Chile": "Santiago",
    "Peru": "Lima",
    "Colombia": "Bogota",
    "Ecuador": "Quito",
    "Uruguay": "Montevideo",
}
CITIES = sorted(
    set(CAPITALS.values())
    | {
        "Milan",
        "Munich",
        "Boston",
        "Chicago",
        "Shanghai",
        "Mumbai",
        "Sydney",
        "Toronto",
        "Osaka",
        "Lyon",
        "Porto",
        "Seville",
    }
)

# question variants -> answer
FACTS = [
    (["How many legs does a spider have?", "How many legs has a spider?"], "A spider has 8 legs."),
    (
        ["How many legs does an insect have?", "How many legs do insects have?"],
        "An insect has 6 legs.",
    ),
    (["How many legs does a dog have?", "How many legs has a dog?"], "A dog has 4 legs."),
    (
        ["How many minutes are in an hour?", "How many minutes does an hour have?"],
        "An hour has 60 minutes.",
    ),
    (
        ["How many seconds are in a minute?", "How many seconds does a minute have?"],
        "A minute has 60 seconds.",
    ),
    (["How many hours are in a day?", "How many hours does a day have?"], "A day has 24 hours."),
    (["How many days are in a week?", "How many days does a week have?"], "A week has 7 days."),
    (
        ["How many weeks are in a year?", "How many weeks does a year have?"],
        "A year has about 52 weeks.",
    ),
    (
        ["How many months are in a year?", "How many months does a year have?"],
        "A year has 12 months.",
    ),
    (
        ["How many days are in a year?", "How many days does a year have?"],
        "A year has 365 days, and a leap year has 366.",
    ),
    (
        ["How many centimeters are in a meter?", "How many cm are in a meter?"],
        "A meter has 100 centimeters.",
    ),
    (
        ["How many meters are in a kilometer?", "How many meters are in a km?"],
        "A kilometer has 1000 meters.",
    ),
    (
        ["How many grams are in a kilogram?", "How many grams are in a kg?"],
        "A kilogram has 1000 grams.",
    ),
    (
        ["How many sides does a triangle have?", "How many sides has a triangle?"],
        "A triangle has 3 sides.",
    ),
    (
        ["How many sides does a square have?", "How many sides has a square?"],
        "A square has 4 equal sides.",
    ),
    (
        ["How many sides does a hexagon have?", "How many sides has a hexagon?"],
        "A hexagon has 6 sides.",
    ),
    (
        ["How many corners does a cube have?", "How many corners has a cube?"],
        "A cube has 8 corners.",
    ),
    (
        [
            "How many letters are in the English alphabet?",
            "How many letters does the alphabet have?",
        ],
        "The English alphabet has 26 letters.",
    ),
    (
        ["How many planets are in the solar system?", "How many planets orbit the Sun?"],
        "Eight planets orbit the Sun.",
    ),
    (
        ["What is the largest planet?", "Which planet is the largest?"],
        "Jupiter is the largest planet.",
    ),
    (
        ["What is the closest star to Earth?", "Which star is closest to us?"],
        "The Sun is the closest star.",
    ),
    (
        ["What color is the sky?", "Which color is the sky on a clear day?"],
        "On a clear day the sky is blue.",
    ),
    (["What color is grass?", "Which color is grass?"], "Grass is green."),
    (
        ["What do you get if you mix blue and yellow?", "Blue and yellow make which color?"],
        "Blue and yellow make green.",
    ),
    (
        ["What do you get if you mix red and white?", "Red and white make which color?"],
        "Red and white make pink.",
    ),
    (
        ["What do you get if you mix red and yellow?", "Red and yellow make which color?"],
        "Red and yellow make orange.",
    ),
    (
        ["At what temperature does water boil?", "When does water boil?"],
        "At sea level water boils at 100 degrees Celsius.",
    ),
    (
        ["At what temperature does water freeze?", "When does water freeze?"],
        "Water freezes at 0 degrees Celsius.",
    ),
    (
        ["How many continents are there?", "How many continents does the Earth have?"],
        "There are 7 continents.",
    ),
    (
        ["Which ocean is the largest?", "What is the largest ocean?"],
        "The Pacific Ocean is the largest ocean.",
    ),
    (
        ["What is the tallest animal?", "Which animal is the tallest?"],
        "The giraffe is the tallest animal.",
    ),
    (["What sound does a cat make?", "What does a cat say?"], "A cat says meow."),
    (["What sound does a dog make?", "What does a dog say?"], "A dog says woof."),
    (["What sound does a cow make?", "What does a cow say?"], "A cow says moo."),
    (["What do bees make?", "What is made by bees?"], "Bees make honey."),
    (["What is the opposite of hot?", "What is the opposite of warm?"], "The opposite is cold."),
    (["What is the opposite of big?", "What is the opposite of large?"], "The opposite is small."),
    (["What is the opposite of up?", "What is the opposite of upward?"], "The opposite is down."),
    (
        ["How many fingers are on one hand?", "How many fingers does a hand have?"],
        "One hand has 5 fingers.",
    ),
    (
        ["How many strings does a violin have?", "How many strings has a violin?"],
        "A violin has 4 strings.",
    ),
    (["How many items are in a dozen?", "What is a dozen?"], "A dozen is 12."),
    (
        ["What is the smallest prime number?", "Which prime number is the smallest?"],
        "The smallest prime number is 2.",
    ),
]

# language -> {word: translation}
TRANSLATE = {
    "French": {
        "hello": "bonjour",
        "thank you": "merci",
        "goodbye": "au revoir",
        "water": "eau",
        "summer": "été",
    },
    "German": {
        "hello": "hallo",
        "thank you": "danke",
        "goodbye": "auf Wiedersehen",
        "water": "Wasser",
        "green": "grün",
    },
    "Spanish": {
        "hello": "hola",
        "thank you": "gracias",
        "goodbye": "adiós",
        "water": "agua",
        "tomorrow": "mañana",
    },
    "Italian": {"hello": "ciao", "thank you": "grazie", "goodbye": "arrivederci", "water": "acqua"},
    "Portuguese": {"hello": "olá", "thank you": "obrigado", "goodbye": "adeus", "water": "água"},
    "Polish": {"hello": "cześć", "thank you": "dziękuję", "water": "woda"},
    "Turkish": {"hello": "merhaba", "thank you": "teşekkürler", "water": "su"},
    "Russian": {
        "hello": "привет",
        "thank you": "спасибо",
        "goodbye": "до свидания",
        "water": "вода",
    },
    "Greek": {"hello": "γεια", "thank you": "ευχαριστώ", "water": "νερό"},
    "Japanese": {
        "hello": "こんにちは",
        "thank you": "ありがとう",
        "goodbye": "さようなら",
        "water": "水",
    },
    "Chinese": {"hello": "你好", "thank you": "谢谢", "goodbye": "再见", "water": "水"},
    "Korean": {"hello": "안녕하세요", "thank you": "감사합니다", "water": "물"},
    "Arabic": {"hello": "مرحبا", "thank you": "شكرا", "water": "ماء"},
    "Hindi": {"hello": "नमस्ते", "thank you": "धन्यवाद", "water": "पानी"},
}

EMOJI = {
    "cat": "🐱",
    "dog": "🐶",
    "star": "⭐",
    "heart": "❤️",
    "fire": "🔥",
    "apple": "🍎",
    "sun": "☀️",
    "moon": "🌙",
    "tree": "🌳",
    "flower": "🌸",
    "fish": "🐟",
    "car": "🚗",
    "rocket": "🚀",
    "cake": "🎂",
    "party": "🎉",
    "smile": "😀",
    "thumbs up": "👍",
    "rainbow": "🌈",
    "bird": "🐦",
    "robot": "🤖",
    "check mark": "✅",
    "gift": "🎁",
}

# Short phrases for echo tasks; random characters from SCRIPTS are mixed in.
PHRASES = """日本語のテスト|你好，世界|数学很有趣|こんにちは、元気ですか|한국어 문장|안녕하세요|Привет, мир|Доброе утро|Καλημέρα κόσμε
مرحبا بالعالم|שלום עולם|नमस्ते दुनिया|สวัสดี|Xin chào thế giới|crème brûlée|naïve café
déjà vu|Ångström|jalapeño|Zürich|São Paulo|Łódź|İstanbul|Čeština|smörgåsbord|Grüße aus Köln
¿Qué tal?|¡Hola!|œuvre|fiancée|El Niño|piñata|東京都|北京|서울|Москва|Αθήνα|القاهرة|1 + 1 = 2
C'est la vie|Ça va?|Wie geht's?|Ciao bella|50 €|20 £|3 × 4|√2 ≈ 1.41|a → b|½ cup|10 °C
“quoted”|‘single’|em—dash|ellipsis…|日本 2024 年|テスト123|中文 and English""".replace(
    "\n", "|"
).split(
    "|"
)
SCRIPTS = [
    (0x4E00, 0x9FA5),
    (0x4E00, 0x9FA5),
    (0x3041, 0x3096),
    (0x30A1, 0x30FA),
    (0xAC00, 0xD7A3),
    (0x0410, 0x044F),
    (0x03B1, 0x03C9),
    (0x0627, 0x064A),
    (0x05D0, 0x05EA),
    (0x00C0, 0x00FF),
    (0x0100, 0x017F),
    (0x0905, 0x0939),
    (0x0E01, 0x0E2E),
    (0x1F600, 0x1F64F),
    (0x1F300, 0x1F5FF),
    (0x1F680, 0x1F6C5),
    (0x2190, 0x21FF),
    (0x2200, 0x22FF),
]

TOPICS = """quantum physics|the French Revolution|machine learning|black holes|photosynthesis
the stock market|jazz music|climate change|the Roman Empire|chess openings|gardening
football|cooking pasta|space travel|philosophy|dinosaurs|volcanoes|databases|compilers
electric cars|wine|painting|novels|poetry|politics|the news|the internet|computers
programming|Python|C++|GPUs|neural networks|history|biology|chemistry|medicine|law|economics
art|movies|fashion|travel|sailing|skiing|love|dreams|time|the universe|gravity|DNA|robots
ancient Egypt|the ocean|birds|coffee""".replace("\n", "|").split("|")

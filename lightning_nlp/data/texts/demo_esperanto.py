"""Esperanto sentences, made from a seed by a grammar that keeps agreement and tense.

A rule is `SYMBOL = weight part part ... | weight part ...`: capitals are symbols, anything else is a word. A
letter in braces takes each of its values in turn, the same in all of an alternative, and these share its
weight: {t} {u} tenses, {m} verb endings, {n} {k} numbers (singular, plural), {c} cases (nominative,
accusative), {a} living beings, {o} what can be seen, {x} everything. After a "/" comes a meaning: one eats
food and reads texts.

An entry ends at the end of its line or at a ";"; an indented line continues the one before. The order of
words and alternatives decides which sentences a seed yields, and so the numbers of quickstart_mlm.yaml.
"""

import random
import re
from collections.abc import Iterator
from itertools import product
from math import prod

_VALUES = {
    **dict.fromkeys("tu", "is as os"),
    "m": "is as os us i u",
    **dict.fromkeys("nk", "s p"),
    "c": "n a",
    "a": "person animal",
    "o": "person animal thing text food place",
    "x": "person animal thing text food drink place sound job furniture vessel",
}

_ENDINGS = {
    "noun": {".s.n": "o", ".p.n": "oj", ".s.a": "on", ".p.a": "ojn"},
    "adjective": {".s.n": "a", ".p.n": "aj", ".s.a": "an", ".p.a": "ajn"},
    "verb": {f".{mood}": mood for mood in _VALUES["m"].split()},
    "pronoun": {".n": "", ".a": "n"},
    "word": {"": ""},
}

# by kind: one or more symbols, and the stems
_LEXICON = {
    "noun": """
N/person amik amikin knab knabin vir virin najbar najbarin gast infan patr patrin frat fratin fil filin av avin onkl
  onklin edz edzin ĝemel reĝ reĝin junul junulin maljunul maljunulin riĉul saĝul ĉeĥ ĉeĥin monaĥ monaĥin
N/job instruist instruistin kuracist ĵurnalist ĵurnalistin ĝardenist ŝtelist ĥorist ĥoristin dentist bakist kantist
  verkist ŝipist lernant
N/animal kat katid hund hundet hundeg ĉeval ĉevalid ŝaf ŝafid bov bird birdet fiŝ ĝiraf kok kokin mus leon urs
N/food pan pom kuk kuket frukt ov fromaĝ sup legom oranĝ pir ĉeriz terpom fiŝaĵ bovaĵ ŝafaĵ glaciaĵ manĝaĵ
N/drink akv te kaf lakt suk bier vin ; N/text libr libreg leter ĵurnal poem roman gazet artikol vortar libret novaĵ
N/thing ŝu ĉapel horloĝ lamp ŝlosil bicikl aŭt skatol flor jaĥt ŝip ŝipet tranĉil ludil bild valiz ĉemiz ombrel monuj
  pentraĵ donac ŝtonet
N/place ĝarden lernej preĝej monaĥej kuirej urb urbet vilaĝ dom domet ĉambr park vendej kafej bakej hotel arbar plaĝ
  malsanulej ĉevalej placet
N/outdoor urb vilaĝ ĝarden park arbar plaĝ ; N/furniture tabl seĝ lit ŝrank benk tapiŝ
N/sound eĥ kant voĉ bru ĥor ; N/vessel glas botel tas
""",
    "adjective": """
ADJ/person,ADJ/job bon malbon jun maljun bel feliĉ malfeliĉ ĝentil malĝentil saĝ malsaĝ riĉ malriĉ alt malalt lac gaj
  ĝoj malĝoj kuraĝ fort malfort fam diligent maldiligent san malsan bonkor
ADJ/animal jun maljun bel grand malgrand grandeg rapid malrapid blank nigr brun fort dik maldik malsat sovaĝ
ADJ/food bon bongust malbongust freŝ varm malvarm dolĉ bonodor ; ADJ/drink bon bongust freŝ varm malvarm dolĉ varmeg
ADJ/text bon interes malinteres long mallong nov malnov fam grav serioz
ADJ/thing nov malnov grand malgrand bel malbel pez malpez ruĝ verd flav blank blu nigr pur malpur multekost
ADJ/furniture nov malnov larĝ mallarĝ pez malpez blank brun grand malgrand
ADJ/place bel beleg grand malgrand trankvil nov malnov fam vast pur
ADJ/sound bel laŭt mallaŭt stranĝ fort malfort ; ADJ/vessel plen grand malgrand pur
MY mi vi li ŝi ni ili ; MANY kelk mult
""",
    "verb": """
DO/person dorm kur rid ridet plor danc kant paŝ labor promen ripoz parol naĝ vojaĝ ĝoj silent leg skrib manĝ
DO/animal dorm kur salt trink ripoz manĝ
MOVE/person ir kur vojaĝ rapid rajd ; MOVE/animal kur ir rapid
LIVE loĝ labor ripoz atend ; LIE est kuŝ ; TALK parol pens rakont rev
EAT manĝ gustum ; HANDLE manĝ kuir aĉet vend ; DRINK trink verŝ ; READ leg skrib traduk aĉet ricev
USE aĉet vend port serĉ trov perd ŝtel lav montr forges ripar
SEE vid ŝat am memor serĉ trov pentr ; HUNT vid tim serĉ sekv ŝat ; HEAR aŭd aŭskult
MEET salut help invit dank aŭskult vizit kis ; GIVE don send montr vend redon ĵet
BE est ; BECOME fariĝ ŝajn ; CAN vol pov dev
SAY dir sci kred esper rakont vid ; WONDER demand forges ; RAIN pluv neĝ tondr pluveg
""",
    "pronoun": """
PRON/person.p ni vi ili ; PRON/animal.s ĝi ; PRON/animal.p ili
ONE.s iu ĉiu tiu ; ONE.p ĉiuj tiuj ; TIU.s tiu ĉiu iu ; TIU.p tiuj ĉiuj ; THIS.s tiu ; THIS.p tiuj
WHO.s kiu ; WHO.p kiuj ; WHICH.s kiu kia ; WHICH.p kiuj kiaj ; ALL ĉio io tio
""",
    "word": """
PRON/person.s.n mi vi li ŝi oni ; PRON/person.s.a min vin lin ŝin ; NOBODY neniu ; NOTHING nenion neniun
DIGIT du tri kvar kvin ses sep ok naŭ ; TENS dek dudek tridek
TIME.is hieraŭ antaŭhieraŭ pasintjare ; TIME.as nun nuntempe ; TIME.os morgaŭ baldaŭ postmorgaŭ
PART matene vespere nokte ; DAY hodiaŭ ĵaŭde ; OFTEN ofte ĉiam kelkfoje ĉiutage ankoraŭ
HOW rapide malrapide laŭte ĝoje gaje silente bone feliĉe diligente malbone ; WHY kial
IN en apud antaŭ malantaŭ ĉe ; ON sur sub apud ; HERE tie ĉie ie hejme ekstere
WITH kun ; ABOUT pri ; TO al ; AMONG inter ; FOR por
""",
}

_RULES = """
S = 30 CL.{t} . | 2 CL.{t} , sed CL.{u} . | 2 CL.{t} , ĉar CL.{u} .
  | 2 kiam CORE.{t} , CORE.{t} . | 1 se CORE.os , CORE.os . | 2 se CORE.us , CORE.us .
  | 4 NP/person.{n}.n SAY.{t} , ke CL.{u} . | 1 TIME.{t} NP/person.{n}.n SAY.{t} , ke CL.{u} .
  | 2 NP/person.{n}.n WONDER.{t} , ASK . | 1 NP/person.{n}.n ne SAY.{t} , ASK .
  | 3 la NB/{a}.{n}.n , REL/{a}.{n} , VB/{a}.{t}.{n} . | 1 MY.{n}.n NB/{a}.{n}.n , REL/{a}.{n} , VB/{a}.{t}.{n} .
  | 3 la NB/{o}.{n}.n , REL/{o}.{n} , BE.{t} PRED/{o}.{n} .
  | 1 MY.{n}.n NB/{o}.{n}.n , REL/{o}.{n} , BE.{t} PRED/{o}.{n} .
  | 2 ĉu CL.{t} ? | 2 WHY CL.{t} ? | 1 kiam CORE.{t} ? | 3 ASK ?
  | 2 VB/person.u.{n} ! | 1 ne VB/person.u.{n} ! | 1 bonvolu VB/person.i.{n} ! | 1 ni VB/person.u.p !
ASK = 6 WHO.{n}.n VB/person.{t}.{n} | 1 WHO.{n}.n TIME.{t} VB/person.{t}.{n}
  | 3 kie LIVE.{t} NP/person.{n}.n | 2 kie NP/person.{n}.n LIVE.{t} | 1 kie LIE.{t} NP/thing.{n}.n
  | 2 kion NP/person.{n}.n EAT.{t} | 2 kion EAT.{t} NP/person.{n}.n
  | 2 WHO.{k}.a NP/person.{n}.n MEET.{t} | 1 WHO.{k}.a SEE.{t} NP/person.{n}.n
  | 2 WHICH.{k}.a NB/text.{k}.a NP/person.{n}.n READ.{t} | 2 WHICH.{k}.a NB/thing.{k}.a NP/person.{n}.n USE.{t}
  | 1 kies NB/animal.{k}.a NP/person.{n}.n SEE.{t} | 1 kiom da N/food.p.n NP/person.{n}.n EAT.{t}
REL/{a}.{n} = 2 WHO.{n}.n VB/{a}.{t}.{n} | 1 WHO.{n}.n TIME.{t} VB/{a}.{t}.{n}
REL/{o}.{n} = 2 WHO.{n}.a NP/person.{k}.n SEE.{t} | 1 WHO.{n}.a NP/person.{k}.n TIME.{t} SEE.{t}
REL/text.{n} = 3 WHO.{n}.a NP/person.{k}.n READ.{t}
REL/place.{n} = 2 kie NP/person.{k}.n LIVE.{t} | 2 en WHO.{n}.n NP/person.{k}.n LIVE.{t}
CL.{t} = 6 CORE.{t} | 4 WHEN.{t} CORE.{t} | 2 CORE.{t} WHEN.{t}
  | 3 NP/person.{n}.n TIME.{t} VB/person.{t}.{n} | 2 NP/animal.{n}.n TIME.{t} VB/animal.{t}.{n}
CL.is = 1 NP/person.{n}.n ĵus VB/person.is.{n}
WHEN.{t} = 3 TIME.{t} ; WHEN.is = 1 hieraŭ PART ; WHEN.os = 1 morgaŭ PART ; WHEN.{t} = 1 DAY
CORE.{m} = 14 NP/person.{n}.n VP/person.{m}.{n} | 6 NP/animal.{n}.n VP/animal.{m}.{n}
  | 5 NP/{o}.{n}.n BE.{m} PRED/{o}.{n} | 2 NP/thing.{n}.n LIE.{m} ON NP/furniture.{k}.n
  | 2 ON la N/furniture.s.n LIE.{m} NP/thing.{n}.n | 1 IN la N/place.s.n LIE.{m} NP/thing.{n}.n
  | 1 NP/food.{k}.a EAT.{m} NP/person.{n}.n | 1 NP/person.{n}.n PRON/person.{k}.a MEET.{m}
  | 2 NOBODY VB/person.{m}.s | 1 ALL.n BE.{m} ADJ/thing.s.n
  | 1 RAIN.{m} en la N/outdoor.s.n | 1 en la N/outdoor.s.n RAIN.{m}
VP/{a}.{m}.{n} = 12 VB/{a}.{m}.{n} | 1 ne VB/{a}.{m}.{n} | 1 OFTEN VB/{a}.{m}.{n} | 1 neniam VB/{a}.{m}.{n}
VP/person.{m}.{n} = 1 SEE.{m} NOTHING | 1 CAN.{m} VB/person.i.{n}
VB/{a}.{m}.{n} = 2 DO/{a}.{m} HOW | 3 DO/{a}.{m} WHERE
  | 2 MOVE/{a}.{m} TO NP/place.{k}.n | 2 MOVE/{a}.{m} en NP/place.s.a | 1 BE.{m} PRED/{a}.{n}
VB/animal.{m}.{n} = 3 HUNT.{m} NP/{a}.{k}.a | 1 EAT.{m} NP/food.{k}.a
VB/person.{m}.{n} = 1 DO/person.{m} WITH NP/person.{k}.n | 2 TALK.{m} ABOUT NP/{o}.{k}.n
  | 1 DO/person.{m} AMONG NP/animal.p.n | 1 BECOME.{m} ADJ/person.{n}.n | 4 HANDLE.{m} NP/food.{k}.a
  | 2 DRINK.{m} NP/drink.s.a | 1 DRINK.{m} NB/vessel.s.a da N/drink.s.n | 1 DRINK.{m} NUM NB/vessel.p.a da N/drink.s.n
  | 4 READ.{m} NP/text.{k}.a | 4 USE.{m} NP/thing.{k}.a | 5 SEE.{m} NP/{o}.{k}.a | 1 SEE.{m} NP/thing.{k}.a WHERE
  | 3 MEET.{m} NP/person.{k}.a | 2 HEAR.{m} NP/sound.{k}.a | 2 GIVE.{m} NP/thing.{k}.a TO NP/person.s.n
  | 1 GIVE.{m} NP/thing.{k}.a FOR NP/person.s.n | 1 SEE.{m} ALL.a
WHERE = 3 IN NP/place.{k}.n | 1 HERE
PRED/{x}.{n} = 3 ADJ/{x}.{n}.n | 1 tre ADJ/{x}.{n}.n
PRED/{o}.{n} = 2 pli ADJ/{o}.{n}.n ol NP/{o}.{k}.n | 1 tiel ADJ/{o}.{n}.n kiel NP/{o}.{k}.n
PRED/person.{n} = 2 N/job.{n}.n
NP/person.{n}.{c} = 6 PRON/person.{n}.{c} | 1 ONE.{n}.{c} | 3 la NB/job.{n}.{c}
NP/animal.{n}.{c} = 1 PRON/animal.{n}.{c}
NP/{x}.{n}.{c} = 8 la NB/{x}.{n}.{c} | 4 MY.{n}.{c} NB/{x}.{n}.{c} | 2 TIU.{n}.{c} NB/{x}.{n}.{c}
  | 1 ĉi THIS.{n}.{c} NB/{x}.{n}.{c} | 1 la N/{x}.{n}.{c} de OWNER | 2 NB/{x}.{n}.{c}
NP/{x}.p.{c} = 2 NUM NB/{x}.p.{c} | 1 la NUM NB/{x}.p.{c} | 2 MANY.p.{c} NB/{x}.p.{c} | 1 ambaŭ NB/{x}.p.{c}
NP/{a}.p.{c} = 1 la N/{a}.{k}.{c} kaj MY.{n}.{c} N/{a}.{n}.{c} | 1 la N/{a}.s.{c} kaj la N/{a}.s.{c}
NB/{x}.{n}.{c} = 3 N/{x}.{n}.{c} | 3 ADJ/{x}.{n}.{c} N/{x}.{n}.{c}
OWNER = 1 MY.{n}.n N/person.{n}.n | 1 la N/job.{n}.n
NUM = 6 DIGIT | 1 dek | 1 TENS DIGIT
"""


def demo_esperanto(n: int, seed: int = 0) -> Iterator[str]:
    """Generate grammatical Esperanto sentences of 4 to 15 words.

    Args:
        n: Number of sentences; a few repeat.
        seed: Equal seeds give equal sentences on every platform.
    """
    assert n >= 0, n
    rng = random.Random(f"esperanto-{seed}")
    for _ in range(n):
        while True:
            parts = _expand("S", rng)
            words = [part for part in parts if part.isalpha()]
            # no noun or verb twice: "the cat is as big as the cat"
            stems = [word.rstrip("jn")[:-1] for word in words if len(word) > 4]
            if 4 <= len(words) <= 15 and len(set(stems)) == len(stems):
                break
        text = re.sub(r" (?=[.,!?])", "", " ".join(parts))
        yield text[0].upper() + text[1:]


def _expand(symbol: str, rng: random.Random) -> list[str]:
    if symbol in _WORDS:
        return [rng.choice(_WORDS[symbol])]
    if symbol not in _GRAMMAR:
        return [symbol]
    weights, alternatives = zip(*_GRAMMAR[symbol], strict=True)
    return [word for part in rng.choices(alternatives, weights)[0] for word in _expand(part, rng)]


def _entries(text: str) -> list[str]:
    return re.split(r"\n(?! )| ; ", text.strip())


def _read_rules() -> dict[str, list[tuple[float, list[str]]]]:
    """The rules with their letters filled in: by symbol its alternatives, with their weights."""
    grammar: dict[str, list[tuple[float, list[str]]]] = {}
    for left, right in (entry.split(" = ") for entry in _entries(_RULES)):
        for alternative in right.split("|"):
            weight, parts = alternative.split(maxsplit=1)
            letters = sorted(set(re.findall(r"{(\w)}", left + parts)))
            results = prod(len(_VALUES[letter].split()) for letter in letters if f"{{{letter}}}" not in left)
            for values in product(*(_VALUES[letter].split() for letter in letters)):
                filled = dict(zip(letters, values, strict=True))
                symbol, result = left.format(**filled), parts.format(**filled).split()
                grammar.setdefault(symbol, []).append((float(weight) / results, result))
    return grammar


_WORDS = {  # every word form, by symbol: N/food.s.a -> panon, pomon, ...
    symbol + form: [stem + ending for stem in stems]
    for kind, table in _LEXICON.items()
    for symbols, *stems in map(str.split, _entries(table))
    for symbol, (form, ending) in product(symbols.split(","), _ENDINGS[kind].items())
}
_GRAMMAR = _read_rules()

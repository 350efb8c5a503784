"""Esperanto sentences for masked language modelling, made from a seed, and a judge of what a model fills in.

One grammar serves both ways. `demo_esperanto` expands it; `is_grammatical` parses with the same rules after the
meaning labels (all behind a "/") are taken off, so "la pomo legas libron" is grammatical nonsense, while "la pomo legas
libro" is wrong. Every generated sentence is therefore accepted, and the judge knows no words beyond this lexicon.

Rule lines read `weight  LEFT : part part ...`. Capitals are symbols, anything else is a word. A letter in braces stands
for each of its values, the same one throughout the line: {t} {u} tenses, {m} verb endings, {n} {k} numbers (s, p),
{c} cases (n, a), {a} living beings, {o} objects of sight, {x} everything. Weight 0 is recognised but never generated.
"""

import random
import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import product

from lightning_nlp.errors import UserError

PROBES = (
    "La knabo legas la [MASK].",
    "Hieraŭ mia patrino [MASK] panon.",
    "Morgaŭ ni [MASK] al la lernejo.",
    "La katoj estas [MASK].",
    "Ŝi aĉetis du ruĝajn [MASK].",
    "[MASK] loĝas via najbaro?",
    "La libro, [MASK] li legis, estas interesa.",
    "La [MASK] hundo dormas sub la tablo.",
    "Mi scias, [MASK] vi parolas pri la ĝardeno.",
    "La ĵurnalisto [MASK] skribas longan artikolon.",
)
"""Masked sentences that show what a model has learnt; each mask stands for one whole word."""

_VALUES = {
    "t": "is as os",
    "u": "is as os",
    "m": "is as os us i u",
    "n": "s p",
    "k": "s p",
    "c": "n a",
    "a": "person animal",
    "o": "person animal thing text food place",
    "x": "person animal thing text food drink place sound job furniture vessel",
}

_NOUNS = {
    "person": "amik amikin knab knabin vir virin najbar najbarin gast infan patr patrin frat fratin fil filin av avin "
    "onkl onklin edz edzin ĝemel reĝ reĝin junul junulin maljunul maljunulin riĉul saĝul ĉeĥ ĉeĥin monaĥ monaĥin",
    "job": "instruist instruistin kuracist ĵurnalist ĵurnalistin ĝardenist ŝtelist ĥorist ĥoristin dentist bakist "
    "kantist verkist ŝipist lernant",
    "animal": "kat katid hund hundet hundeg ĉeval ĉevalid ŝaf ŝafid bov bird birdet fiŝ ĝiraf kok kokin mus leon urs",
    "food": "pan pom kuk kuket frukt ov fromaĝ sup legom oranĝ pir ĉeriz terpom fiŝaĵ bovaĵ ŝafaĵ glaciaĵ manĝaĵ",
    "drink": "akv te kaf lakt suk bier vin",
    "text": "libr libreg leter ĵurnal poem roman gazet artikol vortar libret novaĵ",
    "thing": "ŝu ĉapel horloĝ lamp ŝlosil bicikl aŭt skatol flor jaĥt ŝip ŝipet tranĉil ludil bild valiz ĉemiz "
    "ombrel monuj pentraĵ donac ŝtonet",
    "furniture": "tabl seĝ lit ŝrank benk tapiŝ",
    "place": "ĝarden lernej preĝej monaĥej kuirej urb urbet vilaĝ dom domet ĉambr park vendej kafej bakej hotel arbar "
    "plaĝ malsanulej ĉevalej placet",
    "outdoor": "urb vilaĝ ĝarden park arbar plaĝ",
    "sound": "eĥ kant voĉ bru ĥor",
    "vessel": "glas botel tas",
}
_ADJECTIVES = {
    "person": "bon malbon jun maljun bel feliĉ malfeliĉ ĝentil malĝentil saĝ malsaĝ riĉ malriĉ alt malalt lac gaj ĝoj "
    "malĝoj kuraĝ fort malfort fam diligent maldiligent san malsan bonkor",
    "animal": "jun maljun bel grand malgrand grandeg rapid malrapid blank nigr brun fort dik maldik malsat sovaĝ",
    "food": "bon bongust malbongust freŝ varm malvarm dolĉ bonodor",
    "drink": "bon bongust freŝ varm malvarm dolĉ varmeg",
    "text": "bon interes malinteres long mallong nov malnov fam grav serioz",
    "thing": "nov malnov grand malgrand bel malbel pez malpez ruĝ verd flav blank blu nigr pur malpur multekost",
    "furniture": "nov malnov larĝ mallarĝ pez malpez blank brun grand malgrand",
    "place": "bel beleg grand malgrand trankvil nov malnov fam vast pur",
    "sound": "bel laŭt mallaŭt stranĝ fort malfort",
    "vessel": "plen grand malgrand pur",
}
_VERBS = {
    "VI/person": "dorm kur rid ridet plor danc kant paŝ labor promen ripoz parol naĝ vojaĝ ĝoj silent leg skrib manĝ",
    "VI/live": "loĝ labor ripoz atend",
    "VI/animal": "dorm kur salt trink ripoz manĝ",
    "VI/exist": "est kuŝ",
    "VI/talk": "parol pens rakont rev",
    "VM/person": "ir kur vojaĝ rapid rajd",
    "VM/animal": "kur ir rapid",
    "VT/eat": "manĝ gustum",
    "VT/handle": "manĝ kuir aĉet vend",
    "VT/drink": "trink verŝ",
    "VT/read": "leg skrib traduk aĉet ricev",
    "VT/thing": "aĉet vend port serĉ trov perd ŝtel lav montr forges ripar",
    "VT/any": "vid ŝat am memor serĉ trov pentr",
    "VT/beast": "vid tim serĉ sekv ŝat",
    "VT/meet": "salut help invit dank aŭskult vizit kis",
    "VT/hear": "aŭd aŭskult",
    "VT/give": "don send montr vend redon ĵet",
    "COP/x": "est",
    "COP/person": "fariĝ ŝajn",
    "MODAL/x": "vol pov dev",
    "VKE/x": "dir sci kred esper rakont vid",
    "VASK/x": "demand forges",
    "WEATHER/x": "pluv neĝ tondr pluveg",
}

# One line a closed class; "/" labels as in the rules.
_CLOSED = """
PRON.s.n/person mi vi li ŝi oni
PRON.s.a/person min vin lin ŝin
PRON.p.n/person ni vi ili
PRON.p.a/person nin vin ilin
PRON.s.n/animal ĝi
PRON.s.a/animal ĝin
PRON.p.n/animal ili
PRON.p.a/animal ilin
ONE.s.n/person iu ĉiu tiu
ONE.s.a/person iun ĉiun tiun
ONE.p.n/person ĉiuj tiuj
ONE.p.a/person ĉiujn tiujn
IO.n ĉio io tio
IO.a ĉion ion tion
DIGIT du tri kvar kvin ses sep ok naŭ
TENS dek dudek tridek
TIME.is hieraŭ antaŭhieraŭ pasintjare
TIME.as nun nuntempe
TIME.os morgaŭ baldaŭ postmorgaŭ
PART matene vespere nokte
THIS.s.n tiu
THIS.p.n tiuj
THIS.s.a tiun
THIS.p.a tiujn
TIU.s.n tiu ĉiu iu
TIU.p.n tiuj ĉiuj
TIU.s.a tiun ĉiun iun
TIU.p.a tiujn ĉiujn
KIU.s.n kiu
KIU.p.n kiuj
KIU.s.a kiun
KIU.p.a kiujn
WHICH.s.a kiun kian
WHICH.p.a kiujn kiajn
MANY.p.n kelkaj multaj
MANY.p.a kelkajn multajn
NOBODY.n neniu
NENIO.a nenion neniun
WHY kial
WHERE kie kial kiam kiel
ADV/day hodiaŭ ĵaŭde
ADV/often ofte ĉiam kelkfoje ĉiutage ankoraŭ
ADV/how rapide malrapide laŭte ĝoje gaje silente bone feliĉe diligente malbone
HERE tie ĉie ie hejme ekstere
PREP/in en apud antaŭ malantaŭ ĉe
PREP/on sur sub apud
PREP/with kun
PREP/about pri
PREP/to al
PREP/between inter
PREP/for por
PREP/means per
PREP/loose de sen laŭ post trans ĉirkaŭ dum
"""

_RULES = """
30 S : CL.{t} .
2  S : CL.{t} , sed CL.{u} .
2  S : CL.{t} , ĉar CL.{u} .
2  S : kiam CORE.{t} , CORE.{t} .
1  S : se CORE.os , CORE.os .
2  S : se CORE.us , CORE.us .
4  S : NP.{n}.n/person VKE.{t}/x , ke CL.{u} .
1  S : TIME.{t} NP.{n}.n/person VKE.{t}/x , ke CL.{u} .
2  S : NP.{n}.n/person VASK.{t}/x , ASK .
1  S : NP.{n}.n/person ne VKE.{t}/x , ASK .
3  S : la NB.{n}.n/{a} , REL.{n}/{a} , VB.{t}.{n}/{a} .
1  S : MY.{n}.n NB.{n}.n/{a} , REL.{n}/{a} , VB.{t}.{n}/{a} .
0  S : NP.{n}.n , REL.{n} , VP.{t}.{n} .
3  S : la NB.{n}.n/{o} , REL.{n}/{o} , COP.{t}/x PRED.{n}/{o} .
1  S : MY.{n}.n NB.{n}.n/{o} , REL.{n}/{o} , COP.{t}/x PRED.{n}/{o} .
2  S : ĉu CL.{t} ?
2  S : WHY CL.{t} ?
1  S : kiam CORE.{t} ?
3  S : ASK ?
2  S : VB.u.{n}/person !
1  S : ne VB.u.{n}/person !
1  S : bonvolu VB.i.{n}/person !
1  S : ni VB.u.p/person !

6  ASK : KIU.{n}.n VB.{t}.{n}/person
1  ASK : KIU.{n}.n TIME.{t} VB.{t}.{n}/person
3  ASK : kie VI.{t}/live NP.{n}.n/person
2  ASK : kie NP.{n}.n/person VI.{t}/live
1  ASK : kie VI.{t}/exist NP.{n}.n/thing
0  ASK : WHERE CORE.{t}
0  ASK : WHERE CL.{t}
0  ASK : WHERE VI.{t} NP.{n}.n
2  ASK : kion NP.{n}.n/person VT.{t}/eat
2  ASK : kion VT.{t}/eat NP.{n}.n/person
2  ASK : KIU.{k}.a NP.{n}.n/person VT.{t}/meet
1  ASK : KIU.{k}.a VT.{t}/any NP.{n}.n/person
2  ASK : WHICH.{k}.a NB.{k}.a/text NP.{n}.n/person VT.{t}/read
2  ASK : WHICH.{k}.a NB.{k}.a/thing NP.{n}.n/person VT.{t}/thing
1  ASK : kies NB.{k}.a/animal NP.{n}.n/person VT.{t}/any
1  ASK : kiom da N.p.n/food NP.{n}.n/person VT.{t}/eat

2  REL.{n}/{a} : KIU.{n}.n VB.{t}.{n}/{a}
1  REL.{n}/{a} : KIU.{n}.n TIME.{t} VB.{t}.{n}/{a}
2  REL.{n}/{o} : KIU.{n}.a NP.{k}.n/person VT.{t}/any
1  REL.{n}/{o} : KIU.{n}.a NP.{k}.n/person TIME.{t} VT.{t}/any
3  REL.{n}/text : KIU.{n}.a NP.{k}.n/person VT.{t}/read
2  REL.{n}/place : kie NP.{k}.n/person VI.{t}/live
2  REL.{n}/place : en KIU.{n}.n NP.{k}.n/person VI.{t}/live

6  CL.{t} : CORE.{t}
4  CL.{t} : WHEN.{t} CORE.{t}
2  CL.{t} : CORE.{t} WHEN.{t}
3  CL.{t} : NP.{n}.n/person TIME.{t} VB.{t}.{n}/person
2  CL.{t} : NP.{n}.n/animal TIME.{t} VB.{t}.{n}/animal
1  CL.is : NP.{n}.n/person ĵus VB.is.{n}/person
3  WHEN.{t} : TIME.{t}
1  WHEN.is : hieraŭ PART
1  WHEN.os : morgaŭ PART
1  WHEN.{t} : ADV/day

14 CORE.{m} : NP.{n}.n/person VP.{m}.{n}/person
6  CORE.{m} : NP.{n}.n/animal VP.{m}.{n}/animal
5  CORE.{m} : NP.{n}.n/{o} COP.{m}/x PRED.{n}/{o}
2  CORE.{m} : NP.{n}.n/thing VI.{m}/exist PREP/on NP.{k}.n/furniture
2  CORE.{m} : PREP/on la N.s.n/furniture VI.{m}/exist NP.{n}.n/thing
1  CORE.{m} : PREP/in la N.s.n/place VI.{m}/exist NP.{n}.n/thing
0  CORE.{m} : PP/in COP.{m} NP.{n}.n
1  CORE.{m} : NP.{k}.a/food VT.{m}/eat NP.{n}.n/person
1  CORE.{m} : NP.{n}.n/person PRON.{k}.a/person VT.{m}/meet
2  CORE.{m} : NOBODY.n VB.{m}.s/person
1  CORE.{m} : IO.n COP.{m}/x ADJ.s.n/thing
1  CORE.{m} : WEATHER.{m}/x en la N.s.n/outdoor
1  CORE.{m} : en la N.s.n/outdoor WEATHER.{m}/x
0  CORE.{m} : WEATHER.{m}
0  CORE.{m} : WEATHER.{m} PP
0  CORE.{m} : PP WEATHER.{m}

12 VP.{m}.{n}/{a} : VB.{m}.{n}/{a}
1  VP.{m}.{n}/{a} : ne VB.{m}.{n}/{a}
1  VP.{m}.{n}/{a} : ADV/often VB.{m}.{n}/{a}
1  VP.{m}.{n}/{a} : neniam VB.{m}.{n}/{a}
1  VP.{m}.{n}/person : VT.{m}/any NENIO.a
1  VP.{m}.{n}/person : MODAL.{m}/x VB.i.{n}/person
0  VP.{m}.{n}/person : MODAL.{m} VP.i.{n}

2  VB.{m}.{n}/{a} : VI.{m}/{a} ADV/how
3  VB.{m}.{n}/{a} : VI.{m}/{a} PP/in
0  VB.{m}.{n}/{a} : VI.{m} TAIL
0  VB.{m}.{n}/{a} : VI.{m}
0  VB.{m}.{n}/{a} : VM.{m} TAIL
0  VB.{m}.{n}/{a} : VM.{m}
0  VB.{m}.{n}/{a} : ADV VI.{m} TAIL
0  VB.{m}.{n}/{a} : COP.{m} PP
2  VB.{m}.{n}/{a} : VM.{m}/{a} PREP/to NP.{k}.n/place
2  VB.{m}.{n}/{a} : VM.{m}/{a} en NP.s.a/place
1  VB.{m}.{n}/{a} : COP.{m}/x PRED.{n}/{a}
0  VB.{m}.{n}/{a} : VT.{m} NP.{k}.a
0  VB.{m}.{n}/{a} : VT.{m} NP.{k}.a TAIL
0  VB.{m}.{n}/{a} : ADV VT.{m} NP.{k}.a
3  VB.{m}.{n}/animal : VT.{m}/beast NP.{k}.a/{a}
1  VB.{m}.{n}/animal : VT.{m}/eat NP.{k}.a/food
1  VB.{m}.{n}/person : VI.{m}/person PREP/with NP.{k}.n/person
2  VB.{m}.{n}/person : VI.{m}/talk PREP/about NP.{k}.n/{o}
1  VB.{m}.{n}/person : VI.{m}/person PREP/between NP.p.n/animal
1  VB.{m}.{n}/person : COP.{m}/person ADJ.{n}.n/person
4  VB.{m}.{n}/person : VT.{m}/handle NP.{k}.a/food
2  VB.{m}.{n}/person : VT.{m}/drink NP.s.a/drink
1  VB.{m}.{n}/person : VT.{m}/drink NB.s.a/vessel da N.s.n/drink
1  VB.{m}.{n}/person : VT.{m}/drink NUM NB.p.a/vessel da N.s.n/drink
4  VB.{m}.{n}/person : VT.{m}/read NP.{k}.a/text
4  VB.{m}.{n}/person : VT.{m}/thing NP.{k}.a/thing
5  VB.{m}.{n}/person : VT.{m}/any NP.{k}.a/{o}
1  VB.{m}.{n}/person : VT.{m}/any NP.{k}.a/thing PP/in
3  VB.{m}.{n}/person : VT.{m}/meet NP.{k}.a/person
2  VB.{m}.{n}/person : VT.{m}/hear NP.{k}.a/sound
2  VB.{m}.{n}/person : VT.{m}/give NP.{k}.a/thing PREP/to NP.s.n/person
1  VB.{m}.{n}/person : VT.{m}/give NP.{k}.a/thing PREP/for NP.s.n/person
1  VB.{m}.{n}/person : VT.{m}/any IO.a
0  TAIL : PP
0  TAIL : ADV
0  TAIL : ADV PP

3  PP/in : PREP/in NP.{k}.n/place
1  PP/in : HERE
0  PP/any : PREP NP.{k}.n
3  PRED.{n}/{x} : ADJ.{n}.n/{x}
1  PRED.{n}/{x} : tre ADJ.{n}.n/{x}
2  PRED.{n}/{o} : pli ADJ.{n}.n/{o} ol NP.{k}.n/{o}
1  PRED.{n}/{o} : tiel ADJ.{n}.n/{o} kiel NP.{k}.n/{o}
2  PRED.{n}/person : N.{n}.n/job
0  PRED.{n}/person : NP.{n}.n/person

6  NP.{n}.{c}/person : PRON.{n}.{c}/person
1  NP.{n}.{c}/person : ONE.{n}.{c}/person
3  NP.{n}.{c}/person : la NB.{n}.{c}/job
1  NP.{n}.{c}/animal : PRON.{n}.{c}/animal
8  NP.{n}.{c}/{x} : la NB.{n}.{c}/{x}
4  NP.{n}.{c}/{x} : MY.{n}.{c} NB.{n}.{c}/{x}
2  NP.{n}.{c}/{x} : TIU.{n}.{c} NB.{n}.{c}/{x}
1  NP.{n}.{c}/{x} : ĉi THIS.{n}.{c} NB.{n}.{c}/{x}
1  NP.{n}.{c}/{x} : la N.{n}.{c}/{x} de OWNER
2  NP.{n}.{c}/{x} : NB.{n}.{c}/{x}
2  NP.p.{c}/{x} : NUM NB.p.{c}/{x}
1  NP.p.{c}/{x} : la NUM NB.p.{c}/{x}
2  NP.p.{c}/{x} : MANY.p.{c} NB.p.{c}/{x}
1  NP.p.{c}/{x} : ambaŭ NB.p.{c}/{x}
0  NP.s.{c}/{x} : unu NB.s.{c}/{x}
0  NP.s.{c}/{x} : NB.s.{c} da N.s.n
0  NP.p.{c}/{x} : NUM NB.p.{c} da N.s.n
0  NP.{n}.{c}/{x} : la NB.{n}.{c} de NP.{k}.n
1  NP.p.{c}/{a} : la N.{k}.{c}/{a} kaj MY.{n}.{c} N.{n}.{c}/{a}
1  NP.p.{c}/{a} : la N.s.{c}/{a} kaj la N.s.{c}/{a}
3  NB.{n}.{c}/{x} : N.{n}.{c}/{x}
3  NB.{n}.{c}/{x} : ADJ.{n}.{c}/{x} N.{n}.{c}/{x}
0  NB.{n}.{c}/{x} : N.{n}.{c}/{x} ADJ.{n}.{c}/{x}
1  OWNER : MY.{n}.n N.{n}.n/person
1  OWNER : la N.{n}.n/job
6  NUM : DIGIT
1  NUM : dek
1  NUM : TENS DIGIT
"""


def demo_esperanto(n: int, seed: int = 0) -> Iterator[str]:
    """Generate grammatical Esperanto sentences of 4 to 15 words.

    Args:
        n: Number of sentences. Repeats are rare but not excluded.
        seed: Equal seeds give equal sentences, on every platform.

    Yields:
        Sentences with a capital and a final mark, accents as single code points (NFC).
    """
    assert n >= 0, n
    rng = random.Random(f"esperanto-{seed}")
    for _ in range(n):
        while True:
            parts = _expand("S", rng)
            words = [part for part in parts if part.isalpha()]
            # The same noun or verb twice in so short a sentence reads like a mistake: "the cat is as big as the cat".
            stems = [word.rstrip("jn")[:-1] for word in words if len(word) > 4]
            if 4 <= len(words) <= 15 and len(set(stems)) == len(stems):
                break
        text = re.sub(r" (?=[.,!?])", "", " ".join(parts))
        yield text[0].upper() + text[1:]


def is_grammatical(sentence: str) -> bool:
    """Tell whether a sentence belongs to the grammar of `demo_esperanto`, whatever its meaning.

    Args:
        sentence: With its final mark; capitals, and spaces around punctuation, do not matter.

    Returns:
        False also for sound Esperanto that uses words or constructions outside this grammar.
    """
    words = re.findall(r"\w+|[^\w\s]", unicodedata.normalize("NFC", sentence).lower())

    @cache
    def ends(symbol: str, start: int) -> frozenset[int]:
        """All positions at which `symbol`, begun at `start`, can end."""
        if symbol not in _LOOSE:
            fits = start < len(words) and words[start] in _LOOSE_WORDS.get(symbol, (symbol,))
            return frozenset([start + 1] if fits else [])
        found: set[int] = set()
        for right in _LOOSE[symbol]:
            heads = {start}
            for part in right:
                heads = {end for head in heads for end in ends(part, head)}
            found |= heads
        return frozenset(found)

    return len(words) in ends("S", 0)


def judge_fill(sentence: str, filled: str) -> bool:
    """Tell whether a masked sentence becomes grammatical with a candidate word.

    Args:
        sentence: A sentence of this grammar with exactly one `[MASK]` in place of a whole word.
        filled: The candidate, for example a token of a model; a word piece or punctuation is never right.

    Raises:
        UserError: `sentence` does not hold exactly one `[MASK]`.
    """
    if (count := sentence.count("[MASK]")) != 1:
        raise UserError(f"a sentence to judge has {count} [MASK], in {sentence!r}: give a sentence with exactly one")
    word = unicodedata.normalize("NFC", filled).strip()
    return word.isalpha() and is_grammatical(sentence.replace("[MASK]", word))


def _expand(symbol: str, rng: random.Random) -> list[str]:
    if symbol in _WORDS:
        return [rng.choice(_WORDS[symbol])]
    if symbol not in _GRAMMAR:
        return [symbol]
    weights, rights = zip(*((weight, right) for weight, right in _GRAMMAR[symbol] if weight), strict=True)
    return [word for part in rng.choices(rights, weights)[0] for word in _expand(part, rng)]


def _read_words() -> dict[str, list[str]]:
    """Every word form, by terminal symbol: N.s.a/food -> panon, pomon, ..."""
    words = {line.split()[0]: line.split()[1:] for line in _CLOSED.strip().splitlines()}
    for name, vowel, table in (("N", "o", _NOUNS), ("ADJ", "a", _ADJECTIVES)):
        for meaning, stems in table.items():
            for number, case in product("sp", "na"):
                ending = vowel + "j" * (number == "p") + "n" * (case == "a")
                words[f"{name}.{number}.{case}/{meaning}"] = [stem + ending for stem in stems.split()]
    for number, case in product("sp", "na"):
        ending = "a" + "j" * (number == "p") + "n" * (case == "a")
        words[f"MY.{number}.{case}"] = [stem + ending for stem in "mi vi li ŝi ni ili".split()]
        words[f"ADJ.{number}.{case}/job"] = words[f"ADJ.{number}.{case}/person"]
    for symbol, roots in _VERBS.items():
        name, meaning = symbol.split("/")
        for mood in _VALUES["m"].split():
            words[f"{name}.{mood}/{meaning}"] = [root + mood for root in roots.split()]
    return words


def _read_rules() -> dict[str, list[tuple[float, list[str]]]]:
    """The rule lines with their letters filled in; the variants of one line share its weight."""
    grammar: dict[str, list[tuple[float, list[str]]]] = {}
    for line in _RULES.strip().splitlines():
        if not line:
            continue
        head, right = line.split(" : ")
        weight, left = head.split()
        variants: dict[str, list[list[str]]] = {}
        names = sorted(set(re.findall(r"{(\w)}", line)))
        for values in product(*(_VALUES[name].split() for name in names)):
            chosen = dict(zip(names, values, strict=True))
            variants.setdefault(left.format(**chosen), []).append(right.format(**chosen).split())
        for symbol, rights in variants.items():
            grammar.setdefault(symbol, []).extend((float(weight) / len(rights), right) for right in rights)
    return grammar


def _meaningless(symbol: str) -> str:
    return symbol.split("/")[0]


_WORDS = _read_words()
_GRAMMAR = _read_rules()
_LOOSE_WORDS: dict[str, set[str]] = {}
for _symbol, _forms in _WORDS.items():
    _LOOSE_WORDS.setdefault(_meaningless(_symbol), set()).update(_forms)
_LOOSE: dict[str, set[tuple[str, ...]]] = {}
for _symbol, _weighted in _GRAMMAR.items():
    _LOOSE.setdefault(_meaningless(_symbol), set()).update(tuple(map(_meaningless, right)) for _, right in _weighted)

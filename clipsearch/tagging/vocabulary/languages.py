"""Which column or key is a language: ja, name_ja, pt-BR. Knows the codes of ISO 639-1."""

from __future__ import annotations

import re
from functools import lru_cache

_LIST = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv "
    "dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig "
    "ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh "
    "mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru "
    "rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty "
    "ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
_CODES = frozenset(_LIST.split())
_COUNTRIES = {"jp": "ja", "cn": "zh", "cz": "cs", "dk": "da", "gr": "el", "ua": "uk"}
_EITHER = {"kr": "Korean is 'ko', Kanuri 'name_kr'", "tw": "Taiwan's Chinese is 'zh-TW', Twi 'name_tw'"}
_NUMBERS = ("id", "no", "nr")  # more often a number's column than Indonesian, Norwegian or South Ndebele
_CODE = re.compile(r"(?P<code>[a-z]{2})(?P<rest>(?:[-_][a-z0-9]{2,8})*)")
_PREFIXED = re.compile(
    r"(?:name|tag|label|keyword|preflabel|altlabel|synonym|synonyms|translation)[-_ ](?P<language>.+)"
)


@lru_cache(maxsize=256)  # a file has few keys, each as often as tags
def language_of(key: str) -> str | None:
    """The language that a key names, "ja" for ja, JA and name_ja, "pt-BR" for pt_br; None: it names none."""
    key = key.strip().lower()
    prefixed = _PREFIXED.fullmatch(key)
    if prefixed is None and (key in _NUMBERS or key in _EITHER):
        return None
    found = _CODE.fullmatch(prefixed["language"] if prefixed else key)
    if found is None or found["code"] not in _CODES:
        return None
    return "-".join((found["code"], *map(_subtag, re.split("[-_]", found["rest"])[1:])))


def mistaken(key: str) -> str | None:
    """What to say of a key that was perhaps meant for a language; None: nothing."""
    low = key.strip().lower()
    if low in _COUNTRIES:
        return f"{key!r} is a country; the language is {_COUNTRIES[low]!r}"
    if low in _EITHER:
        return f"{key!r} is a language or a country; {_EITHER[low]}"
    if low in _NUMBERS:
        return f"{key!r} is a language or a number; write 'name_{low}' for the language, or leave numbers out"
    return None


def tag_of(language: str) -> str:
    """A language tag of a file in its usual letters: "en-GB" for en-gb."""
    code, *rest = language.replace("_", "-").lower().split("-")
    return "-".join((code, *map(_subtag, rest)))


def _subtag(subtag: str) -> str:
    """A region in capitals, a script in title case, as BCP 47 writes them."""
    return subtag.upper() if len(subtag) == 2 else subtag.title() if len(subtag) == 4 else subtag

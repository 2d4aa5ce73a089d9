"""What is embedded for a label: template sets in English and Japanese, and a label's own words in them.

Knows no model; `vectors` embeds what is made here.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from clipsearch.errors import TaggingError
from clipsearch.tagging.vocabulary import Label, Vocabulary

PLACE = "{}"
DEFAULT = "general"


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Sentences with {} for the word, in each language."""

    english: tuple[str, ...]
    japanese: tuple[str, ...]


# Short, for 20,000 labels have to wait for each. Chosen on the demo's parts of split val; of split test,
# top-1 of shape, material and finish is 83, 64 and 52 % with "a photo of {}." alone, 82, 69 and 61 %
# with the set "general", 83, 68 and 62 % with "product", 83, 68 and 64 % with "part"
# (python benchmarks/templates.py).
SETS: Mapping[str, TemplateSet] = {
    "general": TemplateSet(  # the sizes are from the seven best of CLIP's 80 (openai/CLIP, prompts notebook)
        (
            "{}",
            "a photo of {}.",
            "a photo of a {}.",
            "a photo of the {}.",
            "a photo of the small {}.",
            "a photo of the large {}.",
        ),
        ("{}", "{}の写真", "{}。", "写真：{}", "この{}の写真"),
    ),
    "product": TemplateSet(
        (
            "{}",
            "a photo of {}.",
            "a photo of a {}.",
            "a product photo of a {}.",
            "a {} on a white background.",
            "a studio photo of a {}.",
        ),
        ("{}", "{}の写真", "{}の商品写真", "白い背景の{}", "{}のスタジオ写真"),
    ),
    "part": TemplateSet(
        (
            "{}",
            "a {}.",
            "a photo of a {}.",
            "a photo of a {} part.",
            "a {} on a white background.",
            "a {} from a catalogue.",
        ),
        ("{}", "{}の写真", "{}の部品の写真", "部品の{}", "白い背景の{}の写真"),
    ),
    "document": TemplateSet(
        (
            "{}",
            "a photo of a {}.",
            "a scan of a {}.",
            "a scanned {}.",
            "a document: {}.",
            "a page of a {}.",
            "a screenshot of a {}.",
        ),
        ("{}", "{}の写真", "{}のスキャン画像", "書類：{}", "{}のページ"),
    ),
}
# "None of these". Not the search's own (clipsearch.search.calibration): there they are questions that no
# picture answers, here what a picture shows that shows no label; and tagging stands beside search.
_NEUTRAL = TemplateSet(
    ("a photo.", "a picture.", "an image.", "a photo of something.", "a photo of an object.", "a close-up."),
    ("写真", "画像", "何かの写真", "物の写真", "クローズアップ写真"),
)
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]")
_HAN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_ARTICLE = re.compile(r"\b([Aa])n? \{\}")
_AS_VOWEL = re.compile(r"[aeiou]|hour|honest|honou?r|heir|8|1[18](?!\d)")
_AS_CONSONANT = re.compile(r"u(?:ni(?![nm])|s[aeu]|sb\b|t[ei]|r[aei]n|k[ru])|eu|ew|one\b|once\b")
_SPELT = re.compile(r"[A-Z][A-Z0-9]{0,2}(?![A-Za-z])")  # M8, LED, A4: letter by letter


class Templates:
    """Templates, chosen for each word by its language."""

    def __init__(self, english: Sequence[str], japanese: Sequence[str]) -> None:
        """english is for all words that are not Japanese."""
        self.english, self.japanese = tuple(dict.fromkeys(english)), tuple(dict.fromkeys(japanese))

    def prompts(self, word: str, *, language: str | None = None) -> tuple[str, ...]:
        """The word in each template, each once."""
        chosen = self.japanese if is_japanese(word, language=language) else self.english
        return tuple(dict.fromkeys(filled(template, word) for template in chosen))


def templates_of(vocabulary: Vocabulary, templates: Sequence[str] = ()) -> Templates:
    """The templates given, else the vocabulary's, else the general set.

    Each is a set's name, or an own template with {}, which is for words of all languages.
    Raises TaggingError for one that is neither.
    """
    english: list[str] = []
    japanese: list[str] = []
    for name in templates or vocabulary.templates or (DEFAULT,):
        if PLACE in name:
            english.append(name)
            japanese.append(name)
        elif name in SETS:
            english += SETS[name].english
            japanese += SETS[name].japanese
        else:
            raise TaggingError(_no_set(name))
    return Templates(english, japanese)


def prompts_of(label: Label, templates: Templates) -> tuple[tuple[str, ...], ...]:
    """All that is embedded for a label: one tuple for its name and one for each other word for it.

    Each word counts the same, whatever the number of its prompts. A label's own prompts take the place
    of its name's; {} in them is the name.
    """
    own = tuple(dict.fromkeys(filled(prompt, label.name) for prompt in label.prompts))
    found = [own or templates.prompts(label.name)]
    seen = {label.name}
    words = [(word, None) for word in label.synonyms]
    others = [(word, language) for language, some in label.translations.items() for word in some]
    for word, language in (*words, *others):
        if word not in seen:
            seen.add(word)
            found.append(templates.prompts(word, language=language))
    return tuple(found)


def neutral_of(vocabulary: Vocabulary) -> tuple[str, ...]:
    """The prompts for "none of these": the vocabulary's own, else those of the languages of its names."""
    if vocabulary.neutral:
        return vocabulary.neutral
    spoken = {is_japanese(label.name) for label in vocabulary.labels}
    english = _NEUTRAL.english if spoken != {True} else ()
    return (*english, *(_NEUTRAL.japanese if True in spoken else ()))


def explain(vocabulary: Vocabulary, templates: Sequence[str] = ()) -> Iterator[tuple[Label, list[str]]]:
    """Each label with all prompts that are embedded for it. Raises TaggingError as templates_of does."""
    chosen = templates_of(vocabulary, templates)
    for label in vocabulary.labels:
        yield label, [prompt for prompts in prompts_of(label, chosen) for prompt in prompts]


def is_japanese(word: str, *, language: str | None = None) -> bool:
    """Whether Japanese templates are for it: it has kana, or Chinese characters and no other language named.

    So a Chinese word gets them unless its translation says `zh`.
    """
    if language is not None:
        return language.casefold().split("-")[0] == "ja"
    return bool(_KANA.search(word) or _HAN.search(word))


def filled(template: str, word: str) -> str:
    """The word in the template's {}, and the article before it right: "an engine", "a unit", "scissors"."""
    article = _article(word)
    return _ARTICLE.sub(lambda found: _with_article(found.group(1), article), template).replace(PLACE, word)


def _with_article(first: str, article: str) -> str:
    return f"{first}{article[1:]} {PLACE}" if article else PLACE


def _article(word: str) -> str:
    """a, an, or nothing: before a plural, or a word that has an article."""
    parts = word.split() or [""]
    first = unicodedata.normalize("NFD", parts[0])
    if first.casefold() in ("a", "an", "the"):
        return ""
    if parts[-1].endswith("s") and not parts[-1].endswith(("ss", "us", "is")):
        return ""
    if _SPELT.match(first) or len(first) == 1:
        return "an" if first[0].upper() in "AEFHILMNORSX8" else "a"
    sound = first.casefold()
    return "an" if _AS_VOWEL.match(sound) and not _AS_CONSONANT.match(sound) else "a"


def _no_set(name: str) -> str:
    near = difflib.get_close_matches(name, SETS, n=1)
    guess = f"; did you mean {near[0]}?" if near else ""
    return f"{name!r} is no template set and has no {{}} for the word{guess} The sets: {', '.join(SETS)}"

"""What is embedded for a label: templates by language, articles, own prompts, neutral prompts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipsearch.errors import TaggingError
from clipsearch.tagging.prompts import (
    SETS,
    explain,
    filled,
    is_japanese,
    neutral_of,
    prompts_of,
    templates_of,
)
from clipsearch.tagging.vocabulary import Label, Vocabulary, vocabulary_of


def of(label: Label, *templates: str) -> tuple[tuple[str, ...], ...]:
    return prompts_of(label, templates_of(Vocabulary((label,)), templates))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("bolt", "a bolt"),
        ("engine", "an engine"),
        ("Elbow", "an Elbow"),
        ("umbrella", "an umbrella"),
        ("unit", "a unit"),
        ("uninsulated wire", "an uninsulated wire"),
        ("university", "a university"),
        ("U bracket", "a U bracket"),
        ("S hook", "an S hook"),
        ("M8 bolt", "an M8 bolt"),
        ("LED lamp", "an LED lamp"),
        ("USB plug", "a USB plug"),
        ("hourglass", "an hourglass"),
        ("one-way valve", "a one-way valve"),
        ("8-pin plug", "an 8-pin plug"),
        ("11-speed chain", "an 11-speed chain"),
        ("110 V motor", "a 110 V motor"),
        ("usb plug", "a usb plug"),
        ("pliers", "pliers"),
        ("brass", "a brass"),
        ("bus", "a bus"),
        ("a dog", "a dog"),
        ("The Beatles", "The Beatles"),
        ("élan", "an élan"),
        ("", "a "),
    ],
)
def test_the_article_fits_the_word(word: str, expected: str) -> None:
    assert filled("a {}", word) == expected
    assert filled("an {}", word) == expected
    assert filled("the {}, a bad {}", word) == f"the {word}, a bad {word}"


def test_a_capital_article_stays_capital() -> None:
    assert filled("A {} on a table", "engine") == "An engine on a table"
    assert filled("A {} on a table", "plates") == "plates on a table"


@given(st.text(max_size=30))
def test_every_word_is_in_each_of_its_prompts(word: str) -> None:
    for prompt in of(Label("x", word), *SETS)[0]:
        assert word in prompt


def test_a_word_that_looks_like_a_template_is_put_in_as_it_is() -> None:
    assert filled("a photo of {}.", "{}") == "a photo of {}."
    assert filled("a photo of {}.", "{0} %s") == "a photo of {0} %s."


def test_japanese_words_get_japanese_templates_and_others_english_ones() -> None:
    label = Label(
        "brass", "brass", synonyms=("真鍮",), translations={"de": ("Messing",), "ja": ("黄銅", "ブラス")}
    )
    name, *others = of(label, "general")
    assert "a photo of brass." in name and not any("写真" in prompt for prompt in name)
    assert [some[1] for some in others] == ["真鍮の写真", "a photo of Messing.", "黄銅の写真", "ブラスの写真"]


def test_a_named_language_is_believed_before_the_script() -> None:
    assert is_japanese("螺栓") and not is_japanese("螺栓", language="zh-Hant")
    assert is_japanese("M8", language="ja-JP")
    assert is_japanese("ﾎﾞﾙﾄ") and not is_japanese("볼트") and not is_japanese("болт")
    (_, other) = of(Label("bolt", "bolt", translations={"zh": ("螺栓",)}), "general")
    assert "a photo of 螺栓." in other


@pytest.mark.parametrize("name", SETS)
def test_sets_are_short_and_have_a_place_for_the_word(name: str) -> None:
    for templates in (SETS[name].english, SETS[name].japanese):
        assert 5 <= len(templates) <= 8
        assert all(template.count("{}") == 1 for template in templates)
        assert len(set(templates)) == len(templates)


def test_sets_and_own_templates_add_up_and_nothing_is_embedded_twice() -> None:
    (name,) = of(Label("x", "bolt"), "general", "part", "macro: {}", "a photo of {}.")
    assert name[-1] == "macro: bolt"
    assert set(name) == {filled(t, "bolt") for s in ("general", "part") for t in SETS[s].english} | {name[-1]}
    assert len(set(name)) == len(name)


def test_own_templates_are_for_all_words() -> None:
    assert of(Label("x", "bolt", synonyms=("ボルト",)), "macro: {}") == (("macro: bolt",), ("macro: ボルト",))


def test_templates_given_win_over_the_vocabularys_and_these_over_the_default() -> None:
    label = Label("x", "bolt")
    own = Vocabulary((label,), templates=("own {}",))
    assert templates_of(own).english == ("own {}",)
    assert templates_of(own, ["other {}"]).english == ("other {}",)
    assert templates_of(Vocabulary((label,))).english == SETS["general"].english


@pytest.mark.parametrize("name", ["prat", "a photo of it", "", "{ }"])
def test_what_is_neither_a_set_nor_a_template_is_refused_by_name(name: str) -> None:
    with pytest.raises(TaggingError, match=r"general, product, part, document") as caught:
        templates_of(Vocabulary(()), [name])
    assert repr(name) in str(caught.value)
    assert ("did you mean part?" in str(caught.value)) == (name == "prat")


def test_own_prompts_take_the_place_of_the_names_and_other_words_stay() -> None:
    label = Label("brass", "brass", synonyms=("真鍮",), prompts=("a yellow {} thing", "gold-like metal"))
    own, other = of(label, "general")
    assert own == ("a yellow brass thing", "gold-like metal")
    assert "真鍮の写真" in other


def test_a_word_twice_is_embedded_once() -> None:
    label = Label(
        "bolt", "bolt", synonyms=("bolt", "screw"), translations={"en": ("screw",), "de": ("bolt",)}
    )
    assert len(of(label)) == 2


def test_explain_shows_all_that_is_embedded() -> None:
    vocabulary = Vocabulary(
        (Label("x", "bolt", synonyms=("screw",)), Label("y", "nut", prompts=("a hex {}",)))
    )
    shown = {label.id: prompts for label, prompts in explain(vocabulary, ["a {}", "the {}"])}
    assert shown == {"x": ["a bolt", "the bolt", "a screw", "the screw"], "y": ["a hex nut"]}


def test_neutral_prompts_speak_the_vocabularys_languages() -> None:
    english, japanese = neutral_of(vocabulary_of(["bolt"])), neutral_of(vocabulary_of(["ボルト"]))
    assert not any(is_japanese(prompt) for prompt in english)
    assert all(is_japanese(prompt) for prompt in japanese)
    assert set(neutral_of(vocabulary_of(["bolt", "ナット"]))) == {*english, *japanese}
    assert neutral_of(Vocabulary((), neutral=("nothing",))) == ("nothing",)
    assert neutral_of(Vocabulary(())) == english

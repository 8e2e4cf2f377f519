import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmdia_eval.text
from mmdia_eval.errors import UserError
from mmdia_eval.text import NORMALIZERS, normalizer, strip_marks

whisper_en = normalizer("whisper-en")


def test_examples_in_docstrings() -> None:
    assert doctest.testmod(mmdia_eval.text).failed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<sigh> Fine.", "Fine."),
        ("Fine (laughs), really.", "Fine , really."),
        ("[music] Fine {gasp}", "Fine"),
        ("*sighs* Fine *clears throat*", "Fine"),
        ("[S1] Hi [S2] there", "Hi there"),
        ("[music (loud)] Hi", "Hi"),
        ("(to the waiter, in French) A table, please", "A table, please"),
        ("wait<laughs>ing", "wait ing"),
        ("a < b and c > d", "a b and c d"),
        ("2 * 3 * 4", "2 3 4"),
        ("", ""),
        ("(laughs)", ""),
    ],
)
def test_marks(text: str, expected: str) -> None:
    assert strip_marks(text) == expected


@pytest.mark.parametrize("opened", "([{<*")
def test_an_unclosed_bracket_takes_no_words(opened: str) -> None:
    text = f"I {opened}never said that (laughs) at all"
    assert strip_marks(text) == "I never said that at all"
    assert whisper_en(text) == "i never said that at all"


def test_a_bracket_closed_by_another_kind_takes_no_words() -> None:
    # Whisper's own rule takes "[" up to the next ">".
    assert whisper_en("I [never said> that") == "i never said that"


@pytest.mark.parametrize("apostrophe", "'\u2019\u2018\u02bc\u2032\uff07\u00b4`\u201b")
def test_apostrophes_are_one(apostrophe: str) -> None:
    assert strip_marks(f"don{apostrophe}t") == "don't"
    assert whisper_en(f"don{apostrophe}t") == "do not"


def test_compatibility_forms_and_invisible_characters() -> None:
    assert strip_marks("\ufeffﬁne\u200b, ｏｋ\u00ad") == "fine, ok"


@given(st.text())
def test_stripping_twice_is_stripping_once(text: str) -> None:
    assert strip_marks(strip_marks(text)) == strip_marks(text)


@given(st.text())
def test_no_bracket_survives(text: str) -> None:
    assert not set("<>()[]{}*") & set(strip_marks(text))


@pytest.mark.parametrize("name", NORMALIZERS)
@given(text=st.text(alphabet=st.sampled_from("aB 1.5,$%'’(<[{*)>]}…-\n") | st.characters()))
def test_normalizers_take_any_text(name: str, text: str) -> None:
    assert isinstance(normalizer(name)(text), str)


@given(st.text(alphabet=st.sampled_from("aB 1.5,$%'’(<[…-½£") | st.characters()))
def test_whisper_en_leaves_only_tokens_with_letters_or_digits(text: str) -> None:
    assert all(any(map(str.isalnum, token)) for token in whisper_en(text).split(" ") if token)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One two three.", "123"),
        ("Well... I, uh, dunno.", "well i do not know"),
        ("It’s twenty dollars!", "it is $20"),
        ("The colour (laughs)", "the color"),
        ("Mm, hmm... ?", ""),
    ],
)
def test_whisper_en(text: str, expected: str) -> None:
    assert whisper_en(text) == expected


def test_whisper_en_agrees_with_the_library_where_it_adds_nothing() -> None:
    from whisper_normalizer.english import EnglishTextNormalizer

    text = "We'll meet Mr. Smith at half past ten, won't we? It costs $5.50"
    assert whisper_en(text) == EnglishTextNormalizer()(text).strip()


@pytest.mark.parametrize(
    ("text", "seedtts", "zipvoice"),
    [
        ("Don’t", "dont", "dont"),
        ("Don't", "don't", "don't"),
        ("well-known", "wellknown", "wellknown"),
        ("wait—what", "waitwhat", "waitwhat"),
        ("$5.50 at 3:30", "550 at 330", "550 at 330"),
        ("(laughs) Yes", "laughs yes", "yes"),
        ("{laughs} *sighs*", "laughs sighs", "laughs sighs"),
        ("a (laughs) b", "a laughs b", "a b"),
        ("a - b -  - c", "a b  c", "a b c"),
        ("(unclosed yes", "unclosed yes", "unclosed yes"),
    ],
)
def test_normalizers_of_the_reference_scripts(text: str, seedtts: str, zipvoice: str) -> None:
    assert normalizer("seedtts")(text) == seedtts
    assert normalizer("zipvoice")(text) == zipvoice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Whisper's rules, as known to bite (openai/whisper and whisper_normalizer 0.1.15).
        ("don’t", "do not"),
        ("don't", "do not"),
        ("Mario's", "mario is"),
        ("oh", "0"),
        ("and a half", ""),
        ("hmm, uh, um, mhm", ""),
        ("ain't", "aint"),
        ("okay", "okay"),
        ("alright", "alright"),
        ("cannot", "cannot"),
        # What ours takes out before or after them.
        ("{gasp}", ""),
        ("*sighs*", ""),
        ("...", ""),
        ("<sigh> Fine", "fine"),
        ("(never closed, I said", "never closed i said"),
    ],
)
def test_pitfalls_of_whisper_en(text: str, expected: str) -> None:
    assert whisper_en(text) == expected


def test_pitfalls_of_the_reference_scripts() -> None:
    for name in ("seedtts", "zipvoice"):
        normalize = normalizer(name)
        assert normalize("18") != normalize("eighteen")
        assert normalize("Don’t") != normalize("Don't")
        assert normalize("well-known") != normalize("well known")
    assert normalizer("seedtts")("<sigh> (laughs) Yes") == "sigh laughs yes"
    assert normalizer("zipvoice")("<sigh> (laughs) Yes") == "yes"


def test_none_changes_nothing() -> None:
    assert normalizer("none")(" <As is> ") == " <As is> "


def test_version_names_the_library() -> None:
    from importlib.metadata import version

    assert whisper_en.version.endswith(version("whisper-normalizer"))
    assert whisper_en.name == "whisper-en"


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"unknown normalizer 'x'; known: none, seedtts"):
        normalizer("x")

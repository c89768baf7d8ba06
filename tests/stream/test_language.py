"""Which language a message is in, and what follows from it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract import Encoded
from model.fake import FakeClassifier
from stream.annotate.inference import read
from stream.annotate.ledger import Unread
from stream.language import UNDETERMINED, Language, LanguageGate, identify

MESSAGES = {
    "en": "The parcel still has not arrived and nobody answers my mails.",
    "de": "Das Paket ist immer noch nicht da, und niemand antwortet auf meine Mails.",
    "es": "El paquete todavía no ha llegado y nadie contesta mis correos.",
    "ru": "Посылка до сих пор не пришла, и никто не отвечает на письма.",
    "hi": "पार्सल अभी तक नहीं आया और कोई जवाब नहीं दे रहा है।",
    "zh": "包裹还没有到，也没有人回复我的邮件。",
    "he": "החבילה עדיין לא הגיעה ואף אחד לא עונה למיילים שלי.",
    "jv": "Paket durung teka lan ora ana sing mbales surelku babar pisan.",
}


@pytest.mark.parametrize("tag", MESSAGES)
def test_a_sentence_is_in_its_language(tag: str) -> None:
    assert identify(MESSAGES[tag]).tag == tag
    assert identify(MESSAGES[tag]).confidence > 0.8


@pytest.mark.parametrize("text", ["ok", "super!!", "lol", "👍👍", "12:30", "", "@kim www"])
def test_a_few_latin_letters_belong_to_no_language(text: str) -> None:
    assert identify(text) == UNDETERMINED


@pytest.mark.parametrize("space", ["\n", "\t", "\xa0", "\u3000"])
def test_words_stay_apart_whatever_space_stands_between_them(space: str) -> None:
    for text in ("No No No please stop it", "why am I always the last one to know this", MESSAGES["de"]):
        assert identify(text.replace(" ", space)) == identify(text)


@given(st.text(max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    language = identify(text)
    assert 0.0 <= language.confidence <= 1.0
    assert (language.tag is None) == (language == UNDETERMINED)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800 broken", "x" * 100_000, "\U000e0041" * 50, "a\u202eb"])
def test_control_characters_and_broken_text_do_no_harm(text: str) -> None:
    assert isinstance(identify(text), Language)


class TestGate:
    def test_only_a_language_that_is_determined_and_not_measured_is_kept_from_the_model(self) -> None:
        gate = LanguageGate(("en", "pt-BR"))
        assert gate.readable(Language("en", 1.0))
        assert gate.readable(Language("pt", 1.0))
        assert gate.readable(UNDETERMINED)
        assert not gate.readable(Language("de", 0.9))

    @pytest.mark.parametrize(
        ("measured", "text"),
        [
            ("he", MESSAGES["he"]),
            ("iw", MESSAGES["he"]),
            ("jv", MESSAGES["jv"]),
            ("nb-NO", "Pakken har fortsatt ikke kommet, og ingen svarer på e-postene mine."),
            ("no", "Pakka har framleis ikkje kome, og ingen svarar på e-postane mine."),
            ("nn", "Pakka har framleis ikkje kome, og ingen svarar på e-postane mine."),
            ("fil", "Hindi pa rin dumarating ang parsela at walang sumasagot sa mga email ko."),
        ],
    )
    def test_a_language_that_goes_by_several_tags_is_read_by_any_of_them(
        self, measured: str, text: str
    ) -> None:
        assert LanguageGate((measured,)).readable(identify(text))
        assert not LanguageGate((measured,)).readable(identify(MESSAGES["de"]))

    def test_a_text_in_two_languages_is_read_where_one_of_them_is_measured(self) -> None:
        assert LanguageGate(("en",)).readable(Language("hi", 0.6, ("en",)))

    def test_weights_of_which_nobody_said_what_they_read_and_the_setting_read_everything(self) -> None:
        for gate in (LanguageGate(()), LanguageGate(("en",), read_all=True)):
            assert gate.readable(Language("de", 1.0))


def test_what_the_model_was_not_measured_in_gets_no_tokens() -> None:
    readings = read(FakeClassifier(), LanguageGate(("en",)), [MESSAGES["en"], MESSAGES["de"], "ok"])
    assert [reading.language.tag for reading in readings] == ["en", "de", None]
    assert [type(reading.result) for reading in readings] == [Encoded, Unread, Encoded]

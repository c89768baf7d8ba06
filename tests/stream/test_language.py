"""Which language a message is in, and what follows from it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract import Encoded
from model.fake import FakeClassifier
from model.folder import SHIPPED, ModelFolder
from stream.annotate.inference import read
from stream.annotate.ledger import Unread
from stream.language import UNDETERMINED, Language, LanguageGate, identify

TRAINING = Path(__file__).parents[2] / "training" / "messages"
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


def test_letters_without_a_language_that_fits_belong_to_none() -> None:
    assert identify("sab khatam. chitthi likh di hai. mummy ko bolna meri galti thi") == UNDETERMINED
    assert identify("Завтра мене не турбуйте, мене завтра нема") == UNDETERMINED


@pytest.mark.parametrize("text", ["main jeena nahi chahta", "ya ne hochu zhit"])
def test_nobody_is_taken_to_write_klingon(text: str) -> None:
    assert identify(text) == UNDETERMINED


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
        german = MESSAGES["de"]
        assert gate.readable(Language("en", 1.0), german)
        assert gate.readable(Language("pt", 1.0), german)
        assert gate.readable(UNDETERMINED, german)
        assert not gate.readable(Language("de", 0.9), german)

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
        german = MESSAGES["de"]
        assert LanguageGate((measured,)).readable(identify(text), text)
        assert not LanguageGate((measured,)).readable(identify(german), german)

    def test_a_text_in_two_languages_is_read_where_one_of_them_is_measured(self) -> None:
        assert LanguageGate(("en",)).readable(Language("hi", 0.6, ("en",)), MESSAGES["hi"])

    def test_weights_of_which_nobody_said_what_they_read_and_the_setting_read_everything(self) -> None:
        for gate in (LanguageGate(()), LanguageGate(("en",), read_all=True)):
            assert gate.readable(Language("de", 1.0), MESSAGES["de"])

    @pytest.mark.parametrize(
        ("measured", "text"),
        [
            ("sv", "står på bron. det är kallt men det spelar ingen roll"),
            ("zh", "割了,血止不住,突然又有点怕"),
            ("uk", "Завтра мене не турбуйте, мене завтра нема"),
            ("ru", "не могу выйти из дома, стою одетая в коридоре уже час"),
            ("en", "hes got a key. HES GOT A KEY"),
            ("hi", "sab khatam. chitthi likh di hai. mummy ko bolna meri galti thi"),
        ],
    )
    def test_a_short_text_that_may_be_in_a_measured_language_is_read(self, measured: str, text: str) -> None:
        assert LanguageGate((measured,)).readable(identify(text), text)

    @pytest.mark.parametrize("tag", ["de", "es", "ru", "zh", "he"])
    def test_a_sentence_in_another_language_is_not_read_because_of_what_is_expected(self, tag: str) -> None:
        text = MESSAGES[tag]
        assert not LanguageGate(("en", "sv", "uk", "hi")).readable(identify(text), text)


@pytest.mark.parametrize("weights", sorted(SHIPPED))
def test_few_messages_in_a_language_that_shipped_weights_claim_are_unknown_to_them(weights: str) -> None:
    """One in a hundred and fifty, of those in training/messages."""
    measured = ModelFolder.open(SHIPPED[weights]).calibration.measured_languages
    gate = LanguageGate(measured)
    languages = {tag.partition("-")[0] for tag in measured}
    files = [file for file in (TRAINING / "languages").glob("*.jsonl") if file.name[:2] in languages]
    files.append(TRAINING / "support.jsonl")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").split("\n") if line]
    texts = [json.loads(line)["text"] for line in lines]
    unknown = sum(not gate.readable(identify(text), text) for text in texts)
    assert 150 * unknown <= len(texts)


def test_what_the_model_was_not_measured_in_gets_no_tokens() -> None:
    readings = read(FakeClassifier(), LanguageGate(("en",)), [MESSAGES["en"], MESSAGES["de"], "ok"])
    assert [reading.language.tag for reading in readings] == ["en", "de", None]
    assert [type(reading.result) for reading in readings] == [Encoded, Unread, Encoded]

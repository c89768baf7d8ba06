"""One batch through the model, with a batch that fails cut in half until only the culprit is left.

Runs in the model's thread. A model that fails on a harmless text is broken as a whole; then nothing is
dead-lettered: the error goes up, the process ends, and the messages are still in Kafka.
"""

from collections.abc import Sequence
from typing import NamedTuple

from model.contract import Emotion, Encoded, Model
from stream.annotate.ledger import Unread
from stream.errors import Cause, MessageError, StreamError
from stream.language import Language, LanguageGate, identify

_HARMLESS = "The parcel arrives on Tuesday."


class ModelBrokenError(StreamError):
    """The model fails on every text; nothing was labelled and nothing was lost."""

    exit_code = 6


def tokenize(model: Model, texts: Sequence[str]) -> list[Encoded | MessageError]:
    """Token ids of each text, or why there are none."""
    try:
        return list(model.tokenize(texts))
    except Exception as error:
        if len(texts) > 1:
            half = len(texts) // 2
            return tokenize(model, texts[:half]) + tokenize(model, texts[half:])
        return [_blame(model, error)]


class Reading(NamedTuple):
    """A text made ready for the model: its language, and its tokens or the outcome without them."""

    language: Language
    result: Encoded | MessageError | Unread


def read(model: Model, gate: LanguageGate, texts: Sequence[str]) -> list[Reading]:
    """Language and tokens of each text; what the model was not measured in gets no tokens."""
    languages = [identify(text) for text in texts]
    readable = [gate.readable(language, text) for language, text in zip(languages, texts, strict=True)]
    encoded = iter(tokenize(model, [text for text, may in zip(texts, readable, strict=True) if may]))
    return [
        Reading(language, next(encoded) if may else Unread.UNKNOWN)
        for language, may in zip(languages, readable, strict=True)
    ]


def infer(model: Model, batch: Sequence[Encoded]) -> list[Emotion | MessageError]:
    """The emotion of each text, or why there is none, in the order of the batch.

    Raises:
        ModelBrokenError: the model fails on a harmless text too.
    """
    try:
        return list(model.decide(batch, model.forward(batch)))
    except Exception as error:
        if len(batch) > 1:
            half = len(batch) // 2
            return infer(model, batch[:half]) + infer(model, batch[half:])
        return [_blame(model, error)]


def prove(model: Model) -> None:
    """Label a harmless text.

    Raises:
        ModelBrokenError: the model cannot.
    """
    try:
        canary = model.tokenize([_HARMLESS])
        model.decide(canary, model.forward(canary))
    except Exception as broken:
        raise ModelBrokenError(
            f"the model fails on every text ({type(broken).__name__}): see its log; no message was lost"
        ) from broken


def _blame(model: Model, error: Exception) -> MessageError:
    """Whose fault a failure on a single text is: the text's, unless a harmless one fails as well.

    Only the type of the error is kept: its words may quote the text.
    """
    prove(model)
    return MessageError(Cause.MODEL_FAILED, f"the model raised {type(error).__name__} on this text")

"""The contract on the wire: what comes in, what goes out. JSON Schemas and AsyncAPI are made from here.

    messages ─► Message        emotions ◄─ EmotionEvent        emotions.counts ◄─ CountDelta
                               emotions.dlq ◄─ DeadLetter      emotions.signals ◄─ DistressSignal

Every output is a CloudEvent in Kafka's binary mode (``ce_*`` headers, CloudEvents Kafka binding 1.0.2).
Readers must ignore fields that they do not know: fields are added, never renamed.
"""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

ALL_CHANNELS = "*"
"""The channel name under which the total over all channels is counted."""

UNKNOWN = "unknown"
"""The label of a message in a language that the weights were not measured in."""

NO_CHANNEL = "-"
"""The channel name under which messages without a channel are counted."""


UNREPRESENTABLE: Final = datetime.max.replace(tzinfo=UTC)
"""Stands for a time that no ``datetime`` in UTC can hold: it lies as far ahead of any clock."""


_CALENDAR: Final = datetime.min.replace(tzinfo=UTC, day=2), datetime.max.replace(tzinfo=UTC, day=30)
"""Times with a day to spare on either side, so that a window around one can be named."""


def _as_utc(moment: datetime) -> datetime:
    first, last = _CALENDAR
    if not first <= (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= last:
        raise ValueError("the time is out of range")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _claimed_time(value: Any, read: ValidatorFunctionWrapHandler) -> datetime | None:
    """A producer's time: what is blank is none, and what lies beyond every calendar is a time all the same.

    NaN is none, too: so writers of tables say that it is missing. Whether a time can be right
    is not asked here but where it is used.
    """
    if (isinstance(value, str) and not value.strip()) or value != value:
        return None
    try:
        moment: datetime | None = read(value)
        return moment and _as_utc(moment)
    except ValidationError:
        if _is_number(value):
            return UNREPRESENTABLE
        raise
    except ValueError:
        return UNREPRESENTABLE


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().removeprefix("-").isdecimal()
    return isinstance(value, int | float) and not isinstance(value, bool)


UtcTime = Annotated[datetime, AfterValidator(_as_utc)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]
MOST_COUNTED: Final = 2**53 - 1
"""No count is larger: it is what every JSON reader takes exactly (RFC 8259, section 6)."""

Count = Annotated[int, Field(ge=0, le=MOST_COUNTED)]
TopicName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$")]
"""What Kafka takes as the name of a topic."""
ShortText = Annotated[StrictStr, Field(max_length=1024)]
Name = Annotated[
    str,
    Field(max_length=1024, coerce_numbers_to_str=True),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 1024}, {"type": "number"}]}),
]
"""What a producer calls something: text, or a number, which is taken as its digits."""


def digits_of(number: float) -> str | None:
    """A number as a name: its digits, without an exponent; none of what is not finite.

    Writers of tables have NaN where a name is missing; as a name it would unite all who have none.
    """
    if isinstance(number, int):
        return str(number)
    return format(Decimal(repr(number)), "f").removesuffix(".0") if math.isfinite(number) else None


def _named(value: Any) -> Any:
    return digits_of(value) if isinstance(value, float) else value


MaybeName = Annotated[Name | None, BeforeValidator(_named)]
ClaimedTime = Annotated[datetime | None, WrapValidator(_claimed_time)]


ReplacedTime = Annotated[
    Literal["message", "broker"] | None,
    Field(description="Whose time could not be right, so that ``ts`` is Kafka's, or that of labelling."),
]


class WireType(BaseModel):
    """Frozen, and open to fields that a newer version adds. Its errors never hold what was written."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Message(WireType):
    """What producers send. Only ``text`` is required."""

    text: StrictStr = Field(description="What the person wrote.")
    id: MaybeName = Field(None, description="The producer's own id of the message.")
    author: MaybeName = Field(None, description="Who wrote it; published only as a keyed hash.")
    channel: MaybeName = Field(None, description="Where it was written: the unit of counting.")
    conversation: MaybeName = Field(None, description="The thread or ticket it belongs to.")
    ts: ClaimedTime = Field(None, description="When it was written (ISO 8601 or Unix time).")
    meta: dict[str, Any] | None = Field(None, description="For the producer's own use; not published.")


_EPOCH: Final = "Kafka's id of the topic: another one after it was deleted and made anew; none: not known."


class Source(WireType):
    """Where the labelled message lies in the input topic."""

    topic: TopicName
    partition: Count
    offset: Count
    epoch: str | None = Field(None, description=_EPOCH)


class OffsetRange(WireType):
    """The messages that a count covers, both ends included."""

    topic: TopicName
    partition: Count
    first_offset: Count
    last_offset: Count
    epoch: str | None = Field(None, description=_EPOCH)


class Scores(WireType):
    """Calibrated probability of each emotion; with ``neutral`` they sum to 1."""

    sadness: Probability
    joy: Probability
    love: Probability
    anger: Probability
    fear: Probability
    surprise: Probability


class DistressReading(WireType):
    """How much it reads like a message that a person would want to see. A signal, never a diagnosis."""

    score: Probability
    level: Literal["none", "watch", "elevated", "high"]


class ModelRef(WireType):
    """The weights behind a label."""

    name: str
    revision: str


class EmotionEvent(WireType):
    """A labelled message. ``id`` follows from ``source``; ``message_id`` is the producer's own."""

    id: str
    label: Literal["sadness", "joy", "love", "anger", "fear", "surprise", "neutral", "unknown"] = Field(
        description="``unknown``: in a language that the weights were not measured in, and so not read."
    )
    labels: tuple[str, ...] = Field(
        (),
        description="Every emotion over its own threshold, strongest first; empty when neutral or unknown.",
    )
    confidence: Probability = Field(description="Calibrated probability of ``label``; 0 when unknown.")
    scores: Scores | None = Field(None, description="None when unknown.")
    neutral: Probability | None = Field(None, description="None when unknown.")
    distress: DistressReading | None = Field(None, description="None when unknown.")
    language: str | None = Field(None, description="BCP 47; None where it is undetermined.")
    language_confidence: Probability = Field(0.0, description="Share of the text that is in ``language``.")
    message_id: str | None = None
    author: str | None = Field(None, description="Pseudonym: HMAC-SHA-256 of the author, never the author.")
    channel: str | None = None
    conversation: str | None = None
    ts: UtcTime = Field(description="When the message was written, else when Kafka took it.")
    ts_replaced: ReplacedTime = None
    labelled_at: UtcTime
    model: ModelRef
    source: Source
    windows: Count = Field(description="Token windows that the text was read in; 0 when unknown.")
    text: str | None = Field(None, description="Only with ``include_text``.")


def _none_read(reading: Any) -> Any:
    """An event that the model did not read has no distress; to the rules that is none."""
    return {"score": 0.0, "level": "none"} if reading is None else reading


class DistressSignal(WireType):
    """What the alert rules read of one message: its distress, and whose it is. Same ``id`` as its event."""

    id: str
    author: str | None = None
    channel: str | None = None
    conversation: str | None = None
    message_id: str | None = None
    label: str
    confidence: Probability
    distress: Annotated[DistressReading, BeforeValidator(_none_read)]
    phrases: tuple[str, ...] = Field((), description="Names of the operator's phrase lists that matched.")
    ts: UtcTime
    ts_replaced: ReplacedTime = None
    model: ModelRef
    source: Source
    text: str | None = Field(None, description="Only with ``include_text``.")


class WindowCounts(WireType):
    """What happened in one window of event time. ``labels`` holds only labels that occurred."""

    start: UtcTime = Field(description="Start of the window; its length is ``count_window_s``.")
    labels: dict[str, Count]
    confidence_sum: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        description="Over all labels, for mean confidence."
    )
    unknown: Count = Field(0, description="In a language that the weights were not measured in.")
    opted_out: Count = 0
    dead_lettered: Count = 0
    tombstones: Count = 0


class CountDelta(WireType):
    """What one commit adds to the counts of one channel. Keyed by channel.

    Deltas of one input partition come in the order of their offsets and never overlap, so whoever keeps
    the last offset applied beside a count can drop a replayed delta.
    """

    id: str
    channel: str = Field(description="A channel's name; ``*`` is the total, ``-`` messages without one.")
    source: OffsetRange
    windows: tuple[WindowCounts, ...]
    model: ModelRef | None = Field(None, description="The weights behind the labels counted.")


class DeadLetter(WireType):
    """Why a message was not labelled: the ``dlq_*`` headers of a record in ``emotions.dlq``.

    The record's key and value are the original bytes. Original headers are kept; those whose names we
    use ourselves (``ce_*``, ``dlq_*``) carry the prefix ``original_``. Of a message that the topic has no
    room for, ``cut`` names the parts that are missing here; the whole lies at ``source`` while it is kept.
    A letter with a ``first_offset`` stands for a whole batch that was not read, and has no content.
    """

    id: str
    cause: str
    error: str = Field(description="What was wrong, without message content.")
    source: Source
    failed_at: UtcTime
    timestamp_ms: int | None = Field(None, description="Kafka's time stamp of the message, as it was.")
    cut: tuple[str, ...] = Field((), description="Of value, headers and key, what is cut; mostly nothing.")
    size: Count | None = Field(None, description="Bytes of the whole value; only where something is cut.")
    sha256: str | None = Field(None, description="SHA-256 of the whole value; only where something is cut.")
    first_offset: Count | None = Field(
        None, description="Of a batch that was not read: its first offset; `source` has its last one."
    )

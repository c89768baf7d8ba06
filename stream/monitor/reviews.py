"""What people do with alerts, and with what is known of an author: reviews, and forgetting.

Every review is a record of its own in ``emotions.reviews`` and stays: who said what of which alert, and when.
"""

import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from stream.admin import check_topics
from stream.authors import canonical_author
from stream.cloudevents import CloudEventHeaders, to_json
from stream.commands.clients import broker_errors, producing
from stream.errors import SettingsError, StreamError
from stream.monitor.alerts import authors_named
from stream.monitor.board import Board
from stream.monitor.events import Alert, Review, Verdict
from stream.monitor.tail import read_board
from stream.privacy import PSEUDONYM_HEX_DIGITS, Pseudonyms, is_pseudonym
from stream.records import Record
from stream.settings import Settings

_SOURCE: Final = "emotion-stream/alerts"


class UnknownAlertError(StreamError):
    """There is no such alert: it never was, or its retention has passed."""

    exit_code = 1


async def current_board(settings: Settings) -> Board:
    """All alerts and reviews that the topics hold.

    Raises:
        BrokerError, TopicError: the cluster or a topic is not there.
    """
    names = settings.topics
    partitions = await check_topics(settings, [names.counters, names.alerts, names.reviews])
    with broker_errors(settings):
        return await read_board(settings, partitions)


async def review(
    settings: Settings, alert_id: str, verdict: Verdict, *, reviewer: str, note: str | None
) -> Review:
    """Write down what a person says of an alert.

    Raises:
        UnknownAlertError: no alert has this id.
    """
    board = await current_board(settings)
    alert = find(board, alert_id)
    at = moment_after(board.reviews.get(alert.id, ()))
    written = review_of(alert, verdict, reviewer=reviewer, note=note, at=at)
    record = review_record(written)
    with broker_errors(settings):
        async with producing(settings) as producer:
            await producer.send_and_wait(
                settings.topics.reviews, record.value, key=record.key, headers=record.headers
            )
    return written


def moment_after(reviews: Sequence[Review]) -> datetime:
    """Now; or just after the last review, where the clock of who wrote it is ahead of ours."""
    now = datetime.now(UTC)
    return max(now, reviews[-1].at + timedelta(milliseconds=1)) if reviews else now


def review_of(alert: Alert, verdict: Verdict, *, reviewer: str, note: str | None, at: datetime) -> Review:
    """What a person says of an alert, under an id of its own."""
    return Review(
        id=str(uuid.uuid4()),
        alert_id=alert.id,
        rule=alert.rule,
        verdict=verdict,
        reviewer=reviewer,
        note=note,
        at=at,
    )


def review_record(review: Review) -> Record:
    """A review as a record of the reviews' topic."""
    headers = CloudEventHeaders("Review", _SOURCE).of(review.id, review.at.isoformat().encode())
    value = to_json(review.model_dump())
    return Record(review.alert_id.encode(), value, headers, int(review.at.timestamp() * 1000))


def find(board: Board, alert_id: str) -> Alert:
    """The alert with this id, or the only one whose id begins like this.

    Raises:
        UnknownAlertError: there is none, or more than one.
    """
    if alert_id in board.alerts:
        return board.alerts[alert_id]
    found = [alert for known, alert in board.alerts.items() if known.startswith(alert_id)]
    if len(found) == 1:
        return found[0]
    many = "several alerts' ids begin" if found else "no alert's id begins"
    raise UnknownAlertError(f"{many} with {alert_id!r}: see emotion-stream alerts list")


def pseudonym_of(settings: Settings, author: str) -> str:
    """The pseudonym under which an author is known.

    Raises:
        SettingsError: the key of the pseudonyms is not set, or nothing of the author is left to hash.
    """
    if not canonical_author(author, settings.author_case):
        raise SettingsError("AUTHOR is empty: give the author as in the messages")
    if settings.author_key is None:
        raise SettingsError(
            "without its key the author's pseudonym is not known: set EMOTION_AUTHOR_KEY, or give --pseudonym"
        )
    key = settings.author_key.get_secret_value().encode()
    return Pseudonyms(key, author_case=settings.author_case).of(author)


def checked_pseudonym(pseudonym: str) -> str:
    """A pseudonym that a person gave. The topics that it goes to keep it, and must not keep a name.

    Raises:
        SettingsError: it cannot be one. What was given is not repeated: it may be a name.
    """
    if not is_pseudonym(pseudonym):
        raise SettingsError(
            f"--pseudonym is no pseudonym: give the {PSEUDONYM_HEX_DIGITS} digits (0-9, a-f) that signals "
            "and alerts have as author, or the author's name as AUTHOR, with EMOTION_AUTHOR_KEY set"
        )
    return pseudonym


async def opt_out(settings: Settings, pseudonym: str) -> None:
    """Have annotators with ``optout_topic`` label an author no more."""
    topic = settings.topics.optout
    await check_topics(settings, [topic])
    with broker_errors(settings):
        async with producing(settings) as producer:
            await producer.send_and_wait(topic, b"{}", key=pseudonym.encode())


async def forget(settings: Settings, pseudonym: str) -> int:
    """Delete the state of an author and the alerts that name them; how many alerts that were.

    Tombstones go to every partition: before partitions were added, what they delete lay in another one.
    Those among the signals and the counts have the monitors delete the state of the author and of channels
    that are called after them, and what alerts they publish until then. Meanwhile the one among the alerts,
    which stands before whatever they publish, has readers show and deliver none of these.
    """
    names = settings.topics
    partitions = await check_topics(settings, [names.signals, names.counts, names.alerts])
    board = await current_board(settings)
    alerts = [alert.id.encode() for alert in board.published() if pseudonym in authors_named(alert)]
    author, now_ms = pseudonym.encode(), int(time.time() * 1000)
    keys = [
        *((topic, author) for topic in (names.alerts, names.signals, names.counts)),
        *((names.alerts, alert_id) for alert_id in alerts),
    ]
    with broker_errors(settings):
        async with producing(settings) as producer:
            for topic, key in keys:
                for place in range(partitions[topic]):
                    await producer.send_and_wait(topic, None, key=key, partition=place, timestamp_ms=now_ms)
    return len(alerts)

"""How large one record of the monitor can get, whatever it reads. Pure.

A topic takes records up to its ``max.message.bytes``: the changelogs 2.2 MB at least, as the monitor makes
them (``stream.topics.published_bytes``), counters and alerts a broker's 1 MB. What is kept of many records in
one would outgrow that with time, and then its partition could go no further. So all of it is bounded, here
or where it is kept:

    record                 grows with                           at most
    counter                labels of a window                   ``MOST_LABELS``
    a channel's window     those, and input partitions          ``MOST_SOURCES``
    what a rule knows      hours of ``baseline_days``, and one  a year of them (``stream.monitor.rules``)
    checkpoint             input partitions                     ``MOST_SOURCES``
    an author's state      input partitions                     ``MOST_SOURCES_OF_AUTHOR``
                           rules about authors                  ``MOST_RULES_OF_AUTHORS``
                           points of a trail, for each of them  ``TRAIL_POINTS``
                           texts behind those that fire         ``EVIDENCE_TEXTS_BYTES`` for all of them
                           ids behind them                      ``EVIDENCE_IDS_BYTES`` for all of them
    alert                  input partitions behind it           ``MOST_RANGES``
                           recipients                           ``MOST_RECIPIENTS``

A topic with less room than that ends the monitor, with what to raise (``stream.refusals``).
"""

from typing import Final

import orjson

from stream.events import CountDelta, DistressSignal, ModelRef, OffsetRange, Source

NAME_CHARS: Final = 16_384
"""Of a channel or conversation: a producer's are 1,024, in which each author's name becomes a pseudonym."""
ID_CHARS: Final = 1_024
TOPIC_CHARS: Final = 249
"""As Kafka has it."""
EPOCH_CHARS: Final = 64

MOST_LABELS: Final = 64
"""Labels of a window that we do not know ourselves; more of them are counted as unknown."""
LABEL_CHARS: Final = 64
MOST_SOURCES: Final = 3_000
"""Input partitions of a window, or whose clocks are known. No group reads so many."""
MOST_SOURCES_OF_AUTHOR: Final = 512
"""Input partitions that an author's messages came from last. Topics that come and go would add up."""
MOST_RANGES: Final = 1_000
"""Ranges of messages that an alert names."""
EVIDENCE_TEXTS_BYTES: Final = 800_000
"""Texts behind all alerts about one author that fire, in JSON."""
EVIDENCE_IDS_BYTES: Final = 400_000
"""Ids of the messages behind them, in JSON: one of an id's characters may be six bytes there."""
MOST_RULES_OF_AUTHORS: Final = 50
"""Rules about authors in force: each keeps a state of every author."""
TRAIL_POINTS: Final = 256
"""Messages of an author that one rule knows singly: those of an escalation, or those that matched."""
MOST_RECIPIENTS: Final = 100
RECIPIENT_CHARS: Final = 320
"""As many as a mail address can have (RFC 3696, erratum 1690: 254; its parts 64 and 255)."""
PHRASES_CHARS: Final = 2_000
"""Names of the phrase lists that matched a message, as they are remembered."""


def has_room_for(record: CountDelta | DistressSignal) -> bool:
    """Whether the names in it are as long as names can be: none that an annotator writes is longer."""
    if isinstance(record, CountDelta):
        names = [(record.channel, NAME_CHARS)]
    else:
        names = [
            (record.id, ID_CHARS),
            (record.author or "", ID_CHARS),
            (record.channel or "", NAME_CHARS),
            (record.conversation or "", NAME_CHARS),
        ]
    names += [*_names_of(record.source), *_names_of(record.model)]
    return all(len(name) <= most for name, most in names)


def _names_of(part: Source | OffsetRange | ModelRef | None) -> list[tuple[str, int]]:
    match part:
        case None:
            return []
        case ModelRef():
            return [(part.name, ID_CHARS), (part.revision, ID_CHARS)]
        case _:
            return [(part.topic, TOPIC_CHARS), (part.epoch or "", EPOCH_CHARS)]


def last_of(names: tuple[str, ...], json_bytes: int) -> tuple[str, ...]:
    """The last names, as many as have so many bytes together, each written in JSON."""
    for number, name in enumerate(reversed(names)):
        json_bytes -= len(orjson.dumps(name))
        if json_bytes < 0:
            return names[len(names) - number :]
    return names


def first_of(names: tuple[str, ...], chars: int) -> tuple[str, ...]:
    """The first names, as many as have so many characters together."""
    for number, name in enumerate(names):
        chars -= len(name)
        if chars < 0:
            return names[:number]
    return names

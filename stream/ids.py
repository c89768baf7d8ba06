"""Ids that follow from where a message lies, so that labelling it again gives the same ids.

An at-least-once reader can drop what it has seen by id alone. The ids are readable on purpose: from an
event one finds its message with any Kafka tool.
"""


def event_id(topic: str, partition: int, offset: int) -> str:
    """Id of the one outcome (event, signal or dead letter) of the message at this place."""
    return f"{topic}-{partition}-{offset}"


def delta_id(topic: str, partition: int, first_offset: int, last_offset: int, channel: str) -> str:
    """Id of the counts of one channel over a range of offsets, both ends included."""
    return f"{topic}-{partition}-{first_offset}-{last_offset}-{channel}"

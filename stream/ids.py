"""Ids that follow from where a message lies, so that labelling it again gives the same ids.

An at-least-once reader can drop what it has seen by id alone. The ids are readable on purpose: from an
event one finds its message with any Kafka tool.

A topic that is deleted and made anew begins again at offset 0. The ``epoch`` tells its incarnations apart: it
is the id that Kafka gives each topic (KIP-516), and empty where a broker gives none.
"""


def event_id(topic: str, partition: int, offset: int, epoch: str | None = None) -> str:
    """Id of the one outcome (event, signal or dead letter) of the message at this place."""
    return f"{_incarnation(topic, epoch)}-{partition}-{offset}"


def delta_id(
    topic: str, partition: int, first_offset: int, last_offset: int, channel: str, epoch: str | None = None
) -> str:
    """Id of the counts of one channel over a range of offsets, both ends included."""
    return f"{_incarnation(topic, epoch)}-{partition}-{first_offset}-{last_offset}-{channel}"


def transactional_id(group_id: str, topic: str, partition: int) -> str:
    """Kafka's ``transactional.id`` of whoever owns an input partition for a group: ``GROUP:TOPIC:PARTITION``.

    No two owners share one, whatever the group is called: a topic's name holds no colon.
    """
    return f"{group_id}:{topic}:{partition}"


def member_transactional_id(group_id: str, member_id: str, generation: int, number: int) -> str:
    """Kafka's ``transactional.id`` of a member in one generation of its group, for one of its producers:
    ``GROUP:MEMBER:GENERATION:NUMBER``.

    A generation's ids are never used again, so whoever comes after may fence them.
    """
    return f"{group_id}:{member_id}:{generation}:{number}"


def _incarnation(topic: str, epoch: str | None) -> str:
    return f"{topic}@{epoch}" if epoch else topic

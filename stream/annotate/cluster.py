"""What an annotator needs of the cluster before it starts."""

from stream.admin import check_topics, partition_counts
from stream.errors import SettingsError
from stream.inputs import Inputs
from stream.settings import Settings


async def check_cluster(settings: Settings) -> dict[str, int]:
    """Partitions of the topics that an annotator needs, and of those that match, where it could start.

    Raises:
        BrokerError, TopicError, SettingsError: it could not.
    """
    names, inputs = settings.topics, Inputs.of(settings)
    needed = {*inputs.names, names.emotions, names.counts, names.signals, names.dlq}
    if settings.optout_topic:
        if settings.author_key is None:
            raise SettingsError("optout_topic holds pseudonyms and needs their key: set EMOTION_AUTHOR_KEY")
        needed.add(names.optout)
    partitions = await check_topics(settings, needed)
    if inputs.pattern is not None:
        partitions |= await partition_counts(settings, inputs)
    return partitions

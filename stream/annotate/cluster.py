"""What an annotator needs of the cluster before it starts."""

from stream.admin import check_topics
from stream.errors import SettingsError
from stream.settings import Settings


async def check_cluster(settings: Settings) -> dict[str, int]:
    """Partitions of the topics that an annotator needs, where it could start.

    Raises:
        BrokerError, TopicError, SettingsError: it could not.
    """
    names = settings.topics
    needed = {names.messages, names.emotions, names.counts, names.signals, names.dlq}
    if settings.optout_topic:
        if settings.author_key is None:
            raise SettingsError("optout_topic holds pseudonyms and needs their key: set EMOTION_AUTHOR_KEY")
        needed.add(names.optout)
    return await check_topics(settings, needed)

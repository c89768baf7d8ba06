"""The schema of labelled events, registered when an annotator starts."""

import asyncio
from typing import TYPE_CHECKING

from stream.cloudevents import JSON_VALUES, ValueFormat
from stream.events import EmotionEvent
from stream.settings import Settings
from stream.starting import answered, unless_stopped

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry


async def labelled_events(
    registry: "SchemaRegistry | None", settings: Settings, stopped: asyncio.Event
) -> ValueFormat | None:
    """How labelled events are written, their schema registered under the labelled topic (TopicNameStrategy).

    A registry that is away is waited for; None where we were stopped meanwhile.

    Raises:
        RegistryUnavailableError: the registry has not answered for ``start_timeout_s``.
        RegistryRefusedError: it refuses us, and will next time, too.
        SettingsError: it takes no such schema there.
    """
    kind = settings.output_schema
    if registry is None or kind == "none":
        return JSON_VALUES
    from stream.registry.outputs import format_of, schema_of

    name, schema = schema_of(EmotionEvent, kind)
    subject = f"{settings.topics.emotions}-value"
    asking = answered(
        settings, stopped, lambda: registry.register(subject, name, schema), "the schema registry"
    )
    number = await unless_stopped(stopped, asking)  # one that says nothing takes long to do so
    return None if number is None else format_of(kind, schema, number)

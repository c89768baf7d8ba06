"""JSON Schemas and an AsyncAPI document of everything on the wire, made from the types and the topics.

    python -m stream.schemas [FOLDER]        writes docs/schemas anew (make schemas)

``docs/schemas/TYPE.json`` is a JSON Schema (2020-12) each; ``asyncapi.json`` (AsyncAPI 3.0, Kafka bindings
0.5.0) describes topics, keys and headers and points at them. The topics are those of the default settings.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import BaseModel

from stream.cloudevents import CE_TYPES
from stream.errors import Cause
from stream.events import CountDelta, DeadLetter, DistressSignal, EmotionEvent, Message
from stream.monitor.events import Alert, Review, WindowCounter
from stream.settings import Settings
from stream.topics import TopicSpec

FOLDER: Final = Path("docs/schemas")
CONTRACT_VERSION: Final = "1.0.0"
"""Fields are added within 1.x, never renamed or taken away; readers ignore fields that they do not know."""

JSON_SCHEMA: Final = "https://json-schema.org/draft/2020-12/schema"
KAFKA_BINDING: Final = "0.5.0"

TYPES: Final[tuple[type[BaseModel], ...]] = (
    Message,
    EmotionEvent,
    CountDelta,
    DistressSignal,
    DeadLetter,
    WindowCounter,
    Alert,
    Review,
)
READ_FROM_OTHERS: Final = (Message,)
"""Types that other programs write: their schema is what we accept, that of the others what we write."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A topic in the AsyncAPI document. ``payload`` is None where the value is not ours to describe.

    ``sent`` and ``received`` are seen from emotion-stream as a whole.
    """

    payload: type[BaseModel] | None
    key: str
    sent: bool = False
    received: bool = False


CHANNELS: Final = {
    "messages": Channel(Message, "Any; messages of one key stay in order.", received=True),
    "emotions": Channel(EmotionEvent, "A pseudonym of the message's key.", sent=True),
    "counts": Channel(CountDelta, "The channel.", sent=True, received=True),
    "signals": Channel(DistressSignal, "The author's pseudonym.", sent=True, received=True),
    "dlq": Channel(None, "The message's own key.", sent=True),
    "counters": Channel(WindowCounter, "channel|window_s|start|shard", sent=True),
    "alerts": Channel(Alert, "The alert's id.", sent=True),
    "undelivered": Channel(Alert, "The alert's id.", sent=True),
    "reviews": Channel(Review, "The alert's id.", sent=True, received=True),
    "optout": Channel(
        None, "The pseudonym: a value opts out, a tombstone in again.", sent=True, received=True
    ),
}
"""Every topic, by its name in ``TopicNames``; ``messages`` is the input."""


def topic_of(settings: Settings, channel: str) -> str:
    """The topic that a channel is, where one topic is read."""
    return settings.input_topic if channel == "messages" else str(getattr(settings.topics, channel))


def json_schema(wire_type: type[BaseModel]) -> dict[str, Any]:
    """The schema of one type on the wire."""
    mode: Any = "validation" if wire_type in READ_FROM_OTHERS else "serialization"
    schema = wire_type.model_json_schema(mode=mode)
    return {"$schema": JSON_SCHEMA, "$id": f"urn:emotion-stream:{file_name(wire_type)}", **schema}


def file_name(wire_type: type[BaseModel]) -> str:
    """``EmotionEvent`` lies in ``emotion-event.json``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", wire_type.__name__).lower() + ".json"


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document."""
    settings = Settings()
    specs = {spec.name: spec for spec in settings.topic_specs()}
    topics = {name: specs[topic_of(settings, name)] for name in CHANNELS}
    return {
        "asyncapi": "3.0.0",
        "id": "urn:emotion-stream",
        "info": {
            "title": "emotion-stream",
            "version": CONTRACT_VERSION,
            "description": "Messages in; labelled messages, counts, alerts and dead letters out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "cluster": {
                "host": "{bootstrap_servers}",
                "protocol": "kafka",
                "description": "The Kafka cluster that the setting bootstrap_servers names.",
                "variables": {"bootstrap_servers": {"default": "localhost:9092"}},
            }
        },
        "channels": {name: _channel(name, spec) for name, spec in topics.items()},
        "operations": dict(_operations()),
        "components": {
            "messages": {name: _message(name, channel) for name, channel in CHANNELS.items()},
            "schemas": {"DeadLetterHeaders": _dead_letter_headers()},
        },
    }


def _channel(name: str, spec: TopicSpec) -> dict[str, Any]:
    topic: dict[str, Any] = {
        "cleanup.policy": spec.cleanup_policy.split(","),
        "retention.ms": spec.retention_ms,
    }
    if spec.max_message_bytes is not None:
        topic["max.message.bytes"] = spec.max_message_bytes
    kafka = {
        "topic": spec.name,
        "partitions": spec.partitions,
        "topicConfiguration": topic,
        "bindingVersion": KAFKA_BINDING,
    }
    return {
        "address": spec.name,
        "description": spec.purpose,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
        "bindings": {"kafka": kafka},
    }


def _operations() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, channel in CHANNELS.items():
        for action, happens in (("receive", channel.received), ("send", channel.sent)):
            if happens:
                operation = {"action": action, "channel": {"$ref": f"#/channels/{name}"}}
                found.append((f"{action}{name.capitalize()}", operation))
    return found


def _message(name: str, channel: Channel) -> dict[str, Any]:
    message: dict[str, Any] = {"name": name}
    if channel.payload is not None:
        message["contentType"] = "application/json"
        message["payload"] = {"$ref": f"./{file_name(channel.payload)}"}
        if channel.payload.__name__ in CE_TYPES:
            message["headers"] = _cloud_event_headers(CE_TYPES[channel.payload.__name__])
        if name in _HEADERS_BESIDE:
            headers = message.setdefault("headers", {"type": "object", "properties": {}})
            headers["properties"] |= _HEADERS_BESIDE[name]
    elif name == "dlq":
        message["summary"] = "The original bytes of the message; why it failed stands in the headers."
        message["headers"] = {"$ref": "#/components/schemas/DeadLetterHeaders"}
    else:
        message["summary"] = "Only the key counts."
    key = {"type": "string", "description": channel.key}
    return message | {"bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}}}


_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
_TIMESTAMP: Final = {
    "type": "string",
    "pattern": "^-?[0-9]+$",
    "description": "Kafka's time stamp of the message as it was first written, in Unix milliseconds.",
}
_HEADERS_BESIDE: Final[dict[str, dict[str, Any]]] = {
    "messages": {
        "dlq_replays": _DIGITS | {"description": "How often `replay` has sent the message back."},
        "dlq_timestamp": _TIMESTAMP,
    },
    "undelivered": {
        "dlq_receiver": {"type": "string", "description": "Who did not take the alert."},
        "dlq_error": {"type": "string", "description": "What was wrong."},
    },
}
"""Headers that are written besides those of a CloudEvent, by channel."""


def _cloud_event_headers(ce_type: str) -> dict[str, Any]:
    """Headers of a CloudEvent in Kafka's binary mode, and those of the message that are passed on."""
    required = {
        "ce_specversion": {"const": "1.0"},
        "ce_type": {"const": ce_type},
        "ce_source": {"type": "string", "format": "uri-reference"},
        "ce_id": {"type": "string", "description": "The same as the event's id."},
        "ce_time": {"type": "string", "format": "date-time"},
    }
    told = {"type": "string", "description": "As the message had it (W3C Trace Context)."}
    passed = {"traceparent": told, "tracestate": told}
    return {"type": "object", "properties": required | passed, "required": list(required)}


def _dead_letter_headers() -> dict[str, Any]:
    headers = _cloud_event_headers(CE_TYPES["DeadLetter"])
    ours = {
        "dlq_cause": {"enum": [cause.value for cause in Cause]},
        "dlq_error": {"type": "string", "description": "What was wrong, without message content."},
        "dlq_topic": {"type": "string"},
        "dlq_partition": _DIGITS,
        "dlq_offset": _DIGITS,
    }
    optional = {
        "dlq_epoch": {"type": "string", "description": "Kafka's id of the input topic, where it has one."},
        "dlq_timestamp": _TIMESTAMP,
        "dlq_cut": {
            "type": "string",
            "pattern": "^(value|headers|key)(,(value|headers|key))*$",
            "description": "What is cut, as the topic has no room for the whole.",
        },
        "dlq_size": _DIGITS | {"description": "Bytes of the whole value; only where something is cut."},
        "dlq_sha256": {
            "type": "string",
            "pattern": "^[0-9a-f]{64}$",
            "description": "SHA-256 of the whole value; only where something is cut.",
        },
        "dlq_first_offset": _DIGITS
        | {"description": "Of a batch that was not read: its first offset; `dlq_offset` has its last one."},
    }
    return {
        "type": "object",
        "description": "Original headers are kept beside these; ours among them carry the prefix original_.",
        "properties": headers["properties"] | ours | optional,
        "required": [*headers["required"], *ours],
    }


def documents() -> dict[str, bytes]:
    """Every generated file by its name."""
    by_name = {file_name(wire_type): json_schema(wire_type) for wire_type in TYPES}
    by_name["asyncapi.json"] = asyncapi()
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return {name: orjson.dumps(document, option=options) for name, document in by_name.items()}


def write(folder: Path) -> None:
    """Write all documents, and remove those of types that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    current = documents()
    for stale in folder.glob("*.json"):
        if stale.name not in current:
            stale.unlink()
    for name, content in current.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

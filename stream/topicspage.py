"""The page docs/topics.md: every topic and every field of its records, made from topics and types."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from stream.schemas import CHANNELS, TYPES, Channel, file_name, json_schema, topic_of
from stream.settings import Settings
from stream.topics import DAY_MS, TopicSpec

Schema = Mapping[str, Any]

_INTRODUCTION: Final = """\
# Topics and events

Made from the types and topics by `python -m stream.reference`; names and limits are those of the default
settings. The same for programs: [AsyncAPI 3.0](schemas/asyncapi.json), and JSON Schemas (2020-12).

- Outputs are [CloudEvents](https://cloudevents.io) in Kafka's binary mode: attributes in `ce_*` headers, the
  event as the value. Input may be one, too.
- Read with `isolation.level=read_committed`: outputs are written in transactions. What else readers may rely
  on: [Delivery](delivery.md#for-readers).
- Ignore fields that you do not know: within version 1, fields are added, never renamed or removed.

## Topics

| topic | what it holds | key | value | kept | cleanup |
|---|---|---|---|---|---|"""

_DEAD_LETTERS: Final = """\
The value is the message's own, byte for byte; the fields here stand in headers that begin with `dlq_`
([delivery.md](delivery.md#whatever-a-record-holds))."""


def topics_page() -> str:
    """All topics in one table, and a table of fields for each type."""
    settings = Settings()
    specs = {spec.name: spec for spec in settings.topic_specs()}
    lines = [_INTRODUCTION]
    for name, channel in CHANNELS.items():
        lines.append(_row(_topic(specs[topic_of(settings, name)], name, channel)))
    lines.append(f"\nEach has {settings.partitions} partitions (`partitions`).")
    for wire_type in TYPES:
        lines += ["", *_section(wire_type)]
    return "\n".join(lines) + "\n"


def _topic(spec: TopicSpec, name: str, channel: Channel) -> tuple[str, ...]:
    if channel.payload is not None:
        value = _link(channel.payload.__name__)
    else:
        value = f"the message's own; {_link('DeadLetter')} in headers" if name == "dlq" else "anything"
    kept = "for ever" if spec.retention_ms < 0 else f"{spec.retention_ms / DAY_MS:g} days"
    return f"`{spec.name}`", spec.purpose, f"{channel.key.rstrip('.')}", value, kept, spec.cleanup_policy


def _section(wire_type: type[BaseModel]) -> Iterator[str]:
    schema = json_schema(wire_type)
    yield from (f"## {wire_type.__name__}", "", _prose(schema), "")
    if wire_type.__name__ == "DeadLetter":
        yield from (_DEAD_LETTERS, "")
    yield from _fields(schema)
    yield from ("", f"[{file_name(wire_type)}](schemas/{file_name(wire_type)})")
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            yield from ("", f"### {wire_type.__name__}: {name}", "", _prose(inner), "", *_fields(inner))


def _fields(schema: Schema) -> Iterator[str]:
    yield from ("| field | type | |", "|---|---|---|")
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        told = _prose(field)
        if name not in required:
            told = f"{told} Optional.".strip()
        yield _row((f"`{name}`", _type(field), told))


def _type(field: Schema) -> str:
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(choice) for choice in field["anyOf"]))
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array" and "items" in field:
        return f"array of {_type(field['items'])}"
    values = field.get("additionalProperties")
    if isinstance(values, dict) and values:
        return f"object of {_type(values)}"
    kind = str(field.get("type", "any"))
    return f"{kind}, {field['format']}" if "format" in field else kind


def _prose(schema: Schema) -> str:
    return " ".join(str(schema.get("description", "")).replace("``", "`").split())


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"

"""Values in Confluent's wire format to JSON, by the schema that they name. Pure.

Wire format: the byte 0, the schema's id in four bytes, then Avro's binary encoding, or JSON, or for Protobuf
the path to the message type inside its file and the message.
"""

from collections.abc import Callable
from typing import Final

from stream.registry import avro_values, protobuf_values
from stream.registry.schemas import Read, Schema, UnusableSchemaError

PREFIX_BYTES: Final = 5


def schema_id(value: bytes) -> int | None:
    """The id of the schema that a value was written with; None where it does not say."""
    if len(value) < PREFIX_BYTES or value[0] != 0:
        return None
    return int.from_bytes(value[1:PREFIX_BYTES], "big")


def reader_of(schema: Schema) -> Read:
    """How values of a schema are read.

    Raises:
        UnusableSchemaError: the schema is of another kind, or is none.
    """
    makers: dict[str, Callable[[Schema], Read]] = {
        "AVRO": avro_values.reader_of,
        "PROTOBUF": protobuf_values.reader_of,
        "JSON": _json,
    }
    if schema.kind not in makers:
        raise UnusableSchemaError(f"a schema of the type {schema.kind} cannot be read")
    try:
        return makers[schema.kind](schema)
    except UnusableSchemaError:
        raise
    except Exception as error:
        raise UnusableSchemaError(
            f"not a schema of the type {schema.kind} ({type(error).__name__})"
        ) from error


def _json(_: Schema) -> Read:
    return bytes  # as it stands: whoever wrote it was held to its schema

"""Messages written with a schema: Avro, Protobuf and JSON Schema from a Confluent-compatible registry.

    value ─► magic byte 0, schema id ─► client (HTTP, cached) ─► formats ─► JSON ─► mapping ─► decode_message

``formats`` is pure. The protocol is Confluent Schema Registry's REST interface. Its own Python client brings
a Kafka client in C and asks synchronously, so only the encodings are libraries' (fastavro, protobuf).
"""

from typing import TYPE_CHECKING

from stream.errors import SettingsError

if TYPE_CHECKING:
    from stream.registry.client import SchemaRegistry
    from stream.settings import Settings


def open_registry(settings: "Settings") -> "SchemaRegistry | None":
    """The registry that the settings name, if they do.

    Raises:
        SettingsError: its address or its certificates cannot be used, or the extra is not installed.
    """
    if settings.registry_url is None:
        if settings.output_schema != "none":
            raise SettingsError("output_schema needs a schema registry: set registry_url")
        return None
    try:
        from stream.registry.client import SchemaRegistry
    except ImportError as error:
        raise SettingsError(
            "registry_url needs the extra registry: pip install 'emotion-stream[registry]'"
        ) from error
    password = settings.registry_password
    return SchemaRegistry(
        settings.registry_url,
        username=settings.registry_username,
        password=password.get_secret_value() if password else None,
        cafile=settings.registry_cafile,
    )

"""Every setting, once, in the section of the docs where it stands (``stream.settings`` puts them together).

Flags, environment, file, help and docs are made from these fields. The description says what the setting
does and, where there is a limit, what happens at it.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, BaseModel, Field, FiniteFloat

from stream.addresses import checked_servers, checked_urls
from stream.authors import AuthorCase
from stream.inputs import checked_pattern
from stream.mapping import checked_place
from stream.secrecy import Key, Password
from stream.text import TextParts
from stream.topics import TopicNames

MOST: Final = 2**31 - 1
"""What Kafka's protocol has room for, in sizes and in times in milliseconds."""

Positive = Annotated[int, Gt(0), Le(MOST)]
PositiveFloat = Annotated[FiniteFloat, Gt(0), Le(MOST)]
NotNegative = Annotated[FiniteFloat, Ge(0), Le(MOST)]
ToldSeconds = Annotated[FiniteFloat, Gt(0), Le(2_000_000)]
"""Seconds that Kafka is told in milliseconds."""
Days = Annotated[FiniteFloat, Gt(0), Le(36_500)]
Bytes = Annotated[int, Gt(0), Le(2**53 - 1)]
MessageBytes = Annotated[int, Gt(0), Le(2**27)]
"""A batch that we publish may have twelve times as much (``stream.topics``)."""
WindowLength = Annotated[int, Gt(0), Le(3_600)]
"""The monitor makes hours of such windows, and keeps them for so long."""
MessagePlace = Annotated[str, AfterValidator(checked_place)]
DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")


def _checked_devices(names: str) -> str:
    for name in names.split(","):
        if not DEVICE.fullmatch(name.strip()):
            raise ValueError(f"{name.strip()!r} is no device: use auto, cpu, cuda or cuda:N")
    return names


def _checked_device(name: str) -> str:
    if "," in name:
        raise ValueError("names several: set devices, for a worker on each")
    return _checked_devices(name)


Device = Annotated[str, AfterValidator(_checked_device)]
Devices = Annotated[str, AfterValidator(_checked_devices)]
Pattern = Annotated[str, AfterValidator(checked_pattern)]
Port = Annotated[int, Ge(0), Le(65_535)]
Servers = Annotated[str, AfterValidator(checked_servers)]
Urls = Annotated[str, AfterValidator(checked_urls)]
Guarantee = Literal["exactly_once", "at_least_once"]


class KafkaSettings(BaseModel):
    """How to reach the cluster; used by every client."""

    bootstrap_servers: Servers | None = Field(
        None, description="Brokers of the cluster, host:port, by commas."
    )
    client_id: str = Field("emotion-stream", description="Name of this process in the broker's logs.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How connections are secured."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="How to log in, with SASL_PLAINTEXT or SASL_SSL."
    )
    sasl_username: str | None = Field(None, description="User for PLAIN and SCRAM.")
    sasl_password: Password | None = Field(None, description="Password for PLAIN and SCRAM.")
    sasl_token_file: Path | None = Field(
        None, description="File with the OAUTHBEARER token, read anew each time."
    )
    ssl_cafile: Path | None = Field(None, description="CA certificates (PEM); the system's if not given.")
    ssl_certfile: Path | None = Field(None, description="Client certificate (PEM), for mutual TLS.")
    ssl_keyfile: Path | None = Field(None, description="Key of the client certificate (PEM).")
    ssl_password: Password | None = Field(None, description="Password of the key.")


class TopicSettings(BaseModel):
    """Topics and the policies that ``topics create`` gives them."""

    input_topic: str = Field("messages", description="Topics that messages are read from, by commas.")
    input_pattern: Pattern | None = Field(
        None,
        description="Instead of input_topic: read each topic whose whole name matches, also later ones.",
    )
    topic_prefix: str = Field(
        "emotions", description="Labelled topic; the others are PREFIX.counts and so on."
    )
    partitions: Positive = Field(
        8, description="Partitions of each topic: the most annotators that can share them."
    )
    replication_factor: Annotated[int, Ge(-1), Le(32_767)] = Field(
        -1, description="Copies of each topic; -1: the broker's default."
    )
    retention_days: Days = Field(7.0, description="Days that messages, labels and alerts are kept.")

    @property
    def topics(self) -> TopicNames:
        return TopicNames(prefix=self.topic_prefix)


class MappingSettings(BaseModel):
    """Where the fields of a message stand: JMESPath, ``header:NAME`` or ``key:``. See docs/messages.md."""

    text_from: MessagePlace | None = Field(
        None, description="Where the text stands; several are joined: [title, body.content]. Default: text."
    )
    author_from: MessagePlace | None = Field(
        None, description="Where the author stands, such as user.id. Default: author."
    )
    channel_from: MessagePlace | None = Field(
        None, description="Where the channel stands, such as header:tenant. Default: channel."
    )
    conversation_from: MessagePlace | None = Field(
        None, description="Where the conversation stands, such as key:. Default: conversation."
    )
    id_from: MessagePlace | None = Field(None, description="Where the producer's own id stands. Default: id.")
    time_from: MessagePlace | None = Field(
        None, description="Where the time of writing stands (ISO 8601 or Unix time). Default: ts."
    )


class RegistrySettings(BaseModel):
    """A Confluent-compatible schema registry, for Avro, Protobuf and JSON Schema (extra registry)."""

    registry_url: Urls | None = Field(
        None, description="The schema registry, http://host:8081; several by commas. None: values are JSON."
    )
    output_schema: Literal["none", "avro", "json", "protobuf"] = Field(
        "none", description="Write labelled events by a schema that the registry keeps, with its id."
    )
    registry_username: str | None = Field(None, description="User, or API key, at the registry.")
    registry_password: Password | None = Field(None, description="Its password, or API secret.")
    registry_cafile: Path | None = Field(
        None, description="CA certificates (PEM) of the registry; the system's if not given."
    )


class AnnotateSettings(BaseModel):
    """The annotator."""

    group_id: str = Field("emotion-stream", description="Consumer group; transactional ids begin with it.")
    guarantee: Guarantee = Field("exactly_once", description="at_least_once trades transactions for latency.")
    input_format: Literal["json", "text"] = Field(
        "json", description="text: the value is the message itself."
    )
    text_parts: TextParts = Field(
        "new", description="new: quoted replies, signatures and links are not read; all: they are."
    )
    auto_offset_reset: Literal["earliest", "latest"] = Field(
        "earliest", description="Where a group without a committed offset starts."
    )
    model: str | None = Field(
        None,
        description="en or multilingual (both shipped), a model folder, or a link to one (see model use); "
        "'fake' and 'null' need no weights. Default: en.",
    )
    shadow: str | None = Field(
        None,
        description="A second model that reads the same texts too; only metrics say how far it disagrees.",
    )
    label_unmeasured_languages: bool = Field(
        False,
        description="Label also what is in a language that the weights were not measured in, not unknown.",
    )
    device: Device = Field("auto", description="Where the model runs: auto, cpu, cuda or cuda:N.")
    workers: Annotated[int, Gt(0), Le(1_024)] | None = Field(
        None, description="Processes of the group on this machine; default: one, or one a device of devices."
    )
    devices: Devices | None = Field(
        None, description="Devices that the workers take in turn, by commas: cuda:0,cuda:1."
    )
    precision: Literal["auto", "int8", "fp32", "bf16", "fp16"] = Field(
        "auto", description="Arithmetic of the model."
    )
    threads: Annotated[int, Ge(0), Le(1_024)] = Field(
        0, description="Threads of one batch on a CPU; 0: one a core it may use, shared by the workers."
    )
    remember_texts: Annotated[int, Ge(0), Le(MOST)] = Field(
        16_384, description="Texts whose result is kept in memory, so that equal ones are computed once."
    )
    max_batch_tokens: Positive = Field(
        4096, description="Tokens in a batch, padding included; a longer text goes alone."
    )
    max_wait_ms: NotNegative = Field(
        20.0,
        description="Longest a message waits for its batch to fill; while messages keep coming, they gather "
        "at the broker for up to half as long before.",
    )
    max_in_flight_messages: Positive = Field(
        8192, description="Messages inside; at the bound, partitions pause."
    )
    max_in_flight_bytes: Bytes = Field(
        67_108_864, description="Bytes of messages inside; at the bound, partitions pause."
    )
    commit_interval_ms: PositiveFloat = Field(
        100.0, description="Most time that what is finished waits to be committed, with others."
    )
    max_message_bytes: MessageBytes = Field(262_144, description="Larger messages go to the dead letters.")
    max_unpacked_bytes: Bytes = Field(
        134_217_728, description="A compressed batch that unpacks to more is passed over, as one dead letter."
    )
    max_ahead_s: NotNegative = Field(
        300.0,
        description="A message from further ahead of the clock than this counts for when Kafka took it.",
    )
    session_timeout_ms: Positive = Field(
        10_000, description="Silence after which the group gives our partitions away."
    )
    max_poll_interval_ms: Positive = Field(
        300_000, description="Longest time between two polls of the consumer."
    )
    transaction_timeout_ms: Positive = Field(
        30_000, description="Open transactions older than this are aborted."
    )
    revoke_timeout_s: PositiveFloat = Field(
        5.0, description="Budget to finish a partition that is taken away."
    )
    start_timeout_s: NotNegative = Field(
        60.0,
        description="At the start, wait this long for brokers that do not answer, and as long for the "
        "registry of output_schema, then exit 3.",
    )
    stall_timeout_s: ToldSeconds = Field(
        60.0, description="With lag but without progress for this long, exit 5."
    )
    count_window_s: WindowLength = Field(60, description="Length of the windows that counts are kept in.")
    signal_min_level: Literal["none", "watch", "elevated", "high"] = Field(
        "none", description="Least distress level that the alert rules hear of; baselines need 'none'."
    )
    phrases_file: Path | None = Field(
        None,
        description="Named phrase lists (TOML), read again on change; only names of those that match are "
        "published.",
    )
    drain: bool = Field(False, description="Stop when everything that was there at the start is labelled.")


class MonitorSettings(BaseModel):
    """The monitor: counters, alerts and their delivery."""

    monitor_group_id: str = Field(
        "emotion-monitor", description="Consumer group of the monitors, and name of their state."
    )
    rules_file: Path | None = Field(
        None, description="Alert rules (TOML), read again on change. Default: the shipped ones."
    )
    state_dir: Path = Field(
        Path("emotion-monitor-state"), description="Folder of the local state; one a monitor."
    )
    state_store: Literal["rocksdb", "memory"] = Field(
        "rocksdb", description="Where the state lives; memory reads it all from Kafka at each start."
    )
    state_days: Days = Field(
        30.0, description="Days that the state of an author or channel is kept after its last message."
    )
    allowed_lateness_s: NotNegative = Field(
        600.0, description="Counts that come later than this after their window are only counted as late."
    )
    judge_delay_s: NotNegative = Field(
        30.0, description="Channel rules judge a window this long after its end."
    )
    checkpoint_interval_ms: PositiveFloat = Field(
        500.0, description="Counters and alerts are published and committed this often."
    )
    webhook_url: Urls | None = Field(
        None, description="Where alerts are posted to, signed; with a secret in it, never as a flag."
    )
    webhook_secret: Key | None = Field(
        None, description="Key of the webhook's HMAC-SHA-256 signature; needed with webhook_url."
    )
    webhook_give_up_s: ToldSeconds = Field(
        900.0, description="Retries end after this; the alert goes to PREFIX.alerts.dlq."
    )
    alertmanager_url: Urls | None = Field(
        None, description="Prometheus Alertmanager, http://host:9093; several by commas."
    )
    allow_http_receivers: bool = Field(
        False, description="Send alerts in the clear, beyond this machine: for a network that is trusted."
    )
    allow_private_receivers: bool = Field(
        False, description="Send alerts to receivers in private networks, as in a Kubernetes cluster."
    )
    alertmanager_resend_s: PositiveFloat = Field(
        60.0, description="How often firing alerts are sent to it again."
    )


class DashboardSettings(BaseModel):
    """The page for people. Reached from elsewhere than this machine, it needs a token."""

    dashboard_host: str = Field("127.0.0.1", description="Address that the page is served at.")
    dashboard_port: Port = Field(8070, description="Its port; 0: any free one.")
    dashboard_hosts: str | None = Field(
        None, description="Other names that browsers reach it by (a proxy's), by commas."
    )
    dashboard_token: Key | None = Field(
        None, description="What people log in with; needed unless only this machine can reach it."
    )
    dashboard_try: bool = Field(True, description="Offer the box that labels a sentence; loads the model.")


class PrivacySettings(BaseModel):
    """Defaults that protect people."""

    author_key: Key | None = Field(
        None, description="Key of the author pseudonyms; without one they change at each start."
    )
    author_case: AuthorCase = Field(
        "kept", description="folded: authors that differ by case alone are one, with one pseudonym."
    )
    include_text: bool = Field(False, description="Publish the text of messages, also in signals and alerts.")
    publish_keys: bool = Field(
        False, description="Events keep the keys of messages; else pseudonyms stand for them."
    )
    optout_file: Path | None = Field(
        None, description="Authors not to label, one a line; reloaded on change."
    )
    optout_topic: bool = Field(False, description="Also honour the compacted topic PREFIX.optout.")


class ObserveSettings(BaseModel):
    """Logs, metrics and health."""

    http_host: str = Field(
        "127.0.0.1",
        description="Address of /metrics, /healthz and /readyz; off loopback, http_token is needed.",
    )
    http_hosts: str | None = Field(
        None, description="Names, by commas, under which clients reach it (Host); numbers always pass."
    )
    http_token: Key | None = Field(
        None, description="Asked of all but /healthz and /readyz: Bearer, or the password of Basic."
    )
    http_port: Port | None = Field(
        None, description="Their port, worker N's is N higher; 0: any free one; none: no server."
    )
    tracing: bool = Field(
        False,
        description="Send the annotator's OpenTelemetry spans (extra otel); OTEL_* variables say where to.",
    )
    log_format: Literal["text", "json"] = Field("text", description="How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")


SECTIONS: dict[str, type[BaseModel]] = {
    "kafka": KafkaSettings,
    "topics": TopicSettings,
    "mapping": MappingSettings,
    "registry": RegistrySettings,
    "annotate": AnnotateSettings,
    "monitor": MonitorSettings,
    "dashboard": DashboardSettings,
    "privacy": PrivacySettings,
    "observe": ObserveSettings,
}
"""Groups of settings, for commands that need only some of them and for the docs."""

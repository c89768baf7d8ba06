"""What the annotator measures, as Prometheus metrics: base units, no author or text in any label.

A registry of its own per annotator, so that two of them in one process (tests, the demo) do not mix.
Every series whose labels are known in advance stands at zero from the start: one that is born at its first
value has no increase, and an alert that asks for one stays silent.
"""

from itertools import product
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from model.labels import LABELS
from stream.annotate.ledger import Silent, Unread
from stream.annotate.times import Clock
from stream.errors import Cause

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

OUTCOMES: Final = (
    "labelled", "dead_letter", *(unread.value for unread in Unread), *(silent.value for silent in Silent)
)  # fmt: skip
SHADOW_RESULTS: Final = ("agreed", "disagreed", "failed", "dropped")
SWAPS: Final = ("swapped", "unchanged", "refused")
RESULTS: Final = ("committed", "aborted", "fenced")


class Metrics:
    """All metrics of one annotator."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.messages = Counter(
            "emotion_messages",
            "Messages finished, by outcome: labelled, unknown, dead_letter, opted_out or tombstone.",
            ["outcome"],
            registry=registry,
        )
        self.labels = Counter("emotion_labels", "Labelled messages, by label.", ["label"], registry=registry)
        self.dead_letters = Counter(
            "emotion_dead_letters", "Dead letters, by cause.", ["cause"], registry=registry
        )
        self.replaced_times = Counter(
            "emotion_replaced_times",
            "Messages whose time could not be right, by whose it was: message or broker.",
            ["clock"],
            registry=registry,
        )
        self.tokens = Counter(
            "emotion_tokens", "Tokens given to the model, without padding.", registry=registry
        )
        self.remembered = Counter(
            "emotion_remembered_windows",
            "Token windows whose answer was known from an equal one (remember_texts).",
            registry=registry,
        )
        self.windows = Counter("emotion_windows", "Token windows given to the model.", registry=registry)
        self.batch_messages = Histogram(
            "emotion_batch_messages",
            "Messages in a batch.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
            registry=registry,
        )
        self.batch_fill = Histogram(
            "emotion_batch_fill_ratio",
            "Padded tokens of a batch over max_batch_tokens.",
            buckets=_RATIOS,
            registry=registry,
        )
        self.pad_waste = Histogram(
            "emotion_pad_waste_ratio",
            "Part of a batch that is padding, before the runtime cuts it by length or packs it.",
            buckets=_RATIOS,
            registry=registry,
        )
        self.queue_wait = Histogram(
            "emotion_queue_wait_seconds",
            "From admission to the model, of the oldest message in a batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.inference = Histogram(
            "emotion_inference_seconds", "One batch in the model.", buckets=_SECONDS, registry=registry
        )
        self.publish = Histogram(
            "emotion_publish_seconds",
            "One commit, from begin to committed.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.end_to_end = Histogram(
            "emotion_end_to_end_seconds",
            "From Kafka's timestamp to committed, of the oldest message in a commit.",
            buckets=(*_SECONDS, 60.0, 300.0, 1800.0),
            registry=registry,
        )
        self.transactions = Counter(
            "emotion_transactions",
            "Commits, by result: committed, aborted or fenced.",
            ["result"],
            registry=registry,
        )
        self.lag_messages = Gauge(
            "emotion_lag_messages", "Messages not yet finished.", ["topic", "partition"], registry=registry
        )
        self.lag_seconds = Gauge(
            "emotion_lag_seconds",
            "Age of the oldest message in work.",
            ["topic", "partition"],
            registry=registry,
        )
        self.standstill = Gauge(
            "emotion_standstill_seconds",
            "How long a partition has had messages waiting and finished none.",
            ["topic", "partition"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "emotion_in_flight_messages", "Messages inside the annotator.", registry=registry
        )
        self.paused = Gauge(
            "emotion_paused_partitions", "Partitions paused because the bound is reached.", registry=registry
        )
        self.assigned = Gauge("emotion_assigned_partitions", "Partitions that are ours.", registry=registry)
        self.waiting = Gauge(
            "emotion_waiting_partitions", "Partitions that wait for the schema registry.", registry=registry
        )
        self.rejoins = Counter(
            "emotion_rejoins", "Times the group was left and joined again after a failure.", registry=registry
        )
        self.unread_expired = Counter(
            "emotion_unread_expired",
            "Offsets that retention removed before they were read.",
            ["topic", "partition"],
            registry=registry,
        )
        self.ready = Gauge("emotion_ready", "Whether /readyz answers that it labels.", registry=registry)
        self.broker_answers = Gauge(
            "emotion_broker_answers", "Whether a broker answers (looked at once a second).", registry=registry
        )
        self.input_topic_exists = Gauge(
            "emotion_input_topic_exists", "Whether an input topic is there.", ["topic"], registry=registry
        )
        self.optout_authors = Gauge(
            "emotion_optout_entries", "Entries on the opt-out list.", registry=registry
        )
        self.optout_held = Gauge(
            "emotion_optout_held_entries",
            "Entries that have gone from the opt-out file and stay in force until it says that it is whole.",
            registry=registry,
        )
        self.optout_refused = Gauge(
            "emotion_optout_refused",
            "1 while the opt-out list as it stands is not what is in force.",
            registry=registry,
        )
        self.optout_reload_failures = Counter(
            "emotion_optout_reload_failures",
            "Changes of the opt-out list that were not taken as they were.",
            registry=registry,
        )
        self.phrase_lists = Gauge("emotion_phrase_lists", "Phrase lists in force.", registry=registry)
        self.phrases_refused = Gauge(
            "emotion_phrases_refused",
            "1 while the phrases file as it stands is not what is in force.",
            registry=registry,
        )
        self.phrases_reload_failures = Counter(
            "emotion_phrases_reload_failures",
            "Changes of the phrases file that were not taken.",
            registry=registry,
        )
        self.model_info = Gauge(
            "emotion_model_info",
            "Always 1; the model in its labels.",
            ["name", "revision", "device", "precision"],
            registry=registry,
        )
        self.model_swaps = Counter(
            "emotion_model_swaps",
            "Models that were to take over while messages flow: swapped, unchanged or refused.",
            ["result"],
            registry=registry,
        )
        self.model_refused = Gauge(
            "emotion_model_refused",
            "1 while the model that the settings name was refused and the one before goes on.",
            registry=registry,
        )
        self.shadow_info = Gauge(
            "emotion_shadow_info",
            "Always 1; the shadow model in its labels.",
            ["name", "revision", "device", "precision"],
            registry=registry,
        )
        self.shadow_texts = Counter(
            "emotion_shadow_texts",
            "Texts offered to the shadow model: agreed, disagreed, failed, or dropped because it was behind.",
            ["result"],
            registry=registry,
        )
        self.shadow_labels = Counter(
            "emotion_shadow_labels",
            "Texts compared, by the label that was published and the one of the shadow model.",
            ["label", "shadow_label"],
            registry=registry,
        )
        self._start_at_zero()

    def start_shadow_at_zero(self) -> None:
        """There is a shadow model, so its series are there as well."""
        for result in SHADOW_RESULTS:
            self.shadow_texts.labels(result)
        named = (*LABELS, *(unread.value for unread in Unread))
        for pair in product(named, named):
            self.shadow_labels.labels(*pair)

    def _start_at_zero(self) -> None:
        for counter, values in (
            (self.messages, OUTCOMES),
            (self.labels, LABELS),
            (self.dead_letters, [cause.value for cause in Cause]),
            (self.replaced_times, get_args(Clock)),
            (self.transactions, RESULTS),
            (self.model_swaps, SWAPS),
        ):
            for value in values:
                counter.labels(value)

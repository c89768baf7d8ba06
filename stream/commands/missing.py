"""What ``annotate --check`` and ``monitor --check`` say beside what is there: what is not."""

from collections.abc import Iterator

from stream.settings import Settings


def check_access(settings: Settings) -> None:
    """Raises ``SettingsError`` where the web server would be open to a network."""
    from stream.serving import Access

    if settings.http_port is not None:
        Access.of(settings)


def missing(settings: Settings) -> Iterator[str]:
    """What an annotator can do without, and people who run one seldom want to."""
    if settings.author_key is None:
        yield "author_key: pseudonyms differ from process to process: set EMOTION_AUTHOR_KEY"
    if settings.optout_file is None and not settings.optout_topic:
        yield "optout_file, optout_topic: nobody can opt out: set one of them"
    yield from missing_anywhere(settings)


def missing_receivers(settings: Settings) -> Iterator[str]:
    """The same of a monitor."""
    if settings.webhook_url is None and settings.alertmanager_url is None:
        yield "webhook_url, alertmanager_url: alerts go to their topic only"
    yield from missing_anywhere(settings)


def missing_anywhere(settings: Settings) -> Iterator[str]:
    """What both programs can do without."""
    if settings.http_port is None:
        yield "http_port: no health and no metrics"
    if settings.security_protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
        yield "security_protocol: messages cross the network in clear: set SSL or SASL_SSL"

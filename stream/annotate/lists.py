"""The operator's lists, as they stand in their files: who opted out, and phrases to look for."""

import asyncio
from typing import Final

from stream.metrics import Metrics
from stream.phrases import PhrasesFile
from stream.privacy import OptOut, Pseudonyms
from stream.settings import Settings

FOLLOW_S: Final = 0.5


class Lists:
    """Both lists, and the metrics that say whether they are in force as they stand.

    ``phrases`` is None where there are none.
    """

    def __init__(self, settings: Settings, pseudonyms: Pseudonyms, metrics: Metrics) -> None:
        """
        Raises:
            SettingsError: a file cannot be read, or is not what it should be.
        """
        self.optout = OptOut(pseudonyms, settings.optout_file)
        self.phrases = PhrasesFile(settings.phrases_file) if settings.phrases_file else None
        self._metrics = metrics
        self._show_phrases()

    def reload_optout(self) -> None:
        """Read the opt-out list again if it has changed.

        Raises:
            Exception: whatever keeps the opt-out topic from being followed.
        """
        if self.optout.unreadable is not None:
            raise self.optout.unreadable
        if not self.optout.reload():
            self._metrics.optout_reload_failures.inc()
        self._metrics.optout_authors.set(len(self.optout))
        self._metrics.optout_held.set(self.optout.held)
        self._metrics.optout_refused.set(bool(self.optout.problem or self.optout.topic_problem))

    async def follow_phrases(self) -> None:
        """Read the phrases again whenever they have changed, for ever."""
        while self.phrases is not None:
            await asyncio.sleep(FOLLOW_S)
            failures = self.phrases.failures
            await asyncio.to_thread(self.phrases.reload)  # thousands of phrases take a while
            self._metrics.phrases_reload_failures.inc(self.phrases.failures - failures)
            self._show_phrases()

    def _show_phrases(self) -> None:
        if self.phrases is not None:
            self._metrics.phrase_lists.set(len(self.phrases.names))
            self._metrics.phrases_refused.set(self.phrases.problem is not None)

"""What the monitor has published during a demo: counts of the windows over all channels, and alerts."""

from dataclasses import dataclass, field
from datetime import datetime

from stream.events import ALL_CHANNELS
from stream.monitor.events import Alert, WindowCounter


@dataclass(slots=True)
class MonitorView:
    """The latest state of each window and alert. ``status`` says why there is nothing to show."""

    window_s: int
    status: str
    windows: dict[datetime, WindowCounter] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)

    def count(self, value: bytes | None) -> None:
        """Take a record of the counters' topic; other windows and single channels are left aside."""
        if value is None:
            return  # a window has expired
        counter = WindowCounter.model_validate_json(value)
        if counter.channel == ALL_CHANNELS and counter.window_s == self.window_s:
            self.windows[counter.start] = counter

    def alert(self, value: bytes | None) -> Alert | None:
        """Take a record of the alerts' topic; returns the alert if it is news."""
        if value is None:
            return None
        alert = Alert.model_validate_json(value)
        known = self.alerts.get(alert.id)
        if known is not None and known.revision >= alert.revision:
            return None
        self.alerts[alert.id] = alert
        return alert if known is None or known.status != alert.status else None

    @property
    def counted(self) -> int:
        """Labelled messages in all windows."""
        return sum(counter.messages for counter in self.windows.values())

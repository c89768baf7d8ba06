"""What can go wrong with a model, as one line a person can act on.

    ModelError                 a folder or file that cannot be used, or a request the model cannot serve
    ├── CalibrationError       calibration.json: names the file and the field
    └── MissingExtraError      a runtime that is not installed: names the extra to install

Every message says what to do next. None of these holds message text.
"""

from pathlib import Path


class ModelError(Exception):
    """The model cannot be loaded or used as asked."""


class CalibrationError(ModelError):
    """``calibration.json`` is unreadable, or one of its fields is wrong."""

    def __init__(self, file: Path, field: str, problem: str) -> None:
        super().__init__(f"{file}: {field}: {problem}")
        self.file = file
        self.field = field


class MissingExtraError(ModelError):
    """A runtime was asked for whose packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'emotion-stream[{extra}]'")
        self.extra = extra

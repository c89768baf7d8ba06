"""Everything that can go wrong in ``stream``, as a tree.

    StreamError
    ├── SettingsError        a setting is missing or wrong; nothing was started            exit code 2
    ├── BrokerError          the cluster cannot be reached or refuses us                   exit code 3
    ├── TopicError           a topic is missing or differs from what is asked for          exit code 4
    ├── StalledError         lag, but no progress for ``stall_timeout_s``                  exit code 5
    ├── RecordError          a record that cannot be read or written stands in the way     exit code 7
    ├── InputFileError       a file of messages cannot be read                             exit code 2
    ├── OutputError          what a command prints cannot be written                       exit code 1
    └── MessageError         one message cannot be labelled: it goes to the dead letters

A message for a person ends with the next step and names the setting to change. A ``MessageError`` never
carries message text, since it is logged and published.
"""

from enum import StrEnum


class StreamError(Exception):
    """Root of the tree. ``exit_code`` is what the command line ends with."""

    exit_code = 1


class SettingsError(StreamError):
    """A setting is missing or wrong."""

    exit_code = 2


class BrokerError(StreamError):
    """No broker answered at ``bootstrap_servers``, or it refused the credentials."""

    exit_code = 3


class TopicError(StreamError):
    """A topic is missing, or its partitions, retention or cleanup policy are not the stated ones."""

    exit_code = 4


class StalledError(StreamError):
    """Messages wait, but none has been finished for ``stall_timeout_s``: better to restart than to idle."""

    exit_code = 5


class RecordError(StreamError):
    """One record can neither be read nor written, nor passed over: nothing after it may be lost silently."""

    exit_code = 7


class InputFileError(StreamError):
    """A file of messages is not what its format says, as a whole; a wrong line is a ``MessageError``."""

    exit_code = 2


class OutputError(StreamError):
    """What a command prints cannot be written: a full disk, a terminal that has gone."""


class Cause(StrEnum):
    """Why a message went to the dead letters; the value of the header ``dlq_cause``."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NO_TEXT = "no_text"
    WRONG_TYPE = "wrong_type"
    EMPTY_TEXT = "empty_text"
    TOO_LARGE = "too_large"
    UNMAPPED = "unmapped"
    TOO_DEEP = "too_deep"
    UNREADABLE = "unreadable"
    UNREAD_BATCH = "unread_batch"
    UNKNOWN_SCHEMA = "unknown_schema"
    SCHEMA_MISMATCH = "schema_mismatch"
    BAD_CLOUDEVENT = "bad_cloudevent"
    MODEL_FAILED = "model_failed"


class MessageError(StreamError):
    """One message cannot be labelled. ``detail`` names fields and sizes, never content."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause.value}: {detail}")
        self.cause = cause
        self.detail = detail

"""Errors that another try cannot cure: the cluster refuses what we ask for, and will next time too."""

from collections.abc import Iterator

from aiokafka import errors

from stream.errors import BrokerError, RecordError, SettingsError, StreamError
from stream.transactions import InvalidRecordError, RefusedError

_REMEDIES: dict[type[errors.KafkaError], tuple[type[StreamError], str]] = {
    errors.InvalidSessionTimeoutError: (
        SettingsError,
        "session_timeout_ms is outside what the broker allows (group.min.session.timeout.ms)",
    ),
    errors.InvalidGroupIdError: (SettingsError, "group_id is not a name that the broker takes"),
    errors.InconsistentGroupProtocolError: (
        SettingsError,
        "another application uses this consumer group: name another one (group_id, monitor_group_id)",
    ),
    errors.InvalidTransactionTimeout: (
        SettingsError,
        "transaction_timeout_ms is above what the broker allows (transaction.max.timeout.ms)",
    ),
    errors.GroupAuthorizationFailedError: (
        BrokerError,
        "this user needs READ on the consumer group (group_id)",
    ),
    errors.TopicAuthorizationFailedError: (
        BrokerError,
        "this user needs READ on what is read and WRITE on what is written (docs/rights.md)",
    ),
    errors.TransactionalIdAuthorizationFailed: (
        BrokerError,
        "this user needs WRITE on the transactional ids with the prefix GROUP: (group_id and a colon), "
        "or use --guarantee at_least_once",
    ),
    errors.ClusterAuthorizationFailedError: (BrokerError, "this user needs IDEMPOTENT_WRITE on the cluster"),
    errors.SaslAuthenticationFailed: (BrokerError, "the login was refused: see the sasl settings"),
}


def refusal(error: BaseException) -> StreamError | None:
    """What to tell a person about ``error``, if it is one that stays."""
    for cause in _chain(error):
        if isinstance(cause, RefusedError):
            return RecordError(f"{cause}: {_remedy_of_record(cause)}")
        for kind, (made, remedy) in _REMEDIES.items():
            if isinstance(cause, kind):
                return made(f"the cluster refused {_named(cause)}({kind.__name__}): {remedy}")
    return None


def _named(error: BaseException) -> str:
    """What aiokafka says was refused: a topic, several, or an id; mostly it says nothing."""
    names = error.args[0] if error.args else ()
    if isinstance(names, str):
        return f"{names} "
    if isinstance(names, set | frozenset | list | tuple):
        return "".join(f"{name} " for name in sorted(map(str, names)))
    return ""


def _remedy_of_record(error: RefusedError) -> str:
    if isinstance(error.__cause__, errors.InvalidTimestampError):
        return "it bears the time of now, so set the clock of this machine, or of the broker"
    if isinstance(error.__cause__, errors.MessageSizeTooLargeError):
        return "raise max.message.bytes of that topic"
    if isinstance(error.__cause__, errors.RecordListTooLargeError):
        return "raise segment.bytes of that topic"
    if isinstance(error.__cause__, InvalidRecordError):
        return "set cleanup.policy of that topic to delete: a compacted one takes no record without a key"
    return "see the broker's log, and the configuration of that topic"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

"""What the cluster refuses for good ends a program with what to change; what passes does not."""

import pytest
from aiokafka import errors

from stream.errors import BrokerError, RecordError, SettingsError, TopicError
from stream.outages import passes
from stream.refusals import refusal
from stream.transactions import FencedError, PublishError, RefusedError


def test_a_refusal_is_found_behind_the_error_that_it_caused() -> None:
    raised = PublishError("no producer")
    raised.__cause__ = errors.TransactionalIdAuthorizationFailed("group-messages-0")
    told = refusal(raised)
    assert isinstance(told, BrokerError)
    assert "refused group-messages-0" in str(told)
    assert "transactional ids" in str(told)


def test_a_record_that_a_broker_refuses_is_told_with_what_to_do() -> None:
    refused = RefusedError("topic emotions, partition 0, refused the outcome of topic messages, offset 7")
    refused.__cause__ = errors.InvalidTimestampError()
    told = refusal(refused)
    assert isinstance(told, RecordError)
    assert "offset 7" in str(told)
    assert "clock" in str(told)


def test_a_session_timeout_that_the_broker_does_not_take_is_a_setting_to_change() -> None:
    told = refusal(errors.InvalidSessionTimeoutError())
    assert isinstance(told, SettingsError)
    assert "session_timeout_ms" in str(told)


def test_a_group_that_another_application_uses_is_a_setting_to_change() -> None:
    told = refusal(errors.InconsistentGroupProtocolError())
    assert isinstance(told, SettingsError)
    assert "group_id" in str(told)


@pytest.mark.parametrize(
    "passing",
    [
        FencedError("x"),
        PublishError("x"),
        BrokerError("x"),
        errors.KafkaConnectionError("x"),
        errors.CommitFailedError("x"),
        TimeoutError(),
        ConnectionResetError(),
    ],
)
def test_what_may_pass_is_no_refusal(passing: Exception) -> None:
    assert refusal(passing) is None
    assert passes(passing)


@pytest.mark.parametrize(
    "staying",
    [
        RefusedError("x"),
        TopicError("x"),
        SettingsError("x"),
        ZeroDivisionError(),
        errors.GroupAuthorizationFailedError("x"),
        errors.SaslAuthenticationFailed("x"),
    ],
)
def test_what_stays_does_not_pass(staying: Exception) -> None:
    assert not passes(staying)

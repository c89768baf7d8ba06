"""The states of a partition: what may follow what."""

import pytest

from stream.annotate.partition import PartitionState, transition


def test_a_partition_that_initialises_admits_and_publishes_nothing() -> None:
    assert not PartitionState.INITIALISING.admits
    assert not PartitionState.INITIALISING.publishes


def test_a_draining_partition_publishes_but_admits_nothing() -> None:
    assert PartitionState.DRAINING.publishes
    assert not PartitionState.DRAINING.admits


@pytest.mark.parametrize("target", list(PartitionState))
def test_nothing_follows_closed(target: PartitionState) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        transition(PartitionState.CLOSED, target)


def test_a_draining_partition_cannot_run_again() -> None:
    with pytest.raises(ValueError, match="draining cannot become running"):
        transition(PartitionState.DRAINING, PartitionState.RUNNING)

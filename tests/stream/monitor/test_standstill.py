"""One partition that stands still is seen, whatever the others do and however often the group rebalances."""

from faust.types import TP

from stream.monitor.standstill import NEVER, Standstill

STILL, MOVING = TP("counts", 0), TP("counts", 1)


def test_a_partition_that_stands_still_is_seen_while_others_move() -> None:
    standstill = Standstill()
    for second in range(31):
        standstill.look([(STILL, 7, True), (MOVING, second, True)], second)
    assert standstill.longest() == (STILL, 30)


def test_its_time_adds_up_over_memberships_without_a_commit() -> None:
    standstill, now = Standstill(), 0.0
    for _ in range(3):
        for committed in (NEVER, 7, 7, 7):
            standstill.look([(STILL, committed, True)], now)
            now += 1
        standstill.look([], now)
        now += 1
    assert standstill.longest()[1] >= 8


def test_only_what_is_committed_is_progress_and_nothing_that_waits_is_no_standstill() -> None:
    standstill = Standstill()
    standstill.look([(STILL, 7, True)], 0)
    standstill.look([(STILL, 7, True)], 20)
    standstill.look([(STILL, 8, True)], 21)
    assert standstill.longest()[1] == 0
    for second in range(22, 60):
        standstill.look([(STILL, 8, False)], second)
    assert standstill.longest()[1] == 0

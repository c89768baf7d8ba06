"""Which states of channels are forgotten, so that channels that come and go do not fill the memory. Pure.

A state is what one rule knows of one channel. It is needed for as long as the rule may compare with it: its
hours for ``baseline_days``, the life of its alerts for a cool-down. So one in which a rule has a baseline, or
has fired, is kept for ``state_days`` after its last message. There are few of those: each stands for
``min_baseline_messages`` of its channel. It takes 54 kB at most, with a count for each hour of two weeks.

A state without a baseline only gathers one. There may be any number of those, where each ticket or thread is
a channel of its own, and each takes almost 500 bytes for a channel that was written in once. So
``GATHERING_BYTES`` of them are kept of a partition: 17,500 such channels, with the two rules that ship. Of
more, those that have been quiet for longest go; their channels gather anew.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from stream.monitor.channel_rules import ChannelState, is_over, lacks_baseline
from stream.monitor.lifecycle import IDLE
from stream.monitor.rules import ChannelRule, DriftRule

StateKey = tuple[str, str]
"""(rule, channel)"""

GATHERING_BYTES: Final = 16 * 1024 * 1024
STATE_BYTES: Final = 320
"""A state and its key, as measured, beside its hours."""
HOUR_BYTES: Final = 160


def forgotten(
    states: Mapping[StateKey, ChannelState],
    rules: Iterable[ChannelRule | DriftRule],
    now: float,
    keep_s: float,
) -> list[StateKey]:
    """The states to forget at ``now``, in event time; ``keep_s`` is for how long any is kept.

    None of an alert that fires is: that alert ends before.
    """
    by_name = {rule.name: rule for rule in rules}
    gone, gathering = list[StateKey](), list[tuple[int, StateKey]]()
    for key, state in states.items():
        rule = by_name.get(key[0])
        if state.life.firing:
            continue
        if state.judged_until < now - keep_s:
            gone.append(key)
        elif isinstance(rule, ChannelRule) and state.life == IDLE:
            if is_over(rule, state, now):
                gone.append(key)
            elif lacks_baseline(rule, state):
                gathering.append((state.judged_until, key))
    return gone + _crowded_out(states, gathering)


def _crowded_out(
    states: Mapping[StateKey, ChannelState], gathering: list[tuple[int, StateKey]]
) -> list[StateKey]:
    """Of too many, those that have been quiet for longest; a tenth more than must, so that it is seldom."""
    sizes = {key: STATE_BYTES + HOUR_BYTES * len(states[key].hours) for _, key in gathering}
    over = sum(sizes.values()) - GATHERING_BYTES
    if over <= 0:
        return []
    over += GATHERING_BYTES // 10
    gone = list[StateKey]()
    for _, key in sorted(gathering):
        if over <= 0:
            break
        over -= sizes[key]
        gone.append(key)
    return gone

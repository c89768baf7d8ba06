"""Conversations built from single messages, to train and measure a classifier that sees earlier messages.

What a message means in the light of the one before is learnt from the conversations written for this project
(``training.data.messages``); they are few. The other half of the task is to read the earlier messages without
taking their feelings for the last one's, and for that any rows do: each message of the other sets gets
messages of other rows before it, from the same source, in half of the conversations of the same label (moods
last), else of any.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from training.data.rows import Row

ALONE = 0.3
"""Share of messages without context, so that the first message of a conversation is no stranger."""


def conversations(rows: Sequence[Row], seed: int) -> list[Row]:
    """``rows`` with up to three earlier messages each, drawn from ``rows`` themselves; seeded.

    Rows that have earlier messages of their own keep them.
    """
    rng = random.Random(f"context {seed}")
    by_source: dict[str, list[Row]] = defaultdict(list)
    by_mood: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_source[row.source].append(row)
        by_mood[row.source, row.label].append(row)
    result = []
    for row in rows:
        if row.context or rng.random() < ALONE:
            result.append(row)
            continue
        pool = by_mood[row.source, row.label] if rng.random() < 0.5 else by_source[row.source]
        earlier = tuple(rng.choice(pool).text for _ in range(rng.randint(1, 3)))
        result.append(replace(row, context=earlier))
    return result

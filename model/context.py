"""How earlier messages of a conversation are put before the message that is classified.

Pure, and used by the classifier and the trainer alike: a model reads context exactly as it was trained to.
"""

from collections.abc import Sequence


def with_context(
    message: Sequence[int], previous: Sequence[Sequence[int]], separator_id: int, *, max_tokens: int
) -> list[int]:
    """Token ids of the earlier messages, then of the message, each earlier one followed by the separator.

        [oldest … SEP] … [newest … SEP] message

    ``previous`` is in the order of the conversation, newest last. ``max_tokens`` bounds what is put
    before the message, separators included; what goes beyond it is left out from the oldest end, so the
    words nearest to the message stay. No argument holds special tokens but the separator.
    """
    history: list[int] = []
    for earlier in reversed(previous):  # newest first, so that a long conversation is not joined for nothing
        if len(history) >= max_tokens:
            break
        if earlier:
            history = [*earlier, separator_id, *history]
    kept = history[max(0, len(history) - max_tokens) :]
    if kept[:1] == [separator_id]:  # the cut fell right before a separator: nothing is left to separate
        kept = kept[1:]
    return [*kept, *message]

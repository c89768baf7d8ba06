"""How a text too long for the model becomes overlapping windows, so that nothing is cut off.

Pure arithmetic on token counts and ids, shared by the classifier and the trainer.
"""

from collections.abc import Sequence


def spans(tokens: int, limit: int, overlap: int) -> list[tuple[int, int]]:
    """Start and end of each window over ``tokens`` tokens, none longer than ``limit``.

    As few windows as the overlap allows, all of the same length, so that no short rest decides on a few
    words and no window needs padding beside the others. Neighbours share at least ``overlap`` tokens,
    so that a phrase at a border stands whole in one of them. Linear in ``tokens``.
    """
    if not 0 <= overlap < limit:
        raise ValueError(f"overlap must lie in [0, {limit}), not {overlap}")
    if tokens <= limit:
        return [(0, tokens)]
    count = -(-(tokens - overlap) // (limit - overlap))  # rounded up
    length = -(-(tokens + (count - 1) * overlap) // count)
    # length <= limit, and the last start, tokens - length, is at most (count - 1) * (length - overlap):
    # evenly spaced starts are therefore never further apart than length - overlap.
    starts = [(tokens - length) * index // (count - 1) for index in range(count)]
    return [(start, start + length) for start in starts]


def split(
    token_ids: Sequence[int], limit: int, overlap: int, *, prefix: Sequence[int], suffix: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    """The windows over ``token_ids`` as a model reads them, each at most ``limit`` long in all.

    ``prefix`` and ``suffix`` are the special tokens round every window: [CLS] and [SEP] for BERT.
    """
    room = limit - len(prefix) - len(suffix)
    borders = spans(len(token_ids), room, overlap)
    return tuple((*prefix, *token_ids[start:end], *suffix) for start, end in borders)

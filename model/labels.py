"""The labels, in the order of the logits.

The first six are those of dair-ai/emotion (Saravia et al., "CARER", EMNLP 2018), in that data set's
order; ``neutral`` is added because most of a real stream carries no feeling at all.
"""

from typing import Final

EMOTIONS: Final = ("sadness", "joy", "love", "anger", "fear", "surprise")
NEUTRAL: Final = "neutral"
LABELS: Final = (*EMOTIONS, NEUTRAL)

ID2LABEL: Final = dict(enumerate(LABELS))
LABEL2ID: Final = {label: index for index, label in enumerate(LABELS)}

"""The recipes by name: those that made what ships, those that it is compared with, and ``debug``."""

from dataclasses import replace
from typing import Final

from model.labels import LABELS
from training.bases.base import DISTILBERT, MINILM, MPNET, RANDOM
from training.data.augment import Augmentation
from training.errors import TrainingError
from training.fit.recipe import Recipe

SLIGHT: Final = Augmentation(typos=0.06, emoji=0.04, handle=0.02, shout=0.02, elongate=0.03)
"""For rows that come in forms of their own already."""
POLISHED: Final = Augmentation(punctuation=0.3, emoji=0.05, typos=0.08, handle=0.02, shout=0.0, elongate=0.03)
"""Closer to the texts' own forms."""

# The report's own setup: full fine-tuning on six labels, class-weighted, stopped early.
REPORT: Final = Recipe(name="report", base=DISTILBERT, class_weights="balanced")

# The same, with rank-16 adapters on the attention projections instead of full fine-tuning.
LORA: Final = replace(REPORT, name="lora", lora_rank=16, learning_rate=1e-3, batch_size=32)

# The same adapters on a decoder: by default a small one from the hub, as the report tried a big one.
DECODER: Final = replace(LORA, name="decoder", base="EleutherAI/pythia-160m")

BEST: Final = Recipe(
    name="best",
    base=MINILM,
    labels=LABELS,
    sources={"emotion": None, "goemotions": 8_000, "banking77": 800, "written": 3_000},
    epochs=3,
    patience=2,
    batch_size=32,
    learning_rate=2e-4,
    layer_decay=0.9,
    attention_dropout=0.0,
    sequence_dropout=True,
    frozen_embeddings=True,
    label_smoothing=0.05,
    ema_decay=0.998,
    augmentation=Augmentation(),
)

# The recipe ``best`` for a base of five times the size, whose predictions ``polish`` distils.
TEACHER: Final = replace(
    BEST,
    name="teacher",
    base=MPNET,
    sources=BEST.sources | {"goemotions": 10_000, "messages": None},
    epochs=2,
    learning_rate=6e-5,
    layer_decay=0.92,
)

# A second stage for a run of ``best``, with the messages written for this project: at a lower rate, the
# embeddings and their emoji included, in forms closer to the texts' own, towards the mean prediction of
# several runs and a bigger model more than towards the labels.
POLISH: Final = replace(
    BEST,
    name="polish",
    sources=BEST.sources | {"goemotions": 12_000, "messages": None},
    epochs=4,
    learning_rate=1e-4,
    frozen_embeddings=False,
    distil=0.6,
    augmentation=POLISHED,
)

# A third stage for a run of ``polish``: several feelings a text and an output for distress, towards what runs
# of ``multilingual-teacher`` say of these; which label stands first is still said by the run that it begins
# from.
ENGLISH: Final = replace(
    POLISH,
    name="english",
    base="runs/polish-1",
    sources=POLISH.sources | {"goemotions": 16_000, "brighter_en": None, "distress": None, "xed": 6_000},
    repeats={"brighter_en": 3, "distress": 3},
    unranked=("brighter_en", "xed"),
    languages=("en",),
    epochs=5,
    patience=5,
    batch_size=64,
    learning_rate=1.5e-4,
    frozen_embeddings=True,
    presence=1.0,
    distress=0.5,
)

# A fourth stage, towards what bigger models say of several feelings and distress (``brighter-teacher`` and
# ``emotion-train probe``), also of texts that nobody has labelled in that way.
ENGLISH_POLISH: Final = replace(
    ENGLISH,
    name="english-polish",
    base="runs/english-2",
    sources=ENGLISH.sources | {"goemotions": 9_000, "written": 1_500},
    repeats={"brighter_en": 2, "distress": 3},
    epochs=2,
    patience=2,
    distress=2.0,
)

# A bigger model that learnt from BRIGHTER's English alone which emotions a text carries. It is asked of
# GoEmotions' comments too: they are of the same kind, and nobody has labelled them in that way.
BRIGHTER_TEACHER: Final = replace(
    TEACHER,
    name="brighter-teacher",
    sources={"brighter_en": None},
    unranked=("brighter_en",),
    languages=("en",),
    asked=("goemotions", "messages"),
    epochs=6,
    patience=6,
    batch_size=16,
    learning_rate=5e-5,
    label_smoothing=0.0,
    presence=1.0,
    ema_decay=0.99,
    augmentation=SLIGHT,
)

# A bigger model that says which label stands first, of everything in English that ranks its labels.
ENGLISH_TEACHER: Final = replace(
    TEACHER,
    name="english-teacher",
    sources=TEACHER.sources | {"goemotions": None},
    asked=("distress",),
    epochs=3,
    patience=3,
    batch_size=64,
    learning_rate=8e-5,
)

# All of English in one stage, long enough to come near its teachers: ``english-teacher`` says which label
# stands first, ``brighter-teacher`` and a probe which emotions are there, the probe how much distress.
ENGLISH_STUDENT: Final = replace(
    ENGLISH_POLISH,
    name="english-student",
    base="runs/english-mean",
    sources=ENGLISH_POLISH.sources | {"goemotions": None, "written": 3_000},
    repeats={"brighter_en": 3, "distress": 3},
    epochs=10,
    patience=10,
    learning_rate=2e-4,
    frozen_embeddings=False,
    presence_output=True,
    distil=0.7,
)

# The same once more, with all that was written since. BRIGHTER's texts rank their labels, each of a text's
# emotions for an equal share: a softmax that learnt from comments alone where neutral ends calls half of
# these stories neutral.
ENGLISH_STUDENT_2: Final = replace(
    ENGLISH_STUDENT, name="english-student-2", base="runs/english-mean-2", unranked=("xed",)
)

# The same in a quarter of an hour on two cores of a CPU, from what ships, towards what that says itself and,
# of BRIGHTER's texts, cross-fitted readings (``emotion-train crossfit``): it knew their labels by heart.
ENGLISH_STUDENT_3: Final = replace(
    ENGLISH_STUDENT_2,
    name="english-student-3",
    base="runs/english-reopened",
    sources=ENGLISH_STUDENT_2.sources
    | {"goemotions": 16_000, "xed": 4_000, "banking77": 300, "written": 1_000},
    epochs=3,
    patience=3,
    augmentation=replace(POLISHED, typos=0.2),
)

# The same from nothing, in 52 minutes: to see whether a network that begins from what ships is held back by
# what that has learnt by heart. It is not.
ENGLISH_STUDENT_4: Final = replace(
    ENGLISH_STUDENT_3,
    name="english-student-4",
    base=MINILM,
    epochs=12,
    patience=12,
    learning_rate=4e-4,
)

# Two shorter epochs after ``english-student`` at a rate that falls to zero, a quarter of an hour on two cores
# of a CPU. BRIGHTER's texts rank their labels here too, as ``multilingual-teacher-2`` does.
ENGLISH_FINISH: Final = replace(
    ENGLISH_STUDENT,
    name="english-finish",
    base="runs/english-student-0",
    sources=ENGLISH_STUDENT.sources | {"goemotions": 16_000, "xed": 2_000, "banking77": 300, "written": 600},
    repeats={"brighter_en": 2, "distress": 2},
    unranked=("xed",),
    epochs=2,
    patience=2,
    learning_rate=1e-4,
    warmup=0.05,
)

# Many languages on a base of its own (``emotion-train base``), with several feelings a text and an output for
# distress. BRIGHTER's English is a source of its own, so that it can be shown more often than the others.
MULTILINGUAL_TEACHER: Final = replace(
    BEST,
    name="multilingual-teacher",
    base="runs/e5-12",
    sources={
        "brighter": None,
        "brighter_en": None,
        "emotion": None,
        "goemotions": 12_000,
        "messages": None,
        "languages": None,
        "distress": None,
        "xed": 12_000,
        "banking77": 800,
        "written": 2_000,
    },
    repeats={"brighter_en": 2, "languages": 3, "distress": 3},
    epochs=5,
    patience=5,
    batch_size=64,
    learning_rate=2e-4,
    layer_decay=0.95,
    presence=1.0,
    distress=0.5,
    augmentation=SLIGHT,
)

# Half the layers, towards what several such teachers, and one that knows English alone, say of every row.
MULTILINGUAL: Final = replace(
    MULTILINGUAL_TEACHER,
    name="multilingual",
    base="runs/e5-6",
    learning_rate=3e-4,
    distil=0.7,
)

# A second stage for a run of ``multilingual``, which a CPU finishes in half an hour: all languages and grades
# of distress once more, at a rate that falls to zero.
MULTILINGUAL_POLISH: Final = replace(
    MULTILINGUAL,
    name="multilingual-polish",
    base="runs/multilingual-0",
    sources=MULTILINGUAL.sources
    | {"brighter": 11_000, "emotion": 3_000, "goemotions": 2_500, "messages": 6_000, "xed": 1_500}
    | {"banking77": 200, "written": 300},
    repeats={},
    epochs=1,
    batch_size=32,
    learning_rate=1e-4,
    warmup=0.03,
    ema_decay=0.995,
    max_tokens=64,
)

# A third stage for a run of ``multilingual-polish``, with outputs of their own for presence: the messages
# written in each language, as their labels say, the rest towards what the run said itself, distress towards a
# probe (``emotion-train probe --base``).
MULTILINGUAL_MESSAGES: Final = replace(
    MULTILINGUAL_POLISH,
    name="multilingual-messages",
    base="runs/multilingual-polish-0",
    repeats={"languages": 2, "distress": 2},
    batch_size=64,
    presence_output=True,
    distress=2.0,
    untaught=("languages",),
)

# Teachers of all languages with outputs of their own for presence.
MULTILINGUAL_TEACHER_2: Final = replace(
    MULTILINGUAL_TEACHER,
    name="multilingual-teacher-2",
    repeats={"brighter_en": 2, "languages": 2, "distress": 2},
    epochs=4,
    batch_size=128,
    learning_rate=3e-4,
    frozen_embeddings=False,
    presence_output=True,
    distress=1.0,
)

# All languages in one stage on a GPU, towards these, and towards ``english-teacher`` where a text is English.
MULTILINGUAL_STUDENT: Final = replace(
    MULTILINGUAL,
    name="multilingual-student",
    base="runs/multilingual-mean",
    repeats={"brighter_en": 2, "languages": 2, "distress": 2},
    epochs=8,
    patience=8,
    learning_rate=2e-4,
    frozen_embeddings=False,
    presence_output=True,
    distress=2.0,
)

# As ``english-student-3``, in forty minutes.
MULTILINGUAL_STUDENT_2: Final = replace(
    MULTILINGUAL_STUDENT,
    name="multilingual-student-2",
    base="runs/multilingual-reopened",
    sources=MULTILINGUAL_STUDENT.sources
    | {
        "emotion": 8_000,
        "goemotions": 8_000,
        "messages": 10_000,
        "xed": 5_000,
        "banking77": 400,
        "written": 1_000,
    },
    repeats={"brighter_en": 2, "distress": 2},
    epochs=4,
    patience=4,
    untaught=("languages",),
)

# The same from a base that was taught the embeddings of all its layers (``emotion-train base --like``): four
# of the six epochs take half an hour.
MULTILINGUAL_STUDENT_3: Final = replace(
    MULTILINGUAL_STUDENT_2,
    name="multilingual-student-3",
    base="runs/e5-6-like",
    epochs=6,
    patience=6,
    learning_rate=4e-4,
    frozen_embeddings=True,
    untaught=(),
)

# ``multilingual-student-2`` in two epochs, a quarter of an hour: the messages of other languages towards what
# ships as well, and more comments.
MULTILINGUAL_STUDENT_4: Final = replace(
    MULTILINGUAL_STUDENT_2,
    name="multilingual-student-4",
    sources=MULTILINGUAL_STUDENT_2.sources | {"goemotions": 16_000},
    epochs=2,
    patience=2,
    frozen_embeddings=True,
    untaught=(),
)

# Seconds on a CPU: what the tests run.
DEBUG: Final = replace(
    BEST,
    name="debug",
    base=RANDOM,
    frozen_embeddings=False,
    sources={"emotion": None, "written": 100},
    epochs=2,
    batch_size=16,
    max_tokens=64,
)

ALL: Final = (
    REPORT,
    LORA,
    DECODER,
    BEST,
    TEACHER,
    POLISH,
    ENGLISH,
    ENGLISH_POLISH,
    BRIGHTER_TEACHER,
    ENGLISH_TEACHER,
    ENGLISH_STUDENT,
    ENGLISH_STUDENT_2,
    ENGLISH_STUDENT_3,
    ENGLISH_STUDENT_4,
    ENGLISH_FINISH,
    MULTILINGUAL_TEACHER,
    MULTILINGUAL,
    MULTILINGUAL_POLISH,
    MULTILINGUAL_MESSAGES,
    MULTILINGUAL_TEACHER_2,
    MULTILINGUAL_STUDENT,
    MULTILINGUAL_STUDENT_2,
    MULTILINGUAL_STUDENT_3,
    MULTILINGUAL_STUDENT_4,
    DEBUG,
)
RECIPES: Final = {recipe.name: recipe for recipe in ALL}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises ``TrainingError``."""
    try:
        return RECIPES[name]
    except KeyError:
        raise TrainingError(f"no recipe {name!r}; there are {', '.join(RECIPES)}") from None

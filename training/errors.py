"""What can go wrong before or during a training, as one line that says what to do next.

TrainingError        a wrong request: unknown recipe, unusable folder, a run that does not fit
├── DataError        a data set that is missing or not in its layout
└── BaseModelError   base weights that cannot be had
"""


class TrainingError(Exception):
    """The command cannot be carried out as asked."""


class DataError(TrainingError):
    """A data set is missing, or a row in it is not what its layout says."""


class BaseModelError(TrainingError):
    """The base weights are neither on disk nor on a hub that can be reached."""

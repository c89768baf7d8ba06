"""A JSON object from a file of a model folder, or one line that says what is wrong with it."""

import json
from pathlib import Path
from typing import Any

from model.errors import ModelError


def read_object(file: Path) -> dict[str, Any]:
    """The object in ``file``. Raises ``ModelError`` where it cannot be read or is none."""
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise ModelError(f"{file} cannot be read ({error.strerror}): copy the whole model folder") from error
    except ValueError as error:
        raise ModelError(f"{file} is not valid JSON, copy it again ({error})") from error
    except RecursionError as error:
        raise ModelError(f"{file} nests too deeply to be read: copy it again from its source") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} holds no JSON object: copy it again from the model's source")
    return content

"""The name of who runs a program."""

import getpass
import os


def user_name() -> str:
    """The system's name of the user; their number where it knows none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"

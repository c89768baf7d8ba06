"""Programs beside this process that never outlive it, however it ends."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

# The shell holds the read end of a pipe whose write end only we hold. When we end, in whatever way
# (SIGKILL included), the pipe closes, and the shell stops the program and deletes its scratch directory.
# prctl(PR_SET_PDEATHSIG) would be shorter, but follows the thread that started the program, not the process,
# and exists on Linux only.
_GUARD: Final = """
scratch=$1; shift
exec 3<&0
"$@" 3<&- </dev/null &
program=$!
{ read -r _ <&3; kill -TERM "$program"; kill -CONT "$program"; } 2>/dev/null &
reader=$!
wait "$program"; status=$?
kill "$reader" 2>/dev/null
[ -n "$scratch" ] && rm -rf -- "$scratch"
exit "$status"
"""


def launched(
    *command: str,
    output: IO[Any],
    folder: Path,
    scratch: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """``command`` at work in ``folder``, with ours as its ``variables`` where none are given.

    It is told to end by SIGTERM once the standard input of what is returned, a pipe, is closed. That leaves
    with the exit code of ``command`` as a shell has it, and deletes ``scratch`` before. Not by asyncio, which
    kills the guard where we are cancelled meanwhile: whom it guards would go on.
    """
    return subprocess.Popen(
        ("/bin/sh", "-c", _GUARD, "guard", "" if scratch is None else str(scratch), *command),
        env=variables,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        # A Ctrl-C is for us: the program must outlive what there is still to do.
        start_new_session=True,
    )


def end(process: "subprocess.Popen[bytes]", timeout_s: float) -> None:
    """End a program that was ``launched``, with so much time for what it has to write; wait until it has."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

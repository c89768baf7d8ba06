"""Programs beside this process that never outlive it, however it ends."""

from pathlib import Path
from typing import Final

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


def guarded(*command: str, scratch: Path | None = None) -> tuple[str, ...]:
    """A command that runs ``command`` until that ends or its own standard input, a pipe, is closed: then it
    is told to end by SIGTERM. It leaves with the exit code of ``command`` as a shell has it, and deletes
    ``scratch`` before.
    """
    return ("/bin/sh", "-c", _GUARD, "guard", "" if scratch is None else str(scratch), *command)

"""``python -m stream.annotate``: the same as ``emotion-stream annotate``."""

import sys

from stream.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "annotate")
    main()

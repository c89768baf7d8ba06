"""What a figure was measured on; the package has it, for ``emotion-stream bench``."""

from stream.bench.machine import machine

__all__ = ["machine"]

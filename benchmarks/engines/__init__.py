"""Engines that run the same weights, for ``make bench-model``: each a process of ``stream.bench.process``."""

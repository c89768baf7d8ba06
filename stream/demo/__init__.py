"""The demo: a broker, an annotator and 300-odd messages in one process, to watch labels arrive."""

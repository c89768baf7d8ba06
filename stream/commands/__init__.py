"""The commands of ``emotion-stream``, a file each; ``stream.cli`` loads the one that is called."""

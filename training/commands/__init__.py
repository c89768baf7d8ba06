"""The commands of ``emotion-train``, by what they are for. Door: ``training.cli``."""

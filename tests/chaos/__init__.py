"""Faults of every kind while messages flow; afterwards the topics prove what became of each message."""

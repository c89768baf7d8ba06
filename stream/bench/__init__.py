"""Measuring on a user's machine and texts: ``emotion-stream bench``.

engines.py ─► rounds.py ═(JSON lines)═► process.py, a process an engine ─► report.py
latency.py ─► openloop.py, messages that are sent when they are due ─► curve.py
"""

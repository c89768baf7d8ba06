"""Measuring on a user's machine and texts: ``emotion-stream bench``.

latency.py ─► openloop.py, messages that are sent when they are due ─► curve.py
"""

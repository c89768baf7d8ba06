"""Rows to learn from and to measure with: data sets, messages written for the project, leakage guards.

Door: ``rows`` (the sets and their common row), ``messages``, ``written``; ``leakage`` keeps training and test
apart, ``augment`` gives a text another surface.
"""

"""A recipe, a base and rows in; a run's folder out.

Door: ``loop.Fit(...).run()``, with a recipe from ``recipes`` and its rows from ``sources``.
"""

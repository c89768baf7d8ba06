"""From a run to the folder that is installed with the package.

Door: ``export.export`` writes it, ``card.model_card`` its README.
"""

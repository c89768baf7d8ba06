"""What a model says, how right it is, and how sure it may be.

Door: ``scores.evaluate`` measures, ``report.write_report`` shows it; ``calibrate.calibrate`` makes the
decision rule that goes with the weights.
"""

"""What a training starts from: encoders that need no hub, and any encoder of the hub.

Door: ``base.load_base``.
"""

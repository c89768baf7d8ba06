"""How fast the classifier is on an NVIDIA GPU, and where the time goes.

    python -m benchmarks.gpu --seconds 100 --out gpu.json

Needs torch with CUDA, transformers and the weights that ship; no broker, nothing of ``stream``.
"""

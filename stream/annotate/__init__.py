"""The annotator: consumes messages, labels them in micro-batches, publishes exactly once.

    poll ─► admit ─► tokenize ─► batcher ─► infer ─► ledger ─► publish (one transaction)

``process`` is the process, ``app`` what goes on in it, ``pipeline`` the wiring of one membership in the
consumer group; ``batcher``, ``ledger``, ``partition`` and ``outcomes`` are pure.
"""

"""The dashboard: the page on which people watch a stream, review its alerts and try the model.

    emotions, emotions.counters,      ┌─► Flow     (labelled messages: rate, authors, languages)
    emotions.alerts, emotions.reviews ├─► History  (windows of every channel)      ─► parts ─► pages
      feed: read_committed            └─► Queue    (alerts and reviews)               (server-sent events)

The folds and what is made of them are pure and bounded; ``feed``, ``web`` and ``labeller`` are their shells.
A part of the page is serialised once, however many pages are open.
"""

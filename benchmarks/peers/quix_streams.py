"""A peer: the same work in Quix Streams (librdkafka), as its documentation would have one write it."""

import os
import sys
import tempfile
import time

from quixstreams import Application

DECISION = {
    "label": "anger",
    "confidence": 1.0,
    "scores": {"sadness": 0.0, "joy": 0.0, "love": 0.0, "anger": 1.0, "fear": 0.0, "surprise": 0.0},
    "neutral": 0.0,
    "distress": {"score": 0.0, "level": "none"},
    "model": {"name": "null", "revision": "000000000000"},
}


def label(message: dict) -> dict:
    return {
        **DECISION,
        "message_id": message["id"],
        "author": message["author"],
        "channel": message["channel"],
        "conversation": None,
        "labelled_at": time.time(),
        "windows": 1,
    }


guarantee = {"exactly_once": "exactly-once", "at_least_once": "at-least-once"}[sys.argv[1]]
app = Application(
    broker_address=os.environ["EMOTION_BOOTSTRAP_SERVERS"],
    consumer_group=os.environ["EMOTION_GROUP_ID"],
    auto_offset_reset="earliest",
    processing_guarantee=guarantee,
    commit_interval=0.1,
    auto_create_topics=False,
    state_dir=tempfile.mkdtemp(),
    loglevel="WARNING",
)
messages = app.topic(os.environ["EMOTION_INPUT_TOPIC"], value_deserializer="json")
emotions = app.topic(os.environ["EMOTION_TOPIC_PREFIX"], value_serializer="json")
app.dataframe(messages).apply(label).to_topic(emotions)
app.run()

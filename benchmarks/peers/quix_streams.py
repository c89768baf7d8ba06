"""A peer: the same work in Quix Streams (librdkafka), as its documentation would have one write it.

quix_streams.py exactly_once|at_least_once event|more
"""

import hmac
import os
import sys
import tempfile
import time

import pycld2
from quixstreams import Application

DECISION = {
    "label": "anger",
    "confidence": 1.0,
    "scores": {"sadness": 0.0, "joy": 0.0, "love": 0.0, "anger": 1.0, "fear": 0.0, "surprise": 0.0},
    "neutral": 0.0,
    "distress": {"score": 0.0, "level": "none"},
    "model": {"name": "null", "revision": "000000000000"},
}
KEY = os.environ["EMOTION_AUTHOR_KEY"].encode()
PREFIX = os.environ["EMOTION_TOPIC_PREFIX"]
HEADERS = {
    "ce_specversion": "1.0",
    "ce_type": "emotion-stream.emotion.v1",
    "ce_source": f"/emotion-stream/{os.environ['EMOTION_INPUT_TOPIC']}",
    "content-type": "application/json",
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


def label_more(message: dict) -> dict:
    _, _, (language, *_) = pycld2.detect(message["text"], isPlainText=True, bestEffort=True)
    return label(message) | {
        "author": hmac.digest(KEY, message["author"].encode(), "sha256").hex()[:32],
        "language": language[1],
        "language_confidence": language[2] / 100,
    }


def signal(event: dict) -> dict:
    return {name: event[name] for name in ("message_id", "author", "channel", "label", "distress", "model")}


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
emotions = app.topic(PREFIX, value_serializer="json")
stream = app.dataframe(messages)
if sys.argv[2] == "event":
    stream.apply(label).to_topic(emotions)
else:
    signals = app.topic(f"{PREFIX}.signals", key_serializer="str", value_serializer="json")
    events = stream.apply(label_more).set_headers(
        lambda event, *_: {**HEADERS, "ce_id": event["message_id"], "ce_time": str(event["labelled_at"])}
    )
    events.to_topic(emotions)
    events.apply(signal).to_topic(signals, key=lambda event: event["author"])
app.run()

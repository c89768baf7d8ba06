"""A peer: the same work in a Faust agent. Its exactly_once has open bugs, so it runs at_least_once."""

import os
import sys
import tempfile
import time

import faust

DECISION = {
    "label": "anger",
    "confidence": 1.0,
    "scores": {"sadness": 0.0, "joy": 0.0, "love": 0.0, "anger": 1.0, "fear": 0.0, "surprise": 0.0},
    "neutral": 0.0,
    "distress": {"score": 0.0, "level": "none"},
    "model": {"name": "null", "revision": "000000000000"},
}

app = faust.App(
    os.environ["EMOTION_GROUP_ID"],
    broker=f"kafka://{os.environ['EMOTION_BOOTSTRAP_SERVERS']}",
    datadir=tempfile.mkdtemp(),
    broker_commit_interval=0.1,
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
)
messages = app.topic(os.environ["EMOTION_INPUT_TOPIC"], value_serializer="json")
emotions = app.topic(os.environ["EMOTION_TOPIC_PREFIX"], value_serializer="json")


@app.agent(messages)
async def label(stream):
    async for message in stream:
        await emotions.send(
            value={
                **DECISION,
                "message_id": message["id"],
                "author": message["author"],
                "channel": message["channel"],
                "conversation": None,
                "labelled_at": time.time(),
                "windows": 1,
            }
        )


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "-l", "warn"]
    app.main()

"""Send messages to be labelled: any Kafka client will do, a message is JSON with a field ``text``.

python examples/produce.py --bootstrap-servers localhost:9092
"""

import argparse
import asyncio
import json
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

TEXTS = (
    "Where can I see the invoice for May?",
    "It arrived a day early and it is gorgeous, thank you so much!",
    "Third time I write to you, and still no answer. I have had enough.",
)


async def main(bootstrap_servers: str, topic: str, author: str) -> None:
    # The key decides the partition: with the author as key, the author's messages are labelled in order.
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True) as producer:
        for number, text in enumerate(TEXTS, start=1):
            message = {
                "id": f"{author}-{number}",
                "author": author,  # published only as a keyed hash
                "channel": "support",
                "text": text,
                "ts": datetime.now(UTC).isoformat(),
            }
            sent = await producer.send_and_wait(topic, json.dumps(message).encode(), key=author.encode())
            print(f"{message['id']} lies at {sent.topic}/{sent.partition}/{sent.offset}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Send messages to be labelled.")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--topic", default="messages")
    parser.add_argument("--author", default="ada")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.bootstrap_servers, arguments.topic, arguments.author))

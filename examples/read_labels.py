"""Read labelled messages as they are committed, and print the label, how sure it is, and where it came from.

python examples/read_labels.py --bootstrap-servers localhost:9092
"""

import argparse
import asyncio
import json

from aiokafka import AIOKafkaConsumer


async def main(bootstrap_servers: str, topic: str, group: str, count: int | None) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        # Labels are published in transactions; without this, those of an aborted one would be read too.
        isolation_level="read_committed",
    )
    seen = 0
    async with consumer:
        async for record in consumer:
            event = json.loads(record.value)
            source = event["source"]
            # A message labelled unknown, for its language, has no distress and no scores.
            distress = (event.get("distress") or {}).get("level", "-")
            print(
                f"{event['label']:<8} {event['confidence']:.2f}  distress {distress:<8} "
                f"{event.get('channel') or '-'}  {source['topic']}/{source['partition']}/{source['offset']}"
            )
            seen += 1
            if seen == count:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print labelled messages.")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--topic", default="emotions")
    parser.add_argument("--group", default="example-reader")
    parser.add_argument("--count", type=int, help="stop after so many")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.bootstrap_servers, arguments.topic, arguments.group, arguments.count))

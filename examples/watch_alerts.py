"""Follow alerts through their life: firing, resolved, with the evidence that a reviewer needs.

python examples/watch_alerts.py --bootstrap-servers localhost:9092
"""

import argparse
import asyncio
import json

from aiokafka import AIOKafkaConsumer


async def main(bootstrap_servers: str, topic: str, count: int | None) -> None:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    latest: dict[str, int] = {}
    async with consumer:
        async for record in consumer:
            if record.value is None:
                continue  # the alert was forgotten, with its author
            alert = json.loads(record.value)
            # Delivered at least once, and re-sent while firing: the greatest revision holds.
            if alert["revision"] <= latest.get(alert["id"], 0):
                continue
            latest[alert["id"]] = alert["revision"]
            evidence = alert["evidence"]
            print(f"{alert['status']} {alert['severity']} {alert['id']}: {alert['summary']}")
            print(f"  {evidence['measure']}: {evidence['score']:.2f}, enters at {evidence['enter']:.2f}")
            print(f"  {evidence['messages']} messages: {', '.join(evidence['message_ids'])}")
            print(f"  {alert['notice']}")
            if len(latest) == count:
                break


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print alerts and their evidence.")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--topic", default="emotions.alerts")
    parser.add_argument("--count", type=int, help="stop after so many alerts")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.bootstrap_servers, arguments.topic, arguments.count))

"""Count labels in a store of your own, each message once, though Kafka may deliver an event again.

An event's id follows from where its message lies, so a repeated event has the id of the first. Here the
store is SQLite: id and count are written in one transaction, and only then is the offset committed.

python examples/dedupe_reader.py --bootstrap-servers localhost:9092 --database labels.db
"""

import argparse
import asyncio
import json
import sqlite3

from aiokafka import AIOKafkaConsumer


def count_once(store: sqlite3.Connection, event_id: str, label: str) -> bool:
    """Whether the event was new; if so, its label is counted."""
    with store:
        new = store.execute("INSERT OR IGNORE INTO seen VALUES (?)", [event_id]).rowcount == 1
        if new:
            store.execute(
                "INSERT INTO labels VALUES (?, 1) ON CONFLICT (label) DO UPDATE SET count = count + 1",
                [label],
            )
    return new


async def main(bootstrap_servers: str, topic: str, database: str, count: float) -> None:
    store = sqlite3.connect(database)
    store.execute("CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY)")
    store.execute("CREATE TABLE IF NOT EXISTS labels (label TEXT PRIMARY KEY, count INTEGER NOT NULL)")
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap_servers, group_id="example-counter", auto_offset_reset="earliest",
        isolation_level="read_committed", enable_auto_commit=False,
    )  # fmt: skip
    read = 0
    async with consumer:
        while read < count:
            for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                events = [json.loads(record.value) for record in records]
                new = sum(count_once(store, event["id"], event["label"]) for event in events)
                await consumer.commit({partition: records[-1].offset + 1})
                print(f"{partition.topic}/{partition.partition}: {new} new, {len(events) - new} seen before")
                read += len(events)
    print(dict(store.execute("SELECT label, count FROM labels ORDER BY label").fetchall()))
    store.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Count labels, each message once.")
    parser.add_argument("--bootstrap-servers", default="localhost:9092")
    parser.add_argument("--topic", default="emotions")
    parser.add_argument("--database", default="labels.db")
    parser.add_argument("--count", type=float, default=float("inf"), help="stop after so many events")
    given = parser.parse_args()
    asyncio.run(main(given.bootstrap_servers, given.topic, given.database, given.count))

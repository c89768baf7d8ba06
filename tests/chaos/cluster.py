"""One Apache Kafka broker or several of a cluster, each reached by programs through a proxy."""

import asyncio
from pathlib import Path
from typing import Self

from tests.brokers import ApacheKafka, free_port, new_cluster_id
from tests.chaos.proxy import Proxy


class Node(ApacheKafka):
    """A broker with two listeners: ``bootstrap_servers`` is direct, the proxy's port is for programs."""

    def __init__(self, folder: Path, number: int, voters: str, cluster_id: str, replicas: int) -> None:
        super().__init__(folder)
        self._cluster_id = cluster_id
        self._number = number
        self._voters = voters
        self._replicas = replicas
        self._behind = free_port()
        self.proxy = Proxy(self._behind)

    def _configure(self, properties: dict[str, object]) -> None:
        """Quorum, replication, and the proxy's address as that of the listener for programs."""
        controller = dict(voter.split("@") for voter in self._voters.split(","))[str(self._number)]
        least = max(1, self._replicas - 1)
        properties |= {
            "node.id": self._number,
            "controller.quorum.voters": self._voters,
            "listeners": f"CLIENT://{self.bootstrap_servers},PROGRAMS://127.0.0.1:{self._behind},"
            f"CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{self.bootstrap_servers},"
            f"PROGRAMS://127.0.0.1:{self.proxy.port}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROGRAMS:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "offsets.topic.replication.factor": self._replicas,
            "transaction.state.log.replication.factor": self._replicas,
            "transaction.state.log.min.isr": least,
            "min.insync.replicas": least,
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
        }


class Cluster:
    """``async with Cluster(folder, 3) as cluster``: running brokers; ``servers`` are direct."""

    def __init__(self, folder: Path, brokers: int) -> None:
        voters = ",".join(f"{number}@127.0.0.1:{free_port()}" for number in range(1, brokers + 1))
        cluster_id = new_cluster_id()
        self.nodes: list[Node] = []
        for number in range(1, brokers + 1):
            own = folder / f"broker-{number}"
            own.mkdir(parents=True)
            self.nodes.append(Node(own, number, voters, cluster_id, brokers))
        self.servers = ",".join(node.bootstrap_servers for node in self.nodes)
        self.proxied_servers = ",".join(f"127.0.0.1:{node.proxy.port}" for node in self.nodes)

    async def __aenter__(self) -> Self:
        try:
            # All at once: none answers before a majority of the controllers is up.
            await asyncio.gather(*(asyncio.to_thread(node.start) for node in self.nodes))
            for node in self.nodes:
                await node.proxy.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.proxy.stop()
        await asyncio.gather(*(asyncio.to_thread(node.stop) for node in self.nodes))

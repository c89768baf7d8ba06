"""How several workers share the machine: a device, threads and a port for each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from stream.errors import SettingsError
from stream.inputs import Inputs
from stream.settings import Settings

MOST_PORTS = 65_535


@dataclass(frozen=True, slots=True)
class Share:
    """What one worker gets. ``threads`` are those of one batch on a CPU; ``http_port`` None is no server."""

    index: int
    device: str
    threads: int
    http_port: int | None
    client_id: str

    def flags(self) -> list[str]:
        """As options of ``annotate``, stronger than every other source of settings."""
        given = [
            f"--worker={self.index}",
            f"--device={self.device}",
            f"--threads={self.threads}",
            f"--client-id={self.client_id}",
        ]
        return given if self.http_port is None else [*given, f"--http-port={self.http_port}"]


def is_shared(settings: Settings) -> bool:
    """Whether there are to be several processes, or one that is supervised."""
    return settings.devices is not None or (settings.workers or 1) > 1


def shares_of(settings: Settings, cores: int) -> tuple[Share, ...]:
    """One share a worker, on a machine of which ``cores`` may be used.

    Raises:
        SettingsError: the settings contradict each other.
    """
    devices = _devices(settings)
    count = settings.workers or len(devices)
    if count < len(devices):
        raise SettingsError(
            f"workers is {count}, so {', '.join(devices[count:])} of devices would have nothing to do: "
            f"set workers to {len(devices)} or more, or name fewer devices"
        )
    port = settings.http_port
    if port and port + count - 1 > MOST_PORTS:
        raise SettingsError(f"http_port {port} leaves no room for {count} workers: set a lower one")
    return tuple(
        Share(
            index=index,
            device=devices[index % len(devices)],
            threads=settings.threads or max(1, cores // count),
            http_port=port + index if port else port,
            client_id=f"{settings.client_id}-{index}",
        )
        for index in range(count)
    )


def doubts(settings: Settings, shares: Sequence[Share], *, partitions: int, cores: int) -> list[str]:
    """What works and is most likely not what was meant. Topics that match a pattern may come yet."""
    inputs, count, found = Inputs.of(settings), len(shares), list[str]()
    if count > partitions and inputs.pattern is None:
        found.append(
            f"{count} workers share the {partitions} partitions of {inputs}: "
            f"{count - partitions} will have nothing to do"
        )
    if count > cores and any(share.device in ("auto", "cpu") for share in shares):
        found.append(f"{count} workers take turns on the {cores} cores that this process may use")
    return found


def _devices(settings: Settings) -> list[str]:
    if settings.devices is None:
        return [settings.device]
    if settings.device != "auto":
        raise SettingsError("device and devices are both set: devices alone says what each worker runs on")
    return [device.strip() for device in settings.devices.split(",")]

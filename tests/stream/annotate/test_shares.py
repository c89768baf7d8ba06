"""What each of several workers gets, and what is refused because it contradicts itself."""

from typing import Any

import pytest

from stream.annotate.shares import doubts, is_shared, shares_of
from stream.errors import SettingsError
from stream.settings import Settings, load_settings


def settings(**values: Any) -> Settings:
    return load_settings({"bootstrap_servers": "none:1", **values})


@pytest.mark.parametrize(
    ("values", "shared"),
    [({}, False), ({"workers": 1}, False), ({"workers": 2}, True), ({"devices": "cpu"}, True)],
)
def test_one_worker_needs_no_parent(values: dict[str, Any], shared: bool) -> None:
    assert is_shared(settings(**values)) is shared


@pytest.mark.parametrize(
    ("workers", "cores", "threads", "expected"), [(2, 8, 0, 4), (3, 8, 0, 2), (8, 2, 0, 1), (4, 16, 3, 3)]
)
def test_cores_are_divided_among_the_workers_unless_threads_says_otherwise(
    workers: int, cores: int, threads: int, expected: int
) -> None:
    shares = shares_of(settings(workers=workers, threads=threads), cores)
    assert [share.threads for share in shares] == [expected] * workers


def test_devices_are_taken_in_turn_and_alone_make_a_worker_each() -> None:
    shares = shares_of(settings(devices="cuda:0, cuda:1", workers=3), cores=4)
    assert [share.device for share in shares] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [share.device for share in shares_of(settings(devices="cuda:0,cuda:1"), 4)] == ["cuda:0", "cuda:1"]


def test_each_worker_has_a_port_and_a_name_of_its_own() -> None:
    shares = shares_of(settings(workers=3, http_port=9100, client_id="here"), 4)
    assert [(share.http_port, share.client_id) for share in shares] == [
        (9100, "here-0"),
        (9101, "here-1"),
        (9102, "here-2"),
    ]
    assert {share.http_port for share in shares_of(settings(workers=2, http_port=0), 4)} == {0}
    assert "--http-port" not in " ".join(shares_of(settings(workers=2), 4)[0].flags())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"devices": "cuda:0,cuda:1", "workers": 1}, "cuda:1"),
        ({"devices": "cuda:0", "device": "cpu"}, "devices alone"),
        ({"workers": 5, "http_port": 65_533}, "http_port"),
        ({"devices": "cuda:0,gpu1"}, "gpu1"),
        ({"device": "cuda:0,cuda:1"}, "set devices"),
        ({"workers": 0}, "workers"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_setting_to_change(
    values: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        shares_of(settings(**values), 4)


def test_more_workers_than_partitions_or_cores_are_doubted() -> None:
    given = settings(workers=4)
    found = doubts(given, shares_of(given, 2), partitions=3, cores=2)
    assert ["3 partitions" in found[0], "2 cores" in found[1]] == [True, True]
    assert doubts(given, shares_of(given, 4), partitions=8, cores=4) == []
    on_gpus = settings(devices="cuda:0,cuda:1,cuda:2")
    assert doubts(on_gpus, shares_of(on_gpus, 2), partitions=3, cores=2) == []

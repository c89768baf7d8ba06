"""Who may import whom: the layout's rules, held against the imports of every file.

    training ──► model ◄── stream        stream knows of model: contract, labels, errors, one loading function

A file whose docstring says that it is pure imports no client, no model runtime, no web, and reads no clock.
"""

import ast
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("model", "stream", "training")

MODEL_INTERFACE: Final = {"model.contract", "model.labels", "model.errors", "model.loading"}

PURE: Final = {
    "model.calibration",
    "model.contract",
    "model.decide",
    "model.fake",
    "stream.annotate.batcher",
    "stream.annotate.ledger",
    "stream.annotate.outcomes",
    "stream.annotate.partition",
    "stream.cloudevents",
    "stream.codec",
    "stream.demo.tally",
    "stream.events",
    "stream.ids",
    "stream.monitor.fold",
    "stream.monitor.windows",
    "stream.records",
}
"""Must be pure; files that say so of themselves are held to it too."""

TRAINING_ROOMS: Final = ("data", "bases", "fit", "evaluate", "ship")

IMPURE_IMPORTS: Final = {
    "aiohttp", "aiokafka", "asyncio", "faust", "httpx", "mode", "onnxruntime", "requests", "safetensors",
    "socket", "subprocess", "threading", "tokenizers", "torch", "transformers", "urllib",
}  # fmt: skip
CLOCK_READS: Final = {
    "monotonic", "monotonic_ns", "now", "perf_counter", "perf_counter_ns", "time_ns", "today", "utcnow",
}  # fmt: skip
MODEL_RUNTIMES: Final = {"onnx", "onnxruntime", "safetensors", "tokenizers", "torch", "transformers"}
VAGUE_NAMES: Final = re.compile(r"utils?|helpers?|managers?|common|misc")


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the three packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def names_in(node: ast.AST) -> Iterator[str]:
    """Dotted names that an import statement may load: ``from a import b`` may mean ``a`` or ``a.b``."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        assert node.module is not None
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(path: Path, *, at_import: bool = False) -> set[str]:
    """What a file imports, own modules in full and foreign ones by their first part.

    ``at_import``: only what is loaded with the file, not what its functions import when they are called.
    """
    own, tree = modules(), tree_of(path)
    nodes = _outside_functions(tree) if at_import else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        for name in names_in(node):
            if name in own:
                found.add(name)
            elif name.partition(".")[0] not in PACKAGES:
                found.add(name.partition(".")[0])
    return found


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not _for_types(
            child
        ):
            yield child
            yield from _outside_functions(child)


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def loaded_with(name: str) -> set[str]:
    """Everything that importing a module loads, as far as the imports of our own files tell."""
    own, seen, ahead = modules(), set[str](), [name]
    while ahead:
        current = ahead.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in own:
            parents = [".".join(current.split(".")[:depth]) for depth in range(1, current.count(".") + 1)]
            ahead += [*imported_modules(own[current], at_import=True), *parents]
    return seen


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def says_pure(path: Path) -> bool:
    return re.search(r"\bpure\b", ast.get_docstring(tree_of(path)) or "", re.IGNORECASE) is not None


def of_package(package: str) -> list[str]:
    return sorted(name for name in modules() if within(name, package))


def strangers(names: Iterable[str], allowed: Callable[[str], bool]) -> dict[str, set[str]]:
    """For each file that breaks the rule, what it should not import."""
    found = {
        name: {other for other in imported_modules(modules()[name]) if not allowed(other)} for name in names
    }
    return {name: others for name, others in found.items() if others}


def test_model_knows_neither_stream_nor_training() -> None:
    names = of_package("model")
    assert not strangers(names, lambda other: not within(other, "stream") and not within(other, "training"))


def test_training_does_not_know_stream() -> None:
    assert not strangers(of_package("training"), lambda other: not within(other, "stream"))


def test_rooms_of_training_import_only_the_rooms_before_them() -> None:
    rooms = [f"training.{room}" for room in TRAINING_ROOMS]
    assert all(of_package(room) for room in rooms)
    imports = {
        room: {other for name in of_package(room) for other in imported_modules(modules()[name])}
        for room in rooms
    }
    later = {room: set(rooms[place + 1 :]) for place, room in enumerate(rooms)}
    assert not {
        room: found
        for room in rooms
        if (found := {o for o in imports[room] if o.rpartition(".")[0] in later[room]})
    }


def test_stream_knows_model_through_its_interface_alone() -> None:
    def allowed(other: str) -> bool:
        if within(other, "model"):
            return other in MODEL_INTERFACE | {"model"}
        return not within(other, "training")

    assert not strangers(of_package("stream"), allowed)


def test_monitor_knows_of_model_only_the_labels() -> None:
    names = of_package("stream.monitor")
    assert not strangers(
        names, lambda other: not within(other, "model") or other in {"model", "model.labels"}
    )


def test_monitor_loads_no_model_runtime_and_no_annotator() -> None:
    names = of_package("stream.monitor")
    programs = {"stream.annotate", "stream.demo"}
    loaded = {name: loaded_with(name) & (MODEL_RUNTIMES | programs) for name in names}
    assert not {name: found for name, found in loaded.items() if found}


def test_command_line_starts_without_model_runtime_or_faust() -> None:
    assert not loaded_with("stream.cli") & (MODEL_RUNTIMES | {"faust"})


def test_pure_files_have_no_client_no_runtime_no_web_and_no_clock() -> None:
    names = PURE | {name for name, path in modules().items() if says_pure(path)}
    assert not strangers(names, lambda other: other not in IMPURE_IMPORTS)
    assert not {name: reads for name in names if (reads := clock_reads(modules()[name]))}


def clock_reads(path: Path) -> set[str]:
    """Names of the clock functions that a file calls: time should come in as an argument."""
    return {
        node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_READS
    }


def test_names_say_what_a_file_is_about() -> None:
    assert not [name for name in modules() if any(VAGUE_NAMES.fullmatch(part) for part in name.split("."))]


def test_modules_begin_with_a_docstring() -> None:
    filled = {name: path for name, path in modules().items() if path.read_text(encoding="utf-8").strip()}
    assert not [name for name, path in filled.items() if not ast.get_docstring(tree_of(path))]

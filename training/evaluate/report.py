"""An evaluation as one page to read: ``report.md``, ``report.html`` (plots embedded) and ``metrics.json``."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from model.labels import EMOTIONS
from training.evaluate.plots import plots
from training.evaluate.scores import Evaluation
from training.runs import as_json

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "td,th{border:1px solid #ccc;padding:.25rem .6rem;text-align:left}"
    "img{max-width:100%}code{background:#f4f4f4;padding:0 .2rem}"
)


def write_report(evaluation: Evaluation, out: Path) -> Path:
    """Write the report into ``out``; the path of the HTML page, which needs no other file."""
    from markdown_it import MarkdownIt

    out.mkdir(parents=True, exist_ok=True)
    images = plots(evaluation)
    for name, image in images.items():
        (out / f"{name}.png").write_bytes(image)
    markdown = as_markdown(evaluation, images)
    (out / "report.md").write_text(markdown, encoding="utf-8")
    (out / "metrics.json").write_text(as_json(evaluation.as_json()), encoding="utf-8")
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    for name, image in images.items():
        body = body.replace(f"{name}.png", f"data:image/png;base64,{base64.b64encode(image).decode()}")
    title = html.escape(f"Evaluation of {evaluation.model['name']}")
    page = out / "report.html"
    page.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<body>{body}</body></html>\n",
        encoding="utf-8",
    )
    return page


def as_markdown(evaluation: Evaluation, images: Iterable[str]) -> str:
    """The report in Markdown; ``images`` are the names of the plots beside it."""
    drawn = set(images)
    sections = [
        _head(evaluation),
        _benchmark(evaluation),
        "## Learning curve\n\n![validation scores by epoch](learning.png)" if "learning" in drawn else "",
        _calibration(evaluation),
        _confusions(evaluation),
        _beyond(evaluation),
        _behaviour(evaluation),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(evaluation: Evaluation) -> str:
    model = evaluation.model
    facts = [("revision", model["revision"]), ("precision", model["precision"])]
    if "recipe" in model:
        recipe = model["recipe"]
        seed = f", seed {model['seed']}" if "seed" in model else ""
        seconds = f"{model['seconds']:.0f} s: " if "seconds" in model else ""
        facts.append(("recipe", f"{recipe['name']}, base {recipe['base']}{seed}"))
        if "parameters" in model:
            facts.append(("parameters", f"{model['parameters']:,}"))
        facts.append(("training", f"{seconds}`{model['command']}`"))
    return f"# Evaluation of {model['name']}\n\n{_table(('', ''), facts)}"


def _benchmark(evaluation: Evaluation) -> str:
    scores, intervals = evaluation.benchmark.scores, evaluation.benchmark.intervals

    def row(name: str, key: str) -> tuple[str, str, str]:
        low, high = intervals.get(key, (None, None))
        return name, f"{scores[key]:.4f}", "" if low is None else f"{low:.4f} to {high:.4f}"

    table = _table(
        ("test split, six-way", "score", "95 % bootstrap interval"),
        [
            row("accuracy", "accuracy"),
            row("macro-F1", "macro_f1"),
            row("weighted precision", "weighted_precision"),
            row("weighted recall", "weighted_recall"),
            row("weighted F1", "weighted_f1"),
            row("ROC-AUC from probabilities, weighted", "roc_auc_weighted"),
            row("ROC-AUC from probabilities, macro", "roc_auc_macro"),
            row("ROC-AUC of hard labels, weighted (the report's variant)", "roc_auc_weighted_hard_labels"),
            row("ECE before temperature scaling", "ece_before"),
            row(f"ECE after, at the set's own temperature {scores['own_temperature']}", "ece_after"),
            row(
                f"ECE as shipped, temperature {evaluation.model['temperature']} · "
                f"entropy^{evaluation.model['temperature_entropy']}",
                "ece_shipped",
            ),
            row(f"accuracy on the {scores['consistent_rows']:.0f} consistent rows", "consistent_accuracy"),
            row("macro-F1 on them", "consistent_macro_f1"),
        ],
    )
    by_label = _table(
        ("label", "precision", "recall", "F1", "rows"),
        [
            (r["label"], f"{r['precision']:.3f}", f"{r['recall']:.3f}", f"{r['f1']:.3f}", r["rows"])
            for r in evaluation.benchmark.by_label
        ],
    )
    return (
        "## dair-ai/emotion\n\nThe softmax runs over the six emotion logits alone. Consistent rows are those "
        f"whose text does not stand in the training split under another label.\n\n{table}\n\n{by_label}"
    )


def _calibration(evaluation: Evaluation) -> str:
    points = [point for i, point in enumerate(evaluation.benchmark.abstention) if i % 5 == 0]
    table = _table(
        ("threshold", "coverage", "precision", "recall", "F1"),
        [
            tuple(f"{point[name]:.3f}" for name in ("threshold", "coverage", "precision", "recall", "f1"))
            for point in points
        ],
    )
    return (
        f"## Confidence\n\nTemperature {evaluation.model['temperature']}.\n\n"
        "![reliability diagram](reliability.png)\n\n"
        f"![scores against the abstention threshold](abstention.png)\n\n{table}"
    )


def _confusions(evaluation: Evaluation) -> str:
    lines = []
    for worst in evaluation.benchmark.worst:
        lines.append(f"**{worst['label']} taken for {worst['named']}**, {worst['rows']} rows:\n")
        lines += [f"- {_quoted(text)} ({confidence:.2f})" for text, confidence in worst["examples"]]
        lines.append("")
    matrix = _table(
        ("label \\ model", *EMOTIONS),
        [(label, *row) for label, row in zip(EMOTIONS, evaluation.benchmark.confusion, strict=True)],
    )
    return (
        "## Confusions\n\n![confusion matrix](confusion.png)\n\n"
        + matrix
        + "\n\n"
        + "\n".join(lines).rstrip()
    )


def _beyond(evaluation: Evaluation) -> str:
    go, seven = evaluation.goemotions, evaluation.seven_way
    messages, replies = evaluation.messages, evaluation.replies
    examples = _table(
        ("sentence", "expected", "label", "confidence"),
        [(e["text"], e["expected"], e["label"], f"{e['confidence']:.3f}") for e in evaluation.examples],
    )
    scores = _table(
        ("seven-way, by the shipped decision rule", "accuracy", "macro-F1"),
        [
            (
                f"GoEmotions test, {go['rows']:.0f} single-label rows",
                f"{go['accuracy']:.4f}",
                f"{go['macro_f1']:.4f} ({go['macro_f1_low']:.4f} to {go['macro_f1_high']:.4f})",
            ),
            (
                f"with the set's Ekman mapping for the five stance labels, {go['ekman_rows']:.0f} rows",
                f"{go['ekman_accuracy']:.4f}",
                f"{go['ekman_macro_f1']:.4f}",
            ),
            (
                f"written test messages, {messages['rows']:.0f} rows",
                f"{messages['accuracy']:.4f}",
                f"{messages['macro_f1']:.4f}",
            ),
            (
                f"last messages of {replies['rows']:.0f} conversations, alone",
                f"{replies['accuracy']:.4f}",
                f"{replies['macro_f1']:.4f}",
            ),
            (
                f"dair-ai/emotion test ({seven['called_neutral']:.1%} called neutral)",
                f"{seven['accuracy']:.4f}",
                "",
            ),
        ],
    )
    parts = (scores, _languages(evaluation.languages), _distress(evaluation.distress))
    beyond = "\n\n".join((*parts, examples))
    return f"## Beyond the benchmark\n\n{beyond}"


def _languages(scores: dict[str, float]) -> str:
    return _table(
        ("languages and several feelings", "score"),
        [(name.replace("_", " "), f"{score:.4f}") for name, score in scores.items()],
    )


def _distress(scores: dict[str, float]) -> str:
    return _table(
        ("distress, on the messages graded to test with", "score"),
        [(name.replace("_", " "), f"{score:.4g}") for name, score in scores.items()],
    )


def _behaviour(evaluation: Evaluation) -> str:
    rates = [
        (kind, f"{passed} of {count}", f"{passed / count:.0%}")
        for kind, (passed, count) in evaluation.behaviour.items()
    ]
    passed = sum(passed for passed, _ in evaluation.behaviour.values())
    count = sum(count for _, count in evaluation.behaviour.values())
    failures = _table(
        ("kind", "message", "accepted", "label", "confidence"),
        [
            (
                outcome.kind,
                outcome.text,
                " or ".join(outcome.accepted),
                outcome.label,
                f"{outcome.confidence:.2f}",
            )
            for outcome in evaluation.behaviour_failures
        ],
    )
    table = _table(
        ("kind", "passed", "rate"), [*rates, ("all", f"{passed} of {count}", f"{passed / count:.0%}")]
    )
    return f"## Behaviour\n\n{table}\n\n### Failures\n\n{failures}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _quoted(text: str) -> str:
    return f'"{text}"'

"""Label texts in a program of your own, without Kafka.

python examples/classify_texts.py "I can't wait to see you!" "Where is my order?"
"""

import argparse

import model

TEXTS = ["I can't wait to see you!", "Where is my order?"]


def main(texts: list[str], spec: str | None) -> None:
    classifier = model.load(spec)
    # The three steps of the model's contract; in a stream, the next batch is tokenized during forward.
    batch = classifier.tokenize(texts)
    logits = classifier.forward(batch)
    for text, emotion in zip(texts, classifier.decide(batch, logits), strict=True):
        likely = sorted(emotion.scores.items(), key=lambda item: -item[1])[:2]
        others = ", ".join(f"{label} {score:.2f}" for label, score in likely)
        print(
            f"{emotion.label:<8} {emotion.confidence:.2f}  ({others}, neutral {emotion.neutral:.2f})  {text}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Label texts.")
    parser.add_argument("texts", nargs="*", default=TEXTS)
    parser.add_argument("--model", help="model folder; 'fake' needs no weights")
    arguments = parser.parse_args()
    main(arguments.texts, arguments.model)

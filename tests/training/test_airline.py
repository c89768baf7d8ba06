"""Sentiments and emotions are counted together, on the same tweets each time."""

import json
from pathlib import Path

import pytest

from training.errors import DataError
from training.evaluate.airline import FITTING, read_airline_tweets
from training.evaluate.predict import open_classifier


def test_each_sentiment_is_read_and_its_shares_are_of_its_tweets(debug_run: Path, tmp_path: Path) -> None:
    (tmp_path / "support").mkdir()
    file = tmp_path / "support" / "airline_tweets.jsonl"
    tweets = [{"text": f"gate {n}", "label": sentiment} for n in range(30) for sentiment in FITTING]
    file.write_text("".join(json.dumps(tweet) + "\n" for tweet in tweets))
    classifier = open_classifier(debug_run)
    read = read_airline_tweets(classifier, tmp_path, per_sentiment=20)
    assert [reading.sentiment for reading in read] == list(FITTING)
    for reading in read:
        assert reading.tweets == 20
        assert sum(reading.labels.values()) == pytest.approx(1.0)
        fitting = sum(reading.labels.get(label, 0.0) for label in FITTING[reading.sentiment])
        assert reading.fitting == pytest.approx(fitting)
    assert read == read_airline_tweets(classifier, tmp_path, per_sentiment=20)


def test_an_unknown_sentiment_is_refused_and_one_without_tweets_left_out(
    debug_run: Path, tmp_path: Path
) -> None:
    (tmp_path / "support").mkdir()
    file = tmp_path / "support" / "airline_tweets.jsonl"
    file.write_text('{"text": "late again", "label": "negative"}\n')
    classifier = open_classifier(debug_run)
    assert [reading.sentiment for reading in read_airline_tweets(classifier, tmp_path)] == ["negative"]
    file.write_text('{"text": "late again", "label": "mixed"}\n')
    with pytest.raises(DataError, match="unknown label 'mixed'; expected negative, neutral, positive"):
        read_airline_tweets(classifier, tmp_path)


def test_a_folder_without_the_tweets_is_one_line(debug_run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"airline_tweets\.jsonl"):
        read_airline_tweets(open_classifier(debug_run), tmp_path)

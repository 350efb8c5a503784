import numpy as np
import pytest

from lightning_nlp.evaluation.groups import by_frequency, by_length, by_piece, continues_a_word


def test_each_length_is_in_one_group():
    rng = np.random.default_rng(0)
    lengths, right = rng.integers(3, 200, 1000), rng.random(1000) < 0.7
    groups = by_length(lengths, right)
    assert len(groups) == 8
    assert sum(group["examples"] for group in groups) == 1000
    for group in groups:
        inside = (lengths >= group["low"]) & (lengths <= group["high"])
        assert inside.sum() == group["examples"]
        assert right[inside].mean() == pytest.approx(group["accuracy"])
    assert max(group["examples"] for group in groups) < 200


@pytest.mark.parametrize("lengths", [[5], [5, 5, 5], [1, 512], [1, 1, 1, 1, 9]])
def test_few_lengths(lengths):
    groups = by_length(np.array(lengths), np.ones(len(lengths), dtype=bool))
    assert sum(group["examples"] for group in groups) == len(lengths)
    assert {group["accuracy"] for group in groups} == {1.0}
    assert by_length(np.array([], dtype=int), np.array([], dtype=bool)) == []


def test_tokens_by_their_frequency():
    counts = np.array([0, 1, 9, 10, 99, 100, 5000])
    targets = np.array([0, 1, 2, 3, 4, 4, 5, 6])
    groups = by_frequency(targets, counts, {"top1": np.array([0, 1, 0, 1, 1, 0, 1, 1.0])})
    counted = [(0, 0, 1), (1, 9, 2), (10, 99, 3), (100, 999, 1), (1000, 9999, 1)]
    assert [(g["low"], g["high"], g["tokens"]) for g in groups] == counted
    assert [g["top1"] for g in groups] == pytest.approx([0, 0.5, 2 / 3, 1, 1])
    assert by_frequency(np.array([], dtype=int), counts, {"top1": np.array([])}) == []


@pytest.mark.parametrize(
    ("vocabulary", "continues"),
    [
        (["[CLS]", "la", "##j", "#", "##"], [0, 0, 1, 0, 1]),
        (["<s>", "Ġla", "j", "Ġ"], [0, 0, 1, 0]),
        (["<s>", "▁la", "j", "▁"], [0, 0, 1, 0]),
        (["<s>", "la", "j"], [0, 0, 0]),  # words or characters: nothing marks a piece
    ],
)
def test_what_continues_a_word(vocabulary, continues):
    assert continues_a_word(vocabulary, {"[CLS]", "<s>"}).tolist() == list(map(bool, continues))


def test_words_and_subwords():
    found = by_piece(np.array([0, 1, 1]), np.array([False, True]), {"loss": np.array([1.0, 2.0, 4.0])})
    assert found == {"word": {"tokens": 1, "loss": 1.0}, "subword": {"tokens": 2, "loss": 3.0}}
    assert by_piece(np.array([0]), np.array([False, True]), {}) == {"word": {"tokens": 1}}

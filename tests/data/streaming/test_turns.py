import itertools
from collections import Counter

import pytest

from lightning_nlp.data.streaming.turns import Piece, Position, Turns


def pieces(turns, number):
    return [turns.piece(turn) for turn in range(number)]


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("readers", [1, 2, 4])
def test_each_pass_has_each_shard_once(shards, readers):
    parts = -(-readers // shards)
    found = pieces(Turns(shards, 3, readers), 2 * shards * parts)
    for epoch, whole in enumerate((found[: shards * parts], found[shards * parts :])):
        assert {piece.epoch for piece in whole} == {epoch}
        assert Counter((piece.shard, piece.part) for piece in whole) == Counter(
            itertools.product(range(shards), range(parts))
        )


def test_the_order_is_another_one_in_each_pass_and_for_each_seed():
    both = [piece.shard for piece in pieces(Turns(50, 3, 1), 100)]
    assert both[:50] != both[50:]
    assert both[:50] != [piece.shard for piece in pieces(Turns(50, 4, 1), 50)]


def test_other_readers_finish_each_pass_that_was_begun():
    """Also one that none of the readers has come to again."""
    left = (Piece(0, 1, row=5), Piece(0, 2), Piece(1, 0, row=7))
    turns = Turns(3, 3, 1, queue=left).dealt_anew([Position(0, 5, 0, 9)], 2)
    assert turns.queue == (Piece(0, 1, row=9), *left[1:])
    assert {piece.epoch for piece in pieces(turns, 6)[3:]} == {2}

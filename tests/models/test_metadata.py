import pytest

from lightning_nlp.errors import UserError
from lightning_nlp.models import metadata
from tests.models.test_encoder import word_tokenizer


def test_a_checkpoint_must_be_of_this_kind_of_run():
    expected = metadata.checkpoint_metadata("classification", word_tokenizer(), label_names=["a", "b"])
    metadata.check_checkpoint({"lightning_nlp": expected}, expected)
    with pytest.raises(UserError, match=r"not written by this program.*--ckpt_path"):
        metadata.check_checkpoint({}, expected)
    for change, message in (
        ({"task": "mlm"}, "task is 'mlm', and this run's is 'classification'"),
        ({"label_names": ["b", "a"]}, r"label_names is \['b', 'a'\], and this run's is \['a', 'b'\]"),
        ({"tokenizer": "0"}, "tokenizer is '0', and this run's is .*--data.tokenizer"),
    ):
        with pytest.raises(UserError, match=message):
            metadata.check_checkpoint({"lightning_nlp": expected | change}, expected)

from types import SimpleNamespace

import pytest

from lightning_nlp.errors import UserError
from lightning_nlp.models import metadata
from tests.models.test_encoder import word_tokenizer


def test_a_checkpoint_must_be_of_this_kind_of_run():
    data = SimpleNamespace(tokenizer=word_tokenizer())  # of the user's own: it records nothing
    expected = metadata.checkpoint_metadata("classification", data, label_names=["a", "b"])
    metadata.check_checkpoint({"lightning_nlp": expected}, expected, data)
    with pytest.raises(UserError, match=r"not written by this program.*--ckpt_path"):
        metadata.check_checkpoint({}, expected, data)
    for change, message in (
        ({"task": "mlm"}, "task is 'mlm', and this run's is 'classification'"),
        ({"label_names": ["b", "a"]}, r"label_names is \['b', 'a'\], and this run's is \['a', 'b'\]"),
        ({"tokenizer": "0"}, "tokenizer is another one than this run's: give --data.tokenizer"),
    ):
        with pytest.raises(UserError, match=message):
            metadata.check_checkpoint({"lightning_nlp": expected | change}, expected, data)


def test_what_a_data_module_records_is_kept_and_handed_to_it():
    found = []
    data = SimpleNamespace(tokenizer=word_tokenizer(), record=lambda: {"texts": 3}, go_on_from=found.append)
    expected = metadata.checkpoint_metadata("mlm", data)
    metadata.check_checkpoint({"lightning_nlp": expected}, expected, data)
    assert found == [{"texts": 3}]

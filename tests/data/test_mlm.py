import math

import pytest

from lightning_nlp.data.mlm import EsperantoDataModule
from lightning_nlp.errors import UserError


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mlm_probability": 0.0}, "greater than 0 and at most 1, not 0.0"),
        ({"mlm_probability": 1.5}, "at most 1, not 1.5"),
        ({"mask_token_prob": -0.1}, "at least 0 .* not -0.1"),
        ({"mask_token_prob": math.nan}, "at most 1, not nan"),
        ({"mask_token_prob": 0.8, "random_token_prob": 0.3}, r"\+ --data.random_token_prob must be .* not 1.1"),
        ({"max_length": 2}, "at least 3 .* not 2"),
        ({"tokens_per_batch": 15}, "16 tokens and a batch only 15: raise .* or lower --data.max_length"),
        ({"num_workers": -1}, "at least 0 .* not -1"),
        ({"num_workers": 100_000}, r"at most \d+, not 100000"),
        *(({name: 0}, "at least 1 .* not 0") for name in ("batch_size", "eval_batch_size", "vocab_size")),
        *(({name: 0}, "at least 1 .* not 0") for name in ("limit_alphabet", "max_tokens")),
        *(({name: -1}, "at least 0 .* not -1") for name in ("seed", "split_seed", "min_frequency")),
        *(({name: 2**32}, f"at most {2**32 - 1}, not") for name in ("batch_size", "vocab_size", "seed")),
    ],
    ids=str,
)
def test_arguments_out_of_range(settings, message):
    with pytest.raises(UserError, match=message) as caught:
        EsperantoDataModule(**{"max_length": 16} | settings)
    assert f"--data.{next(iter(settings))}" in str(caught.value)

import pytest

from lightning_nlp.data.settings import Dialect
from lightning_nlp.errors import UserError


@pytest.mark.parametrize(
    "wrong", [{"encoding": "klingon"}, {"encoding": "base64"}, {"delimiter": ""}, {"delimiter": "::"}]
)
def test_dialects_that_cannot_be(wrong):
    with pytest.raises(UserError, match=rf"--data\.{next(iter(wrong))}"):
        Dialect(**wrong)

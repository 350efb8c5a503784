import pytest
from transformers import AutoTokenizer

from lightning_nlp.data.tokens.subwords import train_bpe
from lightning_nlp.errors import UserError
from tests.conftest import invoke
from tests.data.tokens.test_preparation import TEXTS


def test_nothing_is_unknown_and_equal_texts_give_an_equal_tokenizer(tmp_path):
    tokenizer = train_bpe(TEXTS * 20, vocab_size=400)
    assert tokenizer.backend_tokenizer.to_str() == train_bpe(TEXTS * 20, vocab_size=400).backend_tokenizer.to_str()
    assert (tokenizer.pad_token_id, tokenizer.mask_token_id) == (0, 4)
    tokenizer.save_pretrained(tmp_path)
    for reloaded in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        for text in ("def f(x):\treturn x", "\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27", "e\u0301 \U0001f642"):
            ids = reloaded(text)["input_ids"]
            assert tokenizer.unk_token_id not in ids
            assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
        assert reloaded("e\u0301")["input_ids"] == reloaded("\u00c9")["input_ids"], "composed, and case is folded"
    assert train_bpe(TEXTS, vocab_size=400, lowercase=False)("A")["input_ids"] != tokenizer("a")["input_ids"]


def test_a_vocabulary_smaller_than_the_bytes_is_refused():
    with pytest.raises(UserError, match=r"all bytes alone take 261.*--data.vocab_size"):
        train_bpe(TEXTS, vocab_size=260)


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_both_tasks_train_with_it(task, request, tmp_path):
    tiny = request.getfixturevalue(f"tiny_{task}")
    run = invoke("fit", *tiny, "--data.tokenizer_model", "bpe", "--data.vocab_size", "400", "--runs_dir", tmp_path).run
    tokenizer = AutoTokenizer.from_pretrained(run / "export")
    assert tokenizer.unk_token_id not in tokenizer("\u4e00 \u0e01")["input_ids"]
    (tmp_path / "in.txt").write_text("a good film\n" if task == "cls" else "a [MASK] film\n")
    outcome = invoke("predict", "--run", run, "--input", tmp_path / "in.txt", "--output", "-")
    assert outcome.code == 0, outcome.err

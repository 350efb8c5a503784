import csv
import itertools
import random
from collections import Counter

import numpy as np
import pytest
import torch
from lightning import LightningModule

from lightning_nlp.data.datamodules import IMDBDataModule, TextClassificationDataModule
from lightning_nlp.data.mlm import EsperantoDataModule, MaskedLanguageModelingDataModule
from lightning_nlp.data.settings import SPLITS
from lightning_nlp.data.tokens import preparation
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError
from tests.data.tokens.test_preparation import WORDS
from tests.fitting import trainer


@pytest.fixture(scope="module")
def reviews():
    """(text, label) pairs, all different, two thirds of them in two classes, some longer than 16 tokens."""
    draw, labels = random.Random(1), ("neutral", "bad", "very good")
    return [(f"{i}: {' '.join(draw.choices(WORDS, k=draw.randint(1, 25)))}", labels[i % 7 % 3]) for i in range(200)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, reviews):
    """With reviews.csv, sentences.txt and a cache."""
    folder, draw = tmp_path_factory.mktemp("data"), random.Random(2)
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("body", "stars"), *reviews])
    lines = [f"{i} {' '.join(draw.choices(WORDS, k=draw.randint(1, 25)))}." for i in range(300)]
    (folder / "sentences.txt").write_text("\n".join(lines), encoding="utf-8")
    return folder


def opened(data):
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.fixture
def classification(folder):
    def make(**settings):
        defaults = {"text_column": "body", "label_column": "stars", "max_length": 16, "batch_size": 8}
        defaults["cache_dir"] = str(folder / "cache")
        return opened(TextClassificationDataModule(str(folder / "reviews.csv"), **defaults | settings))

    return make


@pytest.fixture
def mlm(folder):
    def make(**settings):
        defaults = {"max_length": 16, "batch_size": 8, "val_fraction": 0.1, "test_fraction": 0.1}
        defaults["cache_dir"] = str(folder / "cache")
        return opened(MaskedLanguageModelingDataModule(str(folder / "sentences.txt"), **defaults | settings))

    return make


def loaders(data):
    return {"train": data.train_dataloader(), "validation": data.val_dataloader(), "test": data.test_dataloader()}


def sequences(batch):
    """(real tokens, label or labels) of each example in a batch, padded or packed."""
    if "cu_seqlens" in batch:
        for i, (start, end) in enumerate(itertools.pairwise(batch["cu_seqlens"].tolist())):
            labels = batch["labels"]
            yield batch["input_ids"][0, start:end], labels[0, start:end] if labels.dim() == 2 else labels[i]
        return
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        yield ids[mask.bool()], labels[mask.bool()] if labels.dim() else labels


def targets(loader):
    """For each example of an epoch a tuple of its tokens before any was masked, and (tokens, label or labels)."""
    found = []
    for ids, labels in itertools.chain.from_iterable(map(sequences, loader)):
        original = torch.where(labels == -100, ids, labels) if labels.dim() else ids
        found.append((tuple(original.tolist()), (ids.tolist(), labels.tolist())))
    return found


def originals(loader):
    return [original for original, _ in targets(loader)]


def test_each_text_comes_once_with_its_label(classification, reviews):
    data = classification(max_length=200)

    def read(ids):
        return data.tokenizer.decode(ids, skip_special_tokens=True)

    texts = {
        split: [(read(ids), data.label_names[label]) for _, (ids, label) in targets(loader)]
        for split, loader in loaders(data).items()
    }
    assert all(len(texts[split]) == data.facts[split]["texts"] > 0 for split in texts)
    expected = Counter((read(data.tokenizer.encode(text)), label) for text, label in reviews)
    assert len(expected) == 200
    # so the splits share no text, and none is lost
    assert Counter(itertools.chain(*texts.values())) == expected
    assert data.label_names == ["bad", "neutral", "very good"]
    counts = Counter(label for _, label in texts["train"])
    assert data.class_counts == [counts[name] for name in data.label_names]


def test_samples_and_a_tokenizer_of_bytes(classification):
    data = classification(max_train_samples=30, max_val_samples=6, max_test_samples=9, tokenizer_model="bpe")
    assert data.tokenizer.unk_token_id not in data.tokenizer("\u4e00")["input_ids"], "bytes know every text"
    assert [len(originals(loader)) for loader in loaders(data).values()] == [30, 6, 9]
    assert sum(data.class_counts) == 30


def test_truncation(classification):
    ends = []
    for truncation in ("head", "head_tail"):
        ids = originals(classification(truncation=truncation).test_dataloader())
        assert max(map(len, ids)) == 16
        ends.append({example[-2] for example in ids if len(example) == 16})
    assert ends[0] != ends[1]


@pytest.mark.parametrize("sizes", [{}, {"packing": True, "tokens_per_batch": 100}], ids=["texts", "tokens"])
def test_the_seed_changes_the_order_and_the_split_seed_the_split(sizes, classification):
    one, again, two = (classification(seed=seed, **sizes) for seed in (1, 1, 2))
    other = classification(seed=1, split_seed=43, **sizes)
    orders = [originals(data.train_dataloader()) for data in (one, again, two)]
    assert orders[0] == orders[1] != orders[2]
    for split in SPLITS:
        same = [Counter(originals(loaders(data)[split])) for data in (one, two, other)]
        assert same[0] == same[1] != same[2]


def test_evaluation_masks_are_the_same_for_all_runs_that_compare(mlm):
    loader = mlm(seed=5).val_dataloader()
    first = dict(targets(loader))
    assert dict(targets(loader)) == first, "a second pass"
    for settings in (
        {"seed": 6, "eval_batch_size": 3, "batch_size": 5},
        {"num_workers": 2},
        {"packing": True, "tokens_per_batch": 50},
    ):
        assert dict(targets(mlm(**settings).val_dataloader())) == first, settings


def test_mask_shares_are_handed_on_and_special_tokens_never_masked(mlm):
    data = mlm(mlm_probability=1.0, mask_token_prob=1.0, random_token_prob=0.0)
    for batch in data.test_dataloader():
        inner = torch.isin(batch["input_ids"], torch.tensor([0, 2, 3]), invert=True)
        assert inner.any()
        assert (batch["labels"] != -100).equal(inner)
        assert (batch["input_ids"][inner] == data.tokenizer.mask_token_id).all()
    for share in (0.0, 1.0):  # of random words
        changed = []
        for batch in mlm(mlm_probability=0.5, mask_token_prob=0.0, random_token_prob=share).test_dataloader():
            labelled = batch["labels"] != -100
            changed.append((batch["input_ids"] != batch["labels"])[labelled])
            assert (batch["input_ids"][labelled] > data.tokenizer.mask_token_id).all()
        assert torch.cat(changed).float().mean() == pytest.approx(share, abs=0.1)


def test_a_tokenizer_without_mask_token_stops_before_any_work(mlm, tmp_path, monkeypatch):
    tokenizer = train_wordpiece([" ".join(WORDS)] * 3, vocab_size=90)
    tokenizer.mask_token = None
    tokenizer.save_pretrained(tmp_path / "no_mask")
    file = tmp_path / "no_mask" / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace("[MASK]", "[HOLE]"), encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(preparation, "build_splits", lambda *args, **kwargs: pytest.fail("read the data"))
        with pytest.raises(UserError, match=r"no_mask has no mask token.*--data\.tokenizer"):
            mlm(tokenizer=str(tmp_path / "no_mask"))
    tokenizer.mask_token = "[MASK]"  # mended in the same place, with the same ids: the old one must not come back
    tokenizer.save_pretrained(tmp_path / "no_mask")
    mended = mlm(tokenizer=str(tmp_path / "no_mask")).tokenizer
    assert mended.mask_token == "[MASK]"
    assert mended.model_max_length == 16, "or a pipeline would give a network of 16 positions longer texts"


@pytest.mark.parametrize(("module", "path"), [(IMDBDataModule, "stanfordnlp/imdb"), (EsperantoDataModule, None)])
def test_the_named_data_modules_hand_their_arguments_on(module, path):
    data = module(tokens_per_batch=600, packing=True)
    assert (data.path, data.tokens_per_batch, data.packing) == (path, 600, True)
    assert module().packing == "auto"


def attached(data, packs, world_size=1, rank=0):
    """Stands for a trainer whose module packs its batches or not."""
    data.trainer, data.packed = type("T", (), {"global_rank": rank, "world_size": world_size})(), packs
    return data


@pytest.mark.parametrize("packing", ["auto", True, False])
def test_the_model_decides_whether_batches_are_packed(classification, mlm, packing):
    for make in (classification, mlm):
        alone = make(packing=packing)
        assert bool(alone.packed) == (packing is True)
        assert ("cu_seqlens" in next(iter(alone.train_dataloader()))) == (packing is True)
        for packs in (True, False):
            for loader in loaders(attached(make(packing=packing), packs)).values():
                for batch in loader:
                    assert ("cu_seqlens" in batch) == packs != ("attention_mask" in batch)


@pytest.mark.parametrize("packs", [True, False])
def test_batches_filled_to_a_number_of_tokens(classification, mlm, packs):
    for make in (classification, mlm):
        data, by_size = (attached(make(tokens_per_batch=tokens), packs) for tokens in (100, None))
        for split, loader in loaders(data).items():
            batches = list(loader)
            assert len(batches) == len(loader) > 1
            most = 100 if split == "train" else 200
            assert most - 32 < max(batch["input_ids"].numel() for batch in batches) <= most
            assert Counter(originals(batches)) == Counter(originals(loaders(by_size)[split]))


def test_packed_sentences_are_grouped_by_length_and_packed_texts_are_not(mlm, classification):
    def lengths_in_a_batch(make, windows=None):
        data = make(packing=True, tokens_per_batch=64)
        data.packed_window_batches = data.packed_window_batches if windows is None else windows
        return np.mean([len(set(batch["cu_seqlens"].diff().tolist())) for batch in data.train_dataloader()])

    assert lengths_in_a_batch(mlm) < 0.8 * lengths_in_a_batch(mlm, 0)
    assert lengths_in_a_batch(classification) == lengths_in_a_batch(classification, 0)


class Recorder(LightningModule):
    """Trains one number and notes the batches that it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs = [], []

    def training_step(self, batch, batch_idx):
        self.epochs[self.current_epoch].append(batch)
        return (self.weight - 1) ** 2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(("given", "steps"), [(-1, 4), (99, 4), (2, 2)])
def test_max_tokens_end_the_training_unless_it_ends_sooner(given, steps, mlm, tmp_path):
    data = mlm(packing=True, tokens_per_batch=120, max_tokens=1000)
    run = data.trainer = trainer(tmp_path, max_steps=given, accumulate_grad_batches=2)
    data.limit_steps(run)
    tokens = sum(map(len, originals(data.train_dataloader()))) / data.train_batches * 2 * steps
    assert run.max_steps == steps
    assert abs(tokens - 1000) < 120 or steps == given


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:.*overfit.*", "ignore:.*no `validation_step`"
)
@pytest.mark.parametrize("settings", [{}, {"overfit_batches": 1.0}], ids=str)
def test_a_trainer_sees_whole_epochs_each_with_masks_of_its_own_unless_it_overfits(mlm, tmp_path, settings):
    data, model = mlm(packing=True, tokens_per_batch=120), Recorder()
    trainer(tmp_path, max_epochs=2, limit_val_batches=0, **settings).fit(model, datamodule=data)
    first, second = (dict(targets(batches)) for batches in model.epochs)
    assert first.keys() == second.keys()
    assert len(originals(model.epochs[0])) == len(originals(model.epochs[1])) == data.facts["train"]["rows"]
    changed = sum(first[ids] != second[ids] for ids in first) / len(first)
    assert changed == 0 if settings else changed > 0.6
    assert len(model.epochs[0]) == len(model.epochs[1]) == data.train_batches

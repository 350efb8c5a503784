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
from lightning_nlp.data.tokens import preparation
from lightning_nlp.data.tokens.tokenizer import train_wordpiece
from lightning_nlp.errors import UserError
from tests.data.tokens.test_preparation import WORDS
from tests.fitting import trainer

LABELS = ("neutral", "bad", "very good")


@pytest.fixture(scope="module")
def reviews():
    """(text, label) pairs, all different, two thirds of them in two classes, some longer than 16 tokens."""
    draw = random.Random(1)
    return [(f"{i}: {' '.join(draw.choices(WORDS, k=draw.randint(1, 25)))}", LABELS[i % 7 % 3]) for i in range(200)]


@pytest.fixture(scope="module")
def reviews_csv(tmp_path_factory, reviews):
    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("body", "stars"), *reviews])
    return path


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    draw = random.Random(2)
    path = tmp_path_factory.mktemp("data") / "sentences.txt"
    lines = [f"{i} {' '.join(draw.choices(WORDS, k=draw.randint(1, 25)))}." for i in range(300)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def classification(reviews_csv, cache):
    def make(**settings):
        defaults = {"text_column": "body", "label_column": "stars", "max_length": 16, "batch_size": 8}
        data = TextClassificationDataModule(str(reviews_csv), **{**defaults, "cache_dir": cache, **settings})
        data.prepare_data()
        data.setup("fit")
        return data

    return make


@pytest.fixture
def mlm(sentences, cache):
    def make(**settings):
        defaults = {"max_length": 16, "batch_size": 8, "val_fraction": 0.1, "test_fraction": 0.1, "cache_dir": cache}
        data = MaskedLanguageModelingDataModule(str(sentences), **{**defaults, **settings})
        data.prepare_data()
        data.setup("fit")
        return data

    return make


def loaders(data):
    return {"train": data.train_dataloader(), "validation": data.val_dataloader(), "test": data.test_dataloader()}


def sequences(batch):
    """(real tokens, label or labels) of each example in a batch, padded or packed."""
    if "cu_seqlens" in batch:
        bounds, labels = batch["cu_seqlens"].tolist(), batch["labels"]
        for i, (start, end) in enumerate(itertools.pairwise(bounds)):
            yield batch["input_ids"][0, start:end], labels[0, start:end] if labels.dim() == 2 else labels[i]
        return
    for ids, labels, mask in zip(batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True):
        yield ids[mask.bool()], labels[mask.bool()] if labels.dim() else labels


def examples(loader):
    """Each example of an epoch as a tuple of its real tokens."""
    return [tuple(ids.tolist()) for batch in loader for ids, _ in sequences(batch)]


def originals(loader):
    """Each example of an epoch as a tuple of its tokens before any was masked."""
    return [
        tuple((torch.where(labels == -100, ids, labels) if labels.dim() else ids).tolist())
        for batch in loader
        for ids, labels in sequences(batch)
    ]


def targets(loader):
    """Each example of an epoch of masked sentences: its original tokens -> (tokens with masks, labels)."""
    found = {}
    for batch in loader:
        for ids, labels in sequences(batch):
            found[tuple(torch.where(labels == -100, ids, labels).tolist())] = (ids.tolist(), labels.tolist())
    assert found
    return found


def test_batches_of_labelled_texts(classification):
    data = classification()
    for split, loader in loaders(data).items():
        size = 8 if split == "train" else 16  # twice the room without gradients
        batches = list(loader)
        assert len(batches) == len(loader) > 1
        for batch in batches:
            assert sorted(batch) == ["attention_mask", "input_ids", "labels", "rows"]
            rows, width = batch["input_ids"].shape
            assert batch["attention_mask"].shape == (rows, width)
            assert batch["labels"].shape == batch["rows"].shape == (rows,)
            assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
            assert 1 <= rows <= size
            assert width in (8, 16)
            assert (batch["input_ids"][:, 0] == data.tokenizer.cls_token_id).all()
            assert (batch["input_ids"] == data.tokenizer.pad_token_id).equal(batch["attention_mask"] == 0)
            assert ((batch["labels"] >= 0) & (batch["labels"] < 3)).all()


def test_each_text_comes_once_with_its_label(classification, reviews):
    data = classification(max_length=200)
    texts = {}
    for split, loader in loaders(data).items():
        texts[split] = [
            (data.tokenizer.decode(ids[mask.bool()], skip_special_tokens=True), data.label_names[label])
            for batch in loader
            for ids, mask, label in zip(*(batch[key] for key in ("input_ids", "attention_mask", "labels")), strict=True)
        ]
    assert all(len(texts[split]) == data.facts[split]["texts"] > 0 for split in texts)
    expected = [
        (data.tokenizer.decode(data.tokenizer.encode(text), skip_special_tokens=True), label) for text, label in reviews
    ]
    assert len(set(expected)) == 200
    # so the splits share no text, and none is lost
    assert Counter(itertools.chain(*texts.values())) == Counter(expected)
    assert data.label_names == ["bad", "neutral", "very good"]
    counts = Counter(label for _, label in texts["train"])
    assert data.facts["train"]["class_counts"] == [counts[name] for name in data.label_names]


def test_samples(classification):
    data = classification(max_train_samples=30, max_val_samples=6, max_test_samples=9)
    assert [len(examples(loader)) for loader in loaders(data).values()] == [30, 6, 9]
    assert sum(data.facts["train"]["class_counts"]) == 30
    assert min(data.facts["train"]["class_counts"]) > 0


def test_truncation(classification):
    data = {truncation: classification(truncation=truncation) for truncation in ("head", "head_tail")}
    ends = {}
    for name, module in data.items():
        ids = examples(module.test_dataloader())
        assert max(map(len, ids)) == 16
        ends[name] = {example[-2] for example in ids if len(example) == 16}
    assert ends["head"] != ends["head_tail"]


@pytest.mark.parametrize("sizes", [{}, {"packing": True, "tokens_per_batch": 100}], ids=["texts", "tokens"])
def test_the_seed_changes_the_order_and_the_split_seed_the_split(sizes, classification):
    one, two = classification(seed=1, **sizes), classification(seed=2, **sizes)
    other = classification(seed=1, split_seed=43, **sizes)
    assert examples(one.train_dataloader()) != examples(two.train_dataloader())
    assert examples(one.train_dataloader()) == examples(classification(seed=1, **sizes).train_dataloader())
    for split in ("train", "validation", "test"):
        same = [Counter(examples(loaders(data)[split])) for data in (one, two, other)]
        assert same[0] == same[1]
        assert same[0] != same[2]


def test_tokenizer_given(classification, tmp_path):
    given = train_wordpiece([" ".join(WORDS)] * 3, vocab_size=90, max_length=512)
    given.save_pretrained(tmp_path / "given")
    data = classification(tokenizer=str(tmp_path / "given"), vocab_size=10_000)
    assert data.tokenizer.get_vocab() == given.get_vocab()
    assert data.tokenizer.model_max_length == 16, "or a pipeline would give a network of 16 positions longer texts"
    text = examples(data.test_dataloader())[0]
    assert given.decode(text).startswith("[CLS]")
    assert max(max(example) for example in examples(data.train_dataloader())) < len(given)


def test_batches_of_masked_sentences(mlm):
    data = mlm()
    assert len(data.tokenizer) == data.tokenizer.vocab_size
    specials = torch.tensor([0, 1, 2, 3])  # [MASK] comes after them
    chosen = total = 0
    for split, loader in loaders(data).items():
        for batch in loader:
            assert {tensor.dtype for tensor in batch.values()} == {torch.int64}
            assert batch["input_ids"].shape[0] <= (8 if split == "train" else 16)
            assert batch["input_ids"].max() < len(data.tokenizer)
            labelled = batch["labels"] != -100
            assert not torch.isin(batch["labels"][labelled], specials).any()
            changed = (batch["input_ids"] != batch["labels"]) & labelled
            assert not torch.isin(batch["input_ids"][changed], specials).any()
            chosen += labelled.sum().item()
            total += (batch["attention_mask"].sum() - 2 * len(labelled)).item()
    assert chosen / total == pytest.approx(0.15, abs=0.02)


def test_long_sentences_are_split_without_loss(mlm, sentences):
    data = mlm(max_length=8)
    pieces = [ids for loader in loaders(data).values() for ids in originals(loader)]
    assert max(map(len, pieces)) == 8
    whole = data.tokenizer(sentences.read_text(encoding="utf-8").split("\n"), add_special_tokens=False)["input_ids"]
    assert len(pieces) == sum(-(-len(ids) // 6) for ids in whole) > 300
    assert Counter(token for piece in pieces for token in piece[1:-1]) == Counter(itertools.chain(*whole))


def test_evaluation_masks_are_the_same_for_all_runs_that_compare(mlm):
    data = mlm(seed=5)
    loader = data.val_dataloader()
    first = targets(loader)
    assert targets(loader) == first, "a second pass"
    for settings in (
        {"seed": 6, "eval_batch_size": 3, "batch_size": 5},
        {"num_workers": 2},
        {"packing": True},
        {"packing": True, "tokens_per_batch": 50},
        {"tokens_per_batch": 50},
    ):
        assert targets(mlm(**settings).val_dataloader()) == first, settings


def test_training_masks_differ_by_epoch_and_not_by_workers(mlm):
    epochs = {}
    for workers in (0, 2):
        loader = mlm(num_workers=workers).train_dataloader()
        for epoch in (0, 1):
            loader.sampler.set_epoch(epoch)
            epochs[workers, epoch] = targets(loader)
    assert epochs[0, 0] == epochs[2, 0]
    assert epochs[0, 1] == epochs[2, 1]
    assert epochs[0, 0].keys() == epochs[0, 1].keys()
    differ = [epochs[0, 0][ids] != epochs[0, 1][ids] for ids in epochs[0, 0]]
    assert sum(differ) / len(differ) > 0.6


def test_mask_shares_are_handed_on(mlm):
    data = mlm(mlm_probability=1.0, mask_token_prob=1.0, random_token_prob=0.0)
    for batch in data.test_dataloader():
        inner = torch.isin(batch["input_ids"], torch.tensor([0, 2, 3]), invert=True)
        assert inner.any()
        assert (batch["input_ids"][inner] == data.tokenizer.mask_token_id).all()
    kept = mlm(mlm_probability=0.5, mask_token_prob=0.0, random_token_prob=0.0)
    for batch in kept.test_dataloader():
        labelled = batch["labels"] != -100
        assert labelled.any()
        assert batch["input_ids"][labelled].equal(batch["labels"][labelled])


def test_a_tokenizer_without_mask_token_stops_before_any_work(mlm, sentences, tmp_path, monkeypatch):
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
    assert mlm(tokenizer=str(tmp_path / "no_mask")).tokenizer.mask_token == "[MASK]"


def test_the_named_data_modules_hand_their_arguments_on():
    data = IMDBDataModule(tokens_per_batch=600, packing=True)
    assert (data.path, data.tokens_per_batch, data.packing) == ("stanfordnlp/imdb", 600, True)
    data = EsperantoDataModule(packing=False)
    assert (data.path, data.tokens_per_batch, data.packing) == (None, None, False)
    assert IMDBDataModule().packing == "auto"


def attached(data, packs, world_size=1, rank=0):
    """Stands for a trainer whose module packs its batches or not."""
    settings = {"global_rank": rank, "world_size": world_size, "overfit_batches": 0}
    settings |= {"limit_val_batches": 1.0, "limit_test_batches": 1.0}
    data.trainer, data.packed = type("T", (), settings)(), packs
    return data


@pytest.mark.parametrize("packing", ["auto", True, False])
def test_the_model_decides_whether_batches_are_packed(classification, mlm, packing):
    for make in (classification, mlm):
        alone = make(packing=packing)
        assert bool(alone.packed) == (packing is True)
        assert ("cu_seqlens" in next(iter(alone.train_dataloader()))) == (packing is True)
        for packs in (True, False):
            data = attached(make(packing=packing), packs)
            for loader in loaders(data).values():
                for batch in loader:
                    assert ("cu_seqlens" in batch) == packs
                    assert ("attention_mask" in batch) != packs


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
    def lengths_in_a_batch(data, windows):
        data.packed_window_batches = windows
        return np.mean([len(set(batch["cu_seqlens"].diff().tolist())) for batch in data.train_dataloader()])

    sentences, texts = (make(packing=True, tokens_per_batch=64) for make in (mlm, classification))
    as_built = lengths_in_a_batch(sentences, sentences.packed_window_batches)
    assert as_built < 0.8 * lengths_in_a_batch(mlm(packing=True, tokens_per_batch=64), 0)
    as_built = lengths_in_a_batch(texts, texts.packed_window_batches)
    assert as_built == lengths_in_a_batch(classification(packing=True, tokens_per_batch=64), 0)


class Recorder(LightningModule):
    """Trains one number and notes the batches that it is given."""

    def __init__(self, packs=False):
        super().__init__()
        self.packs = packs
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.epochs = {}
        self.validations = []

    def configure_model(self):
        self.trainer.datamodule.packed = self.packs

    def training_step(self, batch, batch_idx):
        self.epochs.setdefault(self.current_epoch, []).append(batch)
        return (self.weight - 1) ** 2

    def on_validation_epoch_start(self):
        self.validations.append([])

    def validation_step(self, batch, batch_idx):
        self.validations[-1].append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def train(data, tmp_path, packs=False, **settings):
    model = Recorder(packs)
    trainer(tmp_path, max_epochs=2, num_sanity_val_steps=0, **settings).fit(model, datamodule=data)
    return model


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(("packs", "tokens"), [(True, 120), (False, None)])
def test_a_trainer_sees_whole_epochs_each_with_masks_of_its_own(sentences, cache, tmp_path, packs, tokens):
    settings = {"batch_size": 8, "tokens_per_batch": tokens, "val_fraction": 0.1}
    data = EsperantoDataModule(str(sentences), max_length=16, **settings, cache_dir=cache)
    model = train(data, tmp_path, packs)
    assert sorted(model.epochs) == [0, 1]
    first, second = targets(model.epochs[0]), targets(model.epochs[1])
    assert len(originals(model.epochs[0])) == len(originals(model.epochs[1])) == data.facts["train"]["rows"]
    assert first.keys() == second.keys()
    assert first != second
    assert len(model.epochs[0]) == len(model.epochs[1]) == data.train_batches
    batches = itertools.chain(*model.epochs.values(), *model.validations)
    assert {"cu_seqlens" in batch for batch in batches} == {packs}
    assert targets(model.validations[0]) == targets(model.validations[1])


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*overfit.*")
def test_overfit_batches_repeats_the_same_batches(sentences, cache, tmp_path):
    data = EsperantoDataModule(str(sentences), max_length=16, batch_size=8, val_fraction=0.1, cache_dir=cache)
    model = train(data, tmp_path, overfit_batches=2)
    assert len(model.epochs[0]) == len(model.epochs[1]) == 2
    for one, two in zip(model.epochs[0], model.epochs[1], strict=True):
        assert all(one[name].equal(two[name]) for name in one)


@pytest.mark.parametrize("packs", [True, False])
@pytest.mark.parametrize("tokens", [None, 100])
def test_processes_share_an_epoch_without_an_example_twice(classification, packs, tokens):
    alone = Counter(examples(classification().train_dataloader()))
    together, lengths = Counter(), set()
    for rank in range(3):
        data = attached(classification(tokens_per_batch=tokens), packs, 3, rank)
        loader = data.train_dataloader()
        lengths.add(len(loader))
        for batch in loader:
            together.update(tuple(ids.tolist()) for ids, label in sequences(batch) if label != -100)
    assert together == alone
    assert len(lengths) == 1

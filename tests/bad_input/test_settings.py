"""Settings that make no sense, alone or together."""

import pytest

from tests.bad_input.check import fails

pytestmark = pytest.mark.timeout(30, func_only=True)

CLS, MLM = "cls", "mlm"
SETTINGS = [  # task, arguments, words of the message
    (CLS, ["--model.lr", "0"], ["lr is 0", "--model.lr"]),
    (CLS, ["--model.lr", "fast"], ["--model.lr cannot be 'fast'", "float"]),
    (CLS, ["--model.dim", "15"], ["dim is 15", "--model.n_heads"]),
    (CLS, ["--model.n_layers", "0"], ["n_layers is 0"]),
    (CLS, ["--model.dropout", "1.5"], ["dropout is 1.5", "--model.dropout"]),
    (CLS, ["--model.schedule", "sine"], ["--model.schedule cannot be 'sine'", "cosine"]),
    (CLS, ["--model.warmup_ratio", "2"], ["warmup_ratio is 2"]),
    (CLS, ["--model.weight_decay", "-1"], ["weight_decay is -1"]),
    (CLS, ["--model.class_weights", "[1.0, 2.0, 3.0]"], ["3 weights for 2 classes", "--model.class_weights"]),
    (CLS, ["--model.class_weights", "even"], ["--model.class_weights cannot be 'even'", "balanced"]),
    (CLS, ["--model.pretrained", "no/such/../folder"], ["--model.pretrained"]),
    (CLS, ["--data.batch_size", "0"], ["--data.batch_size must be at least 1, not 0"]),
    (CLS, ["--data.batch_size", "many"], ["--data.batch_size cannot be 'many'", "int"]),
    (CLS, ["--data.max_length", "2"], ["--data.max_length"]),
    (CLS, ["--data.val_fraction", "0"], ["--data.val_fraction"]),
    (CLS, ["--data.val_fraction", "1.5"], ["--data.val_fraction", "1.5"]),
    (CLS, ["--data.max_train_samples", "0"], ["--data.max_train_samples"]),
    (CLS, ["--data.vocab_size", "4"], ["vocabulary of 4", "--data.vocab_size"]),
    (CLS, ["--data.tokenizer", "."], ["no tokenizer", "--data.tokenizer"]),
    (CLS, ["--data.truncation", "tail"], ["--data.truncation cannot be 'tail'", "head_tail"]),
    (CLS, ["--trainer.max_epochs", "-1"], ["--trainer.max_epochs", "'linear'"]),
    (CLS, ["--trainer.accelerator", "abacus"], ["abacus", "cpu"]),
    (CLS, ["--trainer.precision", "33"], ["--trainer.precision cannot be '33'"]),
    (CLS, ["--trainer.strategy", "magic"], ["magic"]),
    (CLS, ["--trainer.strategy", "fsdp"], ["--trainer.strategy fsdp", "ddp"]),
    (CLS, ["--trainer.strategy", "deepspeed_stage_2"], ["--trainer.strategy deepspeed_stage_2", "ddp"]),
    (CLS, ["--trainer.strategy", "lightning.pytorch.strategies.ModelParallelStrategy"], ["not supported", "ddp"]),
    (CLS, ["--trainer.num_nodes", "2"], ["--trainer.num_nodes is 2", "torchrun"]),
    (CLS, ["--trainer.devices", "0"], ["--trainer"]),
    (CLS, ["--trainer.accumulate_grad_batches", "0"], ["--trainer.accumulate_grad_batches"]),
    (CLS, ["--trainer.gradient_clip_algorithm", "magic"], ["magic", "norm"]),
    (CLS, ["--trainer.val_check_interval", "1000"], ["val_check_interval", "1000", "(7)"]),
    (CLS, ["--trainer.val_check_interval", "1.5"], ["val_check_interval", "1.5"]),
    (CLS, ["--trainer.limit_train_batches", "1.5"], ["limit_train_batches", "1.5"]),
    (CLS, ["--trainer.limit_train_batches", "0"], ["limit_train_batches"]),
    (CLS, ["--checkpoint.mode", "up"], ["up"]),
    (CLS, ["--checkpoint.monitor", "val/acc"], ["'val/acc'", "val/accuracy"]),
    (CLS, ["--early_stopping.monitor", "val/loss"], ["--early_stopping.mode min"]),
    (CLS, ["--early_stopping.patience", "x"], ["--early_stopping.patience cannot be 'x'"]),
    (CLS, ["--model.n_layer", "2"], ["'model.n_layer'", "Did you mean 'n_layers'"]),
    (CLS, ["--data.batchsize", "2"], ["batchsize", "Did you mean 'batch_size'"]),
    (CLS, ["--trainer.max_epoch", "2"], ["max_epoch", "Did you mean 'max_epochs'"]),
    (CLS, ["--runsdir", "2"], ["runsdir", "Did you mean 'runs_dir'"]),
    (CLS, ["--model", "SequenceClasifier"], ["SequenceClasifier"]),
    (CLS, ["--data", "TextDataModul"], ["TextDataModul"]),
    (CLS, ["--ckpt_path", "last"], ["No run under", "last"]),
    (CLS, ["--ckpt_path", "nowhere.ckpt"], ["nowhere.ckpt", "no such file"]),
    (CLS, ["--seed_everything", "x"], ["--seed_everything cannot be 'x'"]),
    (MLM, ["--data.mlm_probability", "1.5"], ["--data.mlm_probability", "1.5"]),
    (MLM, ["--data.mlm_probability", "-0.1"], ["--data.mlm_probability", "-0.1"]),
    (MLM, ["--data.mask_token_prob", "0.95"], ["mask_token_prob + random_token_prob"]),
    (MLM, ["--data.max_length", "64"], ["max_length is 64", "32 positions", "--data.max_length"]),
    (MLM, ["--data.vocab_size", "5"], ["vocabulary of 5", "--data.vocab_size"]),
    (MLM, ["--model.n_heads", "3"], ["16", "3 attention heads"]),
    (MLM, ["--model.label_smoothing", "0.1"], ["label_smoothing", "another class"]),
]


@pytest.mark.parametrize(
    ("task", "arguments", "words"), SETTINGS, ids=["_".join(arguments).strip("-") for _, arguments, _ in SETTINGS]
)
def test_senseless_settings(task, arguments, words, request, work):
    fails(["fit", *request.getfixturevalue(f"tiny_{task}"), *arguments], *words)


def test_a_pretrained_model_with_too_few_positions(tiny_cls, pretrained, work):
    arguments = ["fit", *tiny_cls, "--model.pretrained", pretrained, "--data.max_length", "64"]
    fails(arguments, "max_length is 64", "32 positions", "--data.max_length 32")


def test_a_tokenizer_of_another_model(tiny_cls, pretrained, cls_run, tmp_path, work):
    arguments = ["fit", *tiny_cls, "--model.pretrained", pretrained, "--data.tokenizer"]
    fails([*arguments, cls_run / "checkpoints"], "no tokenizer", "--data.tokenizer")

"""What a network's outputs are worth: pure functions of logits and labels, without a Trainer."""

IGNORE_INDEX = -100  # the label that neither a loss nor a metric counts: the default of PyTorch's cross_entropy

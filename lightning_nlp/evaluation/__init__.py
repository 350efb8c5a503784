"""What a network's outputs are worth: pure functions of logits and labels, without a Trainer."""

TRAINED = "trained_weights"  # where a checkpoint with averaged weights has those that the optimizer moves

"""Sources become texts: files, formats, labels, splits, cleaning."""

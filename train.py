"""The command line: `python train.py fit --config configs/cls.yaml`."""

from lightning_nlp.cli import main

if __name__ == "__main__":
    main()

"""The command line: `python train.py fit --config configs/cls.yaml`. Installed, it is `lightning-nlp fit ...`."""

from lightning_nlp.cli import start

if __name__ == "__main__":
    start()

"""Which files of ours one training step runs through: a program of its own, since it counts what is loaded as well.

python tests/trace_step.py FOLDER   prints, as JSON, the lines of each file that is loaded at the third step (`loaded`)
and of those in which a line runs within a step or while what runs in it is built (`path`). FOLDER has the runs and the
token cache: a second call with the same FOLDER measures a training whose texts are tokenized already.
"""

import contextlib
import json
import sys
from pathlib import Path

HOUSE = Path(__file__).parent.parent
# where modules, data modules and callbacks, which are what runs in a step, are built
BUILDING = {"__init__", "setup", "configure_model", "configure_optimizers", "train_dataloader"}


class Enough(BaseException):
    """The third step begins."""


class StepPath:
    """A profiler that collects the files of the calls made while it is open."""

    def __init__(self) -> None:
        from lightning import Callback, LightningDataModule, LightningModule

        self.files: set[str] = set()
        self.loaded: set[str | None] = set()
        self._kinds = (LightningModule, LightningDataModule, Callback)
        self._building: list[object] = []  # frames, the outermost first
        self._steps = 0

    def __call__(self, frame, event, argument):
        name, code = frame.f_code.co_name, frame.f_code
        ours = code.co_filename.startswith(str(HOUSE))
        if event == "call":
            if name in BUILDING and isinstance(frame.f_locals.get("self"), self._kinds):
                self._building.append(frame)
            if name == "training_step" and ours:
                self._steps += 1
                if self._steps == 3:
                    sys.setprofile(None)
                    self.loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
                    raise Enough
                while frame is not None:  # its callers belong to the path too
                    self.files.add(frame.f_code.co_filename)
                    frame = frame.f_back
            elif ours and (self._building or self._steps == 2):
                self.files.add(code.co_filename)
        elif event == "return" and self._building and self._building[-1] is frame:
            self._building.pop()


def lines(files):
    """The number of lines of each file of the package and of train.py, under its path in the repository."""
    named = {Path(file).relative_to(HOUSE).as_posix() for file in files if file and file.startswith(str(HOUSE))}
    kept = sorted(name for name in named if name.startswith("lightning_nlp/") or name == "train.py")
    return {name: len((HOUSE / name).read_text(encoding="utf-8").splitlines()) for name in kept}


def main(folder: str) -> None:
    """Begin a training, and print what its second step ran through."""
    import train
    from lightning_nlp.cli.main import main as command

    arguments = ["fit", "--config", "quickstart.yaml", "--trainer.logger", "false", "--trainer.accelerator", "cpu"]
    arguments += ["--runs_dir", f"{folder}/runs", "--data.cache_dir", f"{folder}/cache"]
    path = StepPath()
    sys.setprofile(path)
    with contextlib.suppress(Enough):
        command(arguments)
    print(json.dumps({"loaded": lines(path.loaded), "path": lines({*path.files, train.__file__})}))


if __name__ == "__main__":
    sys.path.insert(0, str(HOUSE))
    main(sys.argv[1])

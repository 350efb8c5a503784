"""The README's picture: the top of a report, light and dark, out of a real run.

`python docs/picture.py` trains configs/quickstart.yaml first, in two minutes; `python docs/picture.py runs/cls/0` uses
an existing run. It needs chromium, and pip install -e '.[docs]'.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HOUSE = Path(__file__).parent.parent
WIDTH, HEIGHT, COLOURS = 1000, 978, 48
SCHEMES = {"light": 1, "dark": 0}  # chromium's numbers for what the reader prefers


def quickstart(folder: Path) -> Path:
    """Train the quickstart in an empty folder; its run."""
    command = [sys.executable, HOUSE / "train.py", "fit", "--config", "configs/quickstart.yaml"]
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(HOUSE)}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return folder / done.stdout.splitlines()[-1]


def photograph(report: Path, scheme: str, picture: Path) -> None:
    """Write the top of a report as a PNG with few colours."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("docs/picture.py needs chromium or google-chrome on the PATH.")
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{2 * HEIGHT}"]
    options += [f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}", f"--screenshot={picture}"]
    subprocess.run([browser, *options, report.resolve().as_uri()], check=True, stderr=subprocess.DEVNULL)
    top = Image.open(picture).convert("RGB").crop((0, 0, WIDTH, HEIGHT))
    top.quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main() -> None:
    """Write docs/pictures/report-light.png and report-dark.png."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(sys.argv[1]) if sys.argv[1:] else quickstart(Path(folder))
        pictures = HOUSE / "docs" / "pictures"
        pictures.mkdir(exist_ok=True)
        for scheme in SCHEMES:
            picture = pictures / f"report-{scheme}.png"
            photograph(run / "report.html", scheme, picture)
            print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

"""Draws the pictures of the tutorial: runs the code of its pages and keeps what it draws.

python docs/tutorial/draw.py          # all pages
python docs/tutorial/draw.py 04 05    # some
"""

import os
import pathlib
import re
import sys
import tempfile

from PIL import Image  # which matplotlib brings

TUTORIAL = pathlib.Path(__file__).resolve().parent
FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def main(numbers):
    for page in sorted((TUTORIAL / "en").glob("*.md")):
        if numbers and page.name[:2] not in numbers:
            continue
        print(f"{page.name}:")
        names = {"__name__": "example"}
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            for i, code in enumerate(FENCE.findall(page.read_text(encoding="utf-8"))):
                exec(compile(code, f"<{page.name} {i + 1}>", "exec"), names)
            for picture in sorted(pathlib.Path("images").glob("*")):
                small = TUTORIAL / picture
                Image.open(picture).convert("RGB").quantize(256).save(small, optimize=True)
                print(f"{picture}, {small.stat().st_size / 1000:.0f} kB")
            os.chdir(TUTORIAL)


if __name__ == "__main__":
    main(sys.argv[1:])

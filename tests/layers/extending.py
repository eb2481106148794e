"""The classes that docs/extending shows, made by running its examples."""

import pathlib
import re

import keras_seq

DOCS = pathlib.Path(keras_seq.__file__).parent.parent / "docs" / "extending"


def run_examples(page):
    """Run each example of a page on its own: a list of what each one defines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    spaces = []
    for i, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL)):
        spaces.append({"__name__": f"example_{i}"})
        exec(compile(code, f"<{page}, example {i}>", "exec"), spaces[-1])
    return spaces


def lines_of_class(page, name):
    """How many lines of code the class has, blank ones left out."""
    text = (DOCS / page).read_text(encoding="utf-8")
    body = re.search(rf"^class {name}\b.*?(?=^\S)", text, re.DOTALL | re.MULTILINE)[0]
    return len([line for line in body.splitlines() if line.strip()])

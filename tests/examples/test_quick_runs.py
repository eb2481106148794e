import pathlib

import pytest

HERE = pathlib.Path(__file__).parent
EXAMPLES = sorted(
    path for path in (HERE.parents[1] / "examples").glob("*.py") if path.stem != "experiment"
)


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_every_example_is_run_as_a_user_starts_it(name):
    assert f'run_quick("{name}"' in "".join(
        path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py")
    )

import numpy as np
import pytest

from keras_seq.export import ExportError, run_artifact, run_script


@pytest.fixture
def script(tmp_path):
    def write(code):
        (tmp_path / "script.py").write_text(code)
        return lambda **kwargs: run_script(tmp_path / "script.py", what="try", **kwargs)

    return write


def test_a_crash_becomes_an_error_with_its_signal(script):
    with pytest.raises(ExportError, match="Could not try: the process crashed with SIGSEGV"):
        script("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")()


def test_a_failure_becomes_an_error_with_its_reason(script):
    with pytest.raises(ExportError, match=r"(?s)exit code 1.*ValueError: the reason"):
        script("raise ValueError('the reason')")()


def test_a_script_that_does_not_end_is_stopped(script):
    with pytest.raises(ExportError, match="no end"):
        script("import threading; threading.Event().wait()")(timeout=1)


def test_success_prints_nothing(script, capfd):
    script("print('chatter')")()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "outputs, match",
    [
        ("", "wrote no outputs"),
        ("np.savez(sys.argv[3], **{'0:y': 1})", r"no outputs of the calls \[1\]"),
        ("np.savez(sys.argv[3], y=1)", "must be named CALL:NAME"),
        ("np.savez(sys.argv[3], **{'2:y': 1})", "one of 2 calls"),
    ],
)
def test_outputs_that_are_missing_or_of_no_call_are_an_error(outputs, match, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(f"import sys\nimport numpy as np\n{outputs}")
    with pytest.raises(ExportError, match=match):
        run_artifact(path, "artifact", [{"x": np.ones(2)}, {"x": np.ones(3)}])


def test_of_pages_of_an_error_one_line_is_said(script):
    code = "import sys; print('noise\\n' * 99, file=sys.stderr); raise ValueError('so\\nand so')"
    with pytest.raises(ExportError) as caught:
        script(code)()
    assert str(caught.value).splitlines()[1:] == ["ValueError: so"]

import pytest

from keras_seq.export import ExportError
from keras_seq.export import _process as process


@pytest.fixture
def worker(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "WORKERS", tmp_path)

    def write(code):
        (tmp_path / "worker.py").write_text(code)
        return lambda **kwargs: process.run_worker("worker", what="try", **kwargs)

    return write


def test_a_crash_becomes_an_error_with_its_signal(worker):
    with pytest.raises(ExportError, match="Could not try: the process crashed with SIGSEGV"):
        worker("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")()


def test_a_failure_becomes_an_error_with_its_reason(worker):
    with pytest.raises(ExportError, match=r"(?s)exit code 1.*ValueError: the reason"):
        worker("raise ValueError('the reason')")()


def test_a_worker_that_does_not_end_is_stopped(worker):
    with pytest.raises(ExportError, match="no end"):
        worker("import threading; threading.Event().wait()")(timeout=1)


def test_success_is_silent(worker, capfd):
    worker("print('chatter')")()
    assert capfd.readouterr() == ("", "")

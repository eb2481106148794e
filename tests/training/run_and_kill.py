"""Train without a break, and killed by SIGKILL again and again; prints as JSON how they compare.

Run in a process of its own, which forks one for each run before TensorFlow has started any thread:

    python run_and_kill.py FOLDER MODEL RATE EPOCHS KILL ...

MODEL is a function of test_resume.py, RATE its dropout and zoneout. The nth KILL ends the nth run:
`step:3` after three steps, `write:2` within the writing of the second checkpoint.
"""

import itertools
import json
import os
import signal
import sys
import traceback

import keras
import numpy as np

from keras_seq.training import resume
from tests.training import test_resume


class KillAfter(keras.callbacks.Callback):
    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.count = itertools.count(1)  # no number, which would go on in the next run

    def on_train_batch_end(self, batch, logs=None):
        if next(self.count) == self.steps:
            die()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_in_write(number):
    """Let the process die when the checkpoint of that number is written and not yet renamed."""
    real, count = os.fsync, iter(range(1, number + 1))
    os.fsync = lambda file: die() if next(count) == number else real(file)


def train(folder, name, model, rate, epochs, seed, kill=None):
    keras.utils.set_random_seed(0)  # `shuffle` takes it into account
    data = test_resume.text() if model == "language_trainer" else test_resume.dataset()
    # Other weights and dropout must not matter, but where there is no checkpoint yet.
    resumes = os.path.exists(os.path.join(folder, name, "checkpoint.npz"))
    keras.utils.set_random_seed(seed if resumes else 0)
    make_model = getattr(test_resume, model)
    what, _, number = (kill or "step:-1").partition(":")
    if what == "write":
        kill_in_write(int(number))
    callbacks = [KillAfter(int(number))] if what == "step" else []
    model = make_model(rate)
    history = resume(
        model,
        data,
        os.path.join(folder, name),
        epochs=epochs,
        save_every=2,
        callbacks=callbacks,
        verbose=0,
    )
    arrays = {str(i): a for i, a in enumerate(test_resume.state(model))}
    np.savez(os.path.join(folder, f"{name}.npz"), **arrays)
    with open(os.path.join(folder, f"{name}.json"), "w") as file:
        json.dump(history.history, file)


def run(*arguments):
    """Train in a forked process; returns the signal that has ended it, or 0."""
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    try:
        train(*arguments)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main(folder, model, rate, epochs, *kills):
    how = model, float(rate), int(epochs)
    codes = [run(folder, "whole", *how, 0)]
    codes += [run(folder, "broken", *how, i, kill) for i, kill in enumerate(kills)]

    leftovers = [name for name in os.listdir(os.path.join(folder, "broken")) if "tmp" in name]
    codes.append(run(folder, "broken", *how, len(kills)))

    whole, broken = (np.load(os.path.join(folder, f"{name}.npz")) for name in ("whole", "broken"))
    history = [open(os.path.join(folder, f"{name}.json")).read() for name in ("whole", "broken")]
    report = {
        "codes": codes,
        "arrays": len(whole.files),
        "differing": [n for n in whole.files if not np.array_equal(whole[n], broken[n])],
        "same history": history[0] == history[1],
        "leftovers before the last run": leftovers,
        "files": os.listdir(os.path.join(folder, "broken")),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

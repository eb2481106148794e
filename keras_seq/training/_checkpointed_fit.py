"""`CheckpointedFit`: the callbacks of a `fit` that writes checkpoints and goes on from one."""

import keras
import numpy as np

from keras_seq.training import _checkpoint, _training_variables
from keras_seq.training._callback_state import CallbackStates
from keras_seq.training._replicas import writes_checkpoints


class CheckpointedFit(keras.callbacks.CallbackList):
    """The callbacks of one `fit`, and its checkpoints.

    `fit` counts the steps of the broken epoch from 0 again. Up to the step that was saved, nothing
    is run, no batch is read and no callback is called.

    Args:
        model, callbacks, epochs, save_every, verbose: as in `resume`.
        folder: `pathlib.Path` of the checkpoint.
        steps: steps of an epoch.
        first_batch: the first batch of the dataset, from which the model's variables are built.
        first_batch_hash: the hash of its content.

    Attributes:
        position: `(epoch, step)` of the checkpoint, both from 0.
        has_ended: whether a callback had ended the training.

    Raises:
        ValueError: if the checkpoint is of another model, optimizer or dataset.
    """

    def __init__(
        self,
        model,
        folder,
        *,
        callbacks,
        epochs,
        steps,
        save_every,
        first_batch,
        first_batch_hash,
        verbose,
    ):
        super().__init__(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        self._folder = folder
        self._steps = steps
        self._save_every = save_every
        self._first_batch_hash = first_batch_hash
        self._train_function = None  # the model's own, while steps are skipped
        self._epoch = self._step = 0
        self._skips = self._stopped_within_epoch = False
        self.position, self.has_ended = (0, 0), False

        self._writes = writes_checkpoints(model)
        if self._writes:
            _checkpoint.remove_leftovers(folder)
        self._arrays, self._facts = _checkpoint.read(folder) or (None, None)
        if self._facts is not None:
            self._check_dataset()
        _training_variables.build(model, first_batch)
        if self._facts is not None:
            self._check_variables()
            self.position = self._facts["epoch"], self._facts["step"]
            self.has_ended = self._facts["ended"]
            if verbose != 0:
                self._report(epochs)

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        own = (keras.callbacks.ProgbarLogger,)
        self._states = CallbackStates([c for c in self.callbacks if not isinstance(c, own)])
        if self._facts is not None:
            self._restore()

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._epoch, self._step = epoch, 0
        broken_epoch, broken_step = self.position
        if epoch == broken_epoch and broken_step > 0:
            self._restore()  # again: `fit` has reset the metrics, and a callback may reset states
            self._step = broken_step
            self._train_function = self.model.train_function
            self.model.train_function = lambda iterator: dict(self._facts["logs"])
        self._arrays = None

    def on_train_batch_begin(self, batch, logs=None):
        self._skips = batch < self._step
        if not self._skips:
            self.release()
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        if self._skips:
            return
        super().on_train_batch_end(batch, logs)
        before, self._step = self._step, batch + 1
        self._stopped_within_epoch = self.model.stop_training
        due = self._save_every and before // self._save_every < self._step // self._save_every
        if due or self._stopped_within_epoch:
            self._save(self._epoch, self._step, logs)

    def on_epoch_end(self, epoch, logs=None):
        self.release()
        super().on_epoch_end(epoch, logs)
        if not self._stopped_within_epoch:
            self._save(epoch + 1, 0, logs, ended=self.model.stop_training)

    def release(self):
        """Give the model its own train function back."""
        if self._train_function is not None:
            self.model.train_function, self._train_function = self._train_function, None

    def _save(self, epoch, step, logs, ended=False):
        logs = {name: np.asarray(value) for name, value in (logs or {}).items()}
        if not np.isfinite(logs.get("loss", 0.0)).all():
            return
        values = _training_variables.read(self.model)  # in all processes: it may sum over them
        if not self._writes:
            return
        arrays = {f"variables/{i}": value for i, value in enumerate(values)}
        states, not_kept = self._states.read(arrays)
        facts = {
            "epoch": epoch,
            "step": step,
            "steps_per_epoch": self._steps,
            "ended": bool(ended),
            "first_batch": self._first_batch_hash,
            "variables": _training_variables.describe(self.model),
            "logs": {name: value.tolist() for name, value in logs.items()},
            "callbacks": states,
            "not_kept": not_kept,
        }
        _checkpoint.write(self._folder, arrays, facts)

    def _restore(self):
        values = [self._arrays[f"variables/{i}"] for i in range(len(self._facts["variables"]))]
        _training_variables.assign(self.model, values)
        self._states.put_back(self._facts["callbacks"], self._arrays)

    def _check_dataset(self):
        steps, first = self._facts["steps_per_epoch"], self._facts["first_batch"]
        if steps != self._steps:
            raise ValueError(
                f"`dataset` of `resume` must have as many batches as before, {steps} an epoch, so "
                f"that the run in {self._folder} can go on. Received: {self._steps} an epoch. Give "
                "the same dataset, or another folder for another run."
            )
        if first != self._first_batch_hash:
            raise ValueError(
                "`dataset` of `resume` must give the same batches in every run. Received: a "
                f"dataset whose first batch is not that of the run in {self._folder}. Give "
                "`shuffle` (and random maps) a seed, `keras.utils.set_random_seed` the same one in "
                "every run, and make the dataset anew for each call; or give another folder for "
                "another run."
            )
        if self._facts["step"] % self.model.steps_per_execution:
            raise ValueError(
                f"The checkpoint in {self._folder} was written after {self._facts['step']} steps of"
                " an epoch, which `steps_per_execution` must divide. Received: a model compiled "
                f"with steps_per_execution={self.model.steps_per_execution}."
            )

    def _check_variables(self):
        saved, here = self._facts["variables"], _training_variables.describe(self.model)
        difference = _training_variables.first_difference(saved, here)
        if difference is not None:
            raise ValueError(
                f"The checkpoint in {self._folder} must be of the same model, compiled with the "
                f"same optimizer and metrics. Received: another one, {difference}. Make the model "
                "as before, or give another folder for another run."
            )

    def _report(self, epochs):
        epoch, step = self.position
        if self.has_ended or epoch >= epochs:
            print(f"Restored what was trained in {epoch} epochs, from {self._folder}.")
            return
        print(f"Resumed at epoch {epoch + 1}, step {step} of {self._steps}, from {self._folder}.")
        if self._facts["not_kept"]:
            print(f"Not in the checkpoint: {', '.join(self._facts['not_kept'])}.")

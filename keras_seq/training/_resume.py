"""`resume`: a training run that can be killed at any step and goes on as if it had not been."""

import hashlib
import pathlib

import keras
import numpy as np

from keras_seq.layers._arguments import check_positive
from keras_seq.training._checkpointed_fit import CheckpointedFit
from keras_seq.training._keras_private import made_fit_for_replicas
from keras_seq.training._replicas import has_several_workers

_FIT_ARGUMENTS = ("class_weight", "validation_steps", "validation_batch_size", "validation_freq")


def resume(
    model,
    dataset,
    folder,
    epochs=1,
    save_every=100,
    validation_data=None,
    callbacks=None,
    steps_per_epoch=None,
    verbose="auto",
    **fit_arguments,
):
    r"""Train with `model.fit`, with a checkpoint from which the next call goes on.

    A run that is killed at any step and started again with the same call sees exactly the batches
    that it would have seen, and ends with the weights of an unbroken run, on a CPU to the bit. The
    checkpoint holds

    - the weights, the state of the random seed generators (dropout, zoneout), the states that
      `TruncatedBPTT` carries;
    - all variables of the optimizer, its step and its learning rate among them;
    - the metrics of the broken epoch, the history of those before it;
    - the epoch, the step, and a hash of the first batch;
    - what callbacks have counted: numbers, texts and arrays among their attributes, such as
      `EarlyStopping.wait`, `best` and `best_weights`. What else they hold is named when a run
      resumes. Files are theirs to go on with: `CSVLogger(..., append=True)`.

    It is written at the end of each epoch and every `save_every` steps, under another name, and
    renamed, so that a kill while it is written leaves the one before. Until the first one, a run
    begins anew from the initial weights of `model`: `keras.utils.set_random_seed` makes them the
    same. While the loss of an epoch is not finite, none is written. When training has ended, the
    same call trains no more and restores the trained weights; with more `epochs` it goes on.

    Training reads one endless iterator, `dataset.repeat()`, and skips what has been seen. The order
    of its batches must therefore be the same in every run: give `shuffle` a `seed`, and
    `keras.utils.set_random_seed`, if it is called, the same one; leave `deterministic` on in maps;
    and make the dataset anew for each call, as a script does that is started again. A dataset that
    begins with another batch than before is refused. Skipping runs the dataset's maps again; a
    dataset with an attribute `from_step`, a function of the number of steps already made that gives
    the dataset from there on, is asked for its position instead.

    Under `tf.distribute.MirroredStrategy` and `MultiWorkerMirroredStrategy` (under which Keras 3's
    own `fit` fails), make and compile the model in the strategy's scope. Each of several processes
    makes the same call with the same dataset and takes its rows of each batch; the first of them
    writes `folder`, which all must be able to read. Losses are those of one device with
    `TokenMean`.

    A callback that stops training within an epoch, such as a time limit, leaves a checkpoint from
    which the next call goes on. One that stops it at the end of an epoch, as `EarlyStopping` does,
    ends it: the next call restores what was trained. Random numbers that are drawn without a
    `keras.random.SeedGenerator` of a layer are not part of the checkpoint.

    Args:
        model: compiled `keras.Model`.
        dataset: `tf.data.Dataset` of batches, finite, or endless with `steps_per_epoch`.
        folder: where the checkpoint is. One folder a run; it is made if it does not exist.
        epochs: number of epochs in all, those before a kill among them.
        save_every: number of steps between checkpoints. `None`: at the ends of epochs only.
        validation_data, callbacks, verbose: as in `fit`.
        steps_per_epoch: number of steps of an epoch. `None`: the batches of the dataset.
        **fit_arguments: `class_weight`, `validation_steps`, `validation_batch_size`,
            `validation_freq`, as in `fit`.

    Returns:
        `keras.callbacks.History` of all epochs, those before a kill among them.

    Raises:
        NotImplementedError: if the Keras backend is not TensorFlow.
        TypeError: if `dataset` is no `tf.data.Dataset`, or another argument of `fit` is given.
        ValueError: if the number of steps of an epoch is not known, if the dataset's order is not
            deterministic, or if the checkpoint is of another model, optimizer or dataset.

    Example:

    ```python
    import tempfile
    import keras
    import numpy as np
    import tensorflow as tf
    import keras_seq

    inputs = keras.Input((10, 3))
    x = keras_seq.layers.LSTM(8, dropout=0.2)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(x))
    model.compile("adam", "mse")
    x, y = np.random.default_rng(0).normal(size=(64, 10, 3)), np.zeros((64, 1))
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(64, seed=0).batch(8)

    folder = tempfile.mkdtemp()  # a folder that stays, for a run that goes on
    history = keras_seq.training.resume(model, dataset, folder, epochs=2, save_every=5)
    print(len(history.history["loss"]))  # 2
    ```
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            "`resume` needs the TensorFlow backend. "
            f"Received: the backend {keras.backend.backend()!r}. Train with `fit` and "
            "keras.callbacks.BackupAndRestore, which restores weights at the ends of epochs."
        )
    check_positive("resume", epochs=epochs)
    if save_every is not None:
        check_positive("resume", save_every=save_every)
    _check_fit_arguments(fit_arguments)
    steps = _steps_per_epoch(model, dataset, steps_per_epoch)
    first = next(iter(_from_step(dataset, 0)))
    run = CheckpointedFit(
        model,
        pathlib.Path(folder),
        callbacks=_checked_callbacks(callbacks),
        epochs=epochs,
        steps=steps,
        save_every=save_every,
        first_batch=first,
        first_batch_hash=_hash(first),
        verbose=verbose,
    )
    epoch, step = run.position
    try:
        with made_fit_for_replicas(model):
            return model.fit(
                _sharded_by_rows(model, _from_step(dataset, epoch * steps + step)),
                epochs=epochs,
                initial_epoch=epochs if run.has_ended else epoch,
                steps_per_epoch=steps,
                validation_data=validation_data,
                callbacks=run,
                shuffle=False,
                verbose=verbose,
                **fit_arguments,
            )
    finally:
        run.release()


def _from_step(dataset, step):
    """The batches of all epochs after the first `step`."""
    if hasattr(dataset, "from_step"):
        return dataset.from_step(step).repeat()
    return dataset.repeat().skip(step)


def _sharded_by_rows(model, dataset):
    """The dataset, of which each process takes its rows of each batch, not some of the files."""
    import tensorflow as tf

    if not has_several_workers(model.distribute_strategy):
        return dataset
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)


def _steps_per_epoch(model, dataset, steps):
    import tensorflow as tf

    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            "`dataset` of `resume` must be a tf.data.Dataset of batches, because the position in it"
            f" is part of the checkpoint. Received: {type(dataset)}. Arrays become one with "
            "tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).batch(32)."
        )
    if dataset.options().deterministic is False:
        raise ValueError(
            "`dataset` of `resume` must give its batches in the same order in every run. Received: "
            "a dataset whose options say `deterministic = False`."
        )
    if steps is None:
        steps = int(dataset.cardinality())
        if steps < 1:
            kind = {0: "an empty", -1: "an endless"}.get(steps, "a")
            raise ValueError(
                "`steps_per_epoch` of `resume` must be given where the dataset does not say how "
                f"many batches it has. Received: {kind} dataset of cardinality {steps}."
            )
    check_positive("resume", steps_per_epoch=steps)
    if steps % model.steps_per_execution:
        raise ValueError(
            "The steps of an epoch must be a multiple of the `steps_per_execution` that the model "
            f"was compiled with. Received: {steps} steps an epoch and steps_per_execution="
            f"{model.steps_per_execution}. Pass `steps_per_epoch=` or compile with another number."
        )
    return steps


def _check_fit_arguments(arguments):
    unknown = sorted(set(arguments) - set(_FIT_ARGUMENTS))
    if unknown:
        raise TypeError(
            f"`resume` passes on the arguments {', '.join(_FIT_ARGUMENTS)} of `fit`. Received: "
            f"{', '.join(unknown)}. The dataset says what the batches are and how they are "
            "shuffled, the checkpoint where to begin."
        )


def _checked_callbacks(callbacks):
    callbacks = keras.tree.flatten(callbacks) if callbacks is not None else []
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.BackupAndRestore):
            raise ValueError(
                "`callbacks` of `resume` must not have a BackupAndRestore, whose part `resume` "
                "takes. Leave it out."
            )
    # What adds a score to an epoch's logs goes before what monitors it.
    return sorted(callbacks, key=lambda callback: not getattr(callback, "adds_to_logs", False))


def _hash(batch):
    """Hash of the content of a batch, of any structure."""
    import tensorflow as tf

    digest = hashlib.sha256()
    for tensor in tf.nest.flatten(batch, expand_composites=True):
        array = np.asarray(tensor)
        content = repr(array.tolist()).encode() if array.dtype == object else array.tobytes()
        digest.update(f"{array.dtype} {array.shape} {len(content)} ".encode())
        digest.update(content)
    return digest.hexdigest()

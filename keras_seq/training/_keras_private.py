"""What training needs of private Keras: how `fit` builds a model, its optimizer and metrics."""

import contextlib

import keras

from keras_seq.training._replicas import has_several_workers, num_replicas_of

_BUILD = "_maybe_symbolic_build"


def build_from_batch(model, batch):
    """Make all variables as Keras does under a strategy: from shapes, without running the model."""
    model._symbolic_build(data_batch=batch)


@contextlib.contextmanager
def made_fit_for_replicas(model):
    """Let `fit` and `evaluate` of a model run under a `tf.distribute` strategy.

    Keras 3 builds the model from the mean of the replicas' batches, which booleans do not have
    ("attr 'T' of bool ... AddN") and which it cannot take across processes; here it is built from
    the batch of one replica. And among the processes of `MultiWorkerMirroredStrategy` it takes the
    mean of the logs over their first axis, which scalars do not have; here they have one.
    """
    if num_replicas_of(model) == 1 or _BUILD in vars(model):
        yield
        return
    replaced = {_BUILD: _building_from_one_replica(model, getattr(model, _BUILD))}
    if has_several_workers(model.distribute_strategy):
        for name in ("train_step", "test_step"):
            replaced[name] = _with_axis(getattr(model, name))
    vars(model).update(replaced)  # for this `fit` alone
    try:
        yield
    finally:
        for name in replaced:
            del vars(model)[name]


def _building_from_one_replica(model, build):
    def build_from_one_replica(iterator=None, data_batch=None):
        if iterator is not None:
            local = model.distribute_strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(lambda x: local(x)[0], next(batches))
        build(data_batch=data_batch)

    return build_from_one_replica


def _with_axis(step):
    def step_with_axis(data):
        return keras.tree.map_structure(lambda log: keras.ops.expand_dims(log, 0), step(data))

    return step_with_axis

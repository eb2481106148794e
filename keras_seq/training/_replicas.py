"""The replicas of a `tf.distribute` strategy: how rows of a batch are divided among them.

On other backends than TensorFlow, and without a strategy, there is one replica with all rows.
"""

import keras


def num_replicas():
    """Replicas of the strategy in whose scope this is called."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def replica_context():
    """The context of the replica that runs this code, or `None` where rows are not divided."""
    if num_replicas() == 1:
        return None
    import tensorflow as tf

    return tf.distribute.get_replica_context()  # `None` while `fit` builds the model


def num_replicas_here():
    """Replicas that the rows of a batch are divided among, in the code that is run."""
    return num_replicas() if replica_context() is not None else 1


def rows_of_replica(x):
    """Of x (B, ...), the B / R rows of the replica that runs this code: the first has the first."""
    replica = replica_context()
    if replica is None:
        return x
    rows = x.shape[0] // replica.num_replicas_in_sync
    start = replica.replica_id_in_sync_group * rows
    return x[start : start + rows]


def rows_of_all_replicas(x):
    """(B, ...) of the B / R rows x that each replica has."""
    replica = replica_context()
    return x if replica is None else replica.all_gather(x, axis=0)


def sum_over_replicas(x):
    """Sum of x over all replicas."""
    replica = replica_context()
    return x if replica is None else replica.all_reduce("SUM", x)


def num_replicas_of(model):
    """Replicas of the strategy that a model was made under."""
    strategy = getattr(model, "distribute_strategy", None)
    return 1 if strategy is None else strategy.num_replicas_in_sync


def has_several_workers(strategy):
    """Whether the replicas of a strategy are divided among processes."""
    replicas = strategy.num_replicas_in_sync
    return replicas > 1 and replicas > len(strategy.extended.worker_devices)


def writes_checkpoints(model):
    """Whether this process is the one of a model's that writes files for all."""
    return num_replicas_of(model) == 1 or model.distribute_strategy.extended.should_checkpoint

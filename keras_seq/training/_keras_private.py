"""What training needs of private Keras: how `fit` builds a model under a strategy."""

import keras

from keras_seq.training._replicas import num_replicas_of


class BuiltFromOneReplica:
    """For a `keras.Model`: under a strategy, `fit` builds it from the rows of the first replica.

    Keras takes the mean over the replicas' batches instead, which booleans such as resets do not
    have ("attr 'T' of bool ... AddN").
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if iterator is not None and num_replicas_of(self) > 1:
            local = self.distribute_strategy.experimental_local_results
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(lambda x: local(x)[0], next(batches))
                break
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

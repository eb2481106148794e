"""Attention roll-out: how much of each input position is in each output position."""

import numpy as np

from keras_seq.inspection._attention_scores import attention_scores


def attention_rollout(model, inputs, layers=None):
    r"""Follows the attention of a stack of blocks down to its input (Abnar & Zuidema 2020).

        A_l = (mean of the heads' weights + I) / 2              # l = 1 .. L
        R   = A_L ... A_2 A_1

    (section 3.) I stands for the residual connection, which is taken to give as much as the
    attention. In a Vision Transformer the class token's row is what the logits see of each patch.

    Args:
        model: functional `keras.Model`.
        inputs: what the model's call takes, see `attention_scores`.
        layers: names of the self-attention layers or blocks, from the first to the last, as
            `attention_scores` calls them. `None` takes all, which must then attend from one
            sequence to itself. Name those of the encoder where there is a decoder.

    Returns:
        (B, T, T) float32 NumPy array R: the fraction of output position t that came from input
        position s. Rows sum to one.

    Raises:
        TypeError: if `model` has no graph to walk.
        ValueError: if there is no such layer, or one does not attend from T positions to the same
            T.

    Example:

    ```python
    import numpy as np
    import keras_seq
    from keras_seq.inspection import attention_rollout

    model = keras_seq.models.vision_transformer((28, 28, 1), num_classes=10, patch_size=7)
    rollout = attention_rollout(model, np.zeros((2, 28, 28, 1), "float32"))
    of_patches = rollout[:, 0, 1:].reshape(2, 4, 4)  # the class token stands before the patches
    print(of_patches.shape)  # (2, 4, 4)
    ```
    """
    scores = attention_scores(model, inputs)
    layers = list(scores) if layers is None else list(layers)
    unknown = [name for name in layers if name not in scores]
    if unknown or not layers:
        raise ValueError(
            f"`layers` of attention_rollout must be names among {list(scores)}. Received: {layers}"
        )
    shapes = {name: scores[name].shape for name in layers}  # (B, H, T, S)
    time = shapes[layers[0]][-1]
    if any(shape[-2:] != (time, time) for shape in shapes.values()):
        raise ValueError(
            "`layers` of attention_rollout must attend from one sequence to itself, all from as "
            f"many positions. Received: scores (B, H, T, S) of shapes {shapes}. Name the layers of "
            "one stack."
        )
    identity = np.eye(time, dtype="float32")
    rollout = identity
    for name in layers:
        rollout = (scores[name].mean(axis=1) + identity) / 2 @ rollout  # (B, T, T)
    return rollout

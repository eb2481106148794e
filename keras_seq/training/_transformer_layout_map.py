"""`transformer_layout_map`: how a Transformer's weights are divided among devices."""

import keras


def transformer_layout_map(device_mesh, model_dim="model", *, num_key_value_heads=None):
    """Layouts of the weights of Transformer blocks, for `keras.distribution.ModelParallel`.

    The heads of an attention and the inner features of a feed-forward network are divided among the
    devices along `model_dim` (Shoeybi et al. 2019, section 3), so that each block sums over devices
    twice. Embeddings and logits are divided over the model's features:

        query, key, value kernel (D, H, K), bias (H, K)     over H
        output kernel (H, K, D)                             over H
        inner, linear kernel (D, F), bias (F,)              over F
        outer kernel (F, D)                                 over F
        embeddings (V, D), positions (T, D)                 over D
        logits kernel (D, V)                                over D

    All else, such as normalizations, is on each device. Set the distribution before the model is
    made. It holds for `TransformerEncoderBlock`, `TransformerDecoderBlock` and the models made of
    them; `map[regex] = layout` adds what other layers of a model need. The caches of a `Generator`
    are divided as the kernels are.

    Args:
        device_mesh: `keras.distribution.DeviceMesh`, of whose axes one is `model_dim`.
        model_dim: name of the axis that weights are divided along. H, F and D must be multiples of
            its size.
        num_key_value_heads: G, where keys and values have fewer heads than queries. If it is no
            multiple of the axis' size, each device has all of them.

    Returns:
        `keras.distribution.LayoutMap`.

    Raises:
        ValueError: if the mesh has no axis `model_dim`.

    Example: (with KERAS_BACKEND=jax)

    ```python
    import keras
    import keras_seq

    devices = keras.distribution.list_devices()
    mesh = keras.distribution.DeviceMesh((1, len(devices)), ["batch", "model"], devices)
    layout_map = keras_seq.training.transformer_layout_map(mesh)
    print(layout_map["decoder_0/self_attention/query_kernel"].axes)  # (None, 'model', None)

    # keras.distribution.set_distribution(
    #     keras.distribution.ModelParallel(layout_map=layout_map, batch_dim_name="batch")
    # )
    ```
    """
    names = list(device_mesh.axis_names)
    if model_dim not in names:
        raise ValueError(
            f"`model_dim` of transformer_layout_map must be an axis of the mesh, among {names}. "
            f"Received: model_dim={model_dim!r}"
        )
    size = device_mesh.shape[names.index(model_dim)]
    divides_keys = num_key_value_heads is None or num_key_value_heads % size == 0
    heads = "(query|key|value)" if divides_keys else "query"
    layout_map = keras.distribution.LayoutMap(device_mesh)
    for layer, weight, axes in (
        ("attention", f"{heads}_kernel", (None, model_dim, None)),
        ("attention", f"{heads}_bias", (model_dim, None)),
        ("attention", "output_kernel", (model_dim, None, None)),
        ("feed_forward", "(inner|linear)_kernel", (None, model_dim)),
        ("feed_forward", "(inner|linear)_bias", (model_dim,)),
        ("feed_forward", "outer_kernel", (model_dim, None)),
        ("embedding", "(embeddings|positions)", (None, model_dim)),
        ("logits", "kernel", (model_dim, None)),
    ):
        layout_map[rf"(.*[/_])?{layer}(_\d+)?/{weight}"] = axes
    return layout_map

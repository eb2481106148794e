"""A Transformer of keras_seq's layers as a CTranslate2 specification: what is where in the model.

CTranslate2 knows one shape of network, embedding - blocks - projection, with options. The model is
read as that shape, layer after layer; what does not fit is refused by its name.
"""

import keras
import numpy as np

from keras_seq.layers import (
    AlibiBias,
    LearnedPositions,
    MultiHeadCrossAttention,
    MultiHeadSelfAttention,
    PositionalEmbedding,
    RMSNormalization,
    RotaryEmbedding,
    TransformerDecoderBlock,
    TransformerEncoderBlock,
)
from keras_seq.layers.blocks._activations import gelu_tanh
from keras_seq.stepping._graph import Enter, Graph
from keras_seq.stepping._keras_private import input_names

_BLOCKS = (TransformerEncoderBlock, TransformerDecoderBlock)
_NORMS = (keras.layers.LayerNormalization, RMSNormalization)
_ACTIVATIONS = {  # names in ctranslate2.specs.common_spec.Activation
    keras.activations.relu: "RELU",
    keras.activations.gelu: "GELU",
    gelu_tanh: "GELUTanh",
    keras.activations.silu: "SWISH",
    keras.activations.tanh: "Tanh",
    keras.activations.sigmoid: "Sigmoid",
}


class Stack:
    """The layers from an input to the end of its blocks, or to the logits.

    Args:
        graph: `Graph` of the model.
        name: of the input.

    Attributes:
        embedding, positions, embedding_norm, blocks, norm, logits: layers, `None` where there is
            none; `logits` may be the embedding.
        masks: whether padding is masked.
        logits_scale: factor before the logits.
        calls: all calls.
    """

    def __init__(self, graph, name):
        self.calls = _calls_from(graph, graph.inputs[input_names(graph.model).index(name)])
        self._left = [c for c in self.calls if not isinstance(c.operation, keras.layers.Dropout)]
        call = self._left[0] if self._left else None
        self.embedding = self._take(PositionalEmbedding)
        if self.embedding is None:
            _refuse(call, f"the input `{name}` must be read by a PositionalEmbedding")
        _, kwargs = call.arguments({})
        self.masks = self.embedding.mask_zero or kwargs.get("mask_padding", False)
        self.positions = self._take(LearnedPositions)
        self.embedding_norm = self._take(*_NORMS)
        self.blocks = []
        while block := self._take(*_BLOCKS):
            self.blocks.append(block)
        self.norm = self._take(*_NORMS)
        self.logits_scale = self._take_scale()
        self.logits = self._take(keras.layers.Dense, PositionalEmbedding)
        if self._left or not self.blocks:
            call = self._left[0] if self._left else self.calls[-1]
            _refuse(call, "blocks are followed by at most a normalization, a factor and logits")
        self._check()

    def _take(self, *kinds):
        """The next layer if it is of a kind, not of a subclass."""
        if self._left and type(self._left[0].operation) in kinds:
            return self._left.pop(0).operation
        return None

    def _take_scale(self):
        """A number that features are multiplied by, `keras.ops.multiply(x, number)`."""
        if not self._left or type(self._left[0].operation).__name__ != "Multiply":
            return 1.0
        args, kwargs = self._left[0].node.arguments.args, self._left[0].node.arguments.kwargs
        numbers = [x for x in (*args, *kwargs.values()) if isinstance(x, (int, float))]
        if len(numbers) != 1:
            return 1.0
        self._left.pop(0)
        return float(numbers[0])

    def _check(self):
        first = self.blocks[0]
        settings = _settings(first)
        for call in self.calls:
            block = call.operation
            if isinstance(block, _BLOCKS):
                _check_block(call, block)
                if type(block) is not type(first) or _settings(block) != settings:
                    _refuse(call, f"all blocks must have the settings of `{first.name}`")
        if first.normalize_first is False and self.norm is not None:
            _refuse(self.calls[-1], "no normalization may follow post-norm blocks")
        if self.positions is not None and self.embedding.kind != "none":
            _refuse(self.calls[0], "there must be one kind of positions")
        if first.positions is not None and self.position_table() is not None:
            _refuse(self.calls[0], "there must be one kind of positions")

    @property
    def norms(self):
        """All normalizations."""
        for block in self.blocks:
            yield block.self_attention_norm
            if getattr(block, "cross_attention", None) is not None:
                yield block.cross_attention_norm
            yield block.feed_forward_norm
        yield from (n for n in (self.embedding_norm, self.norm) if n is not None)

    def position_table(self):
        """(positions, D), or `None` where the embeddings have none."""
        layer = self.embedding if self.positions is None else self.positions
        if layer is self.embedding and layer.kind == "none":
            return None
        return _array(layer.positions)[layer.position_offset :]


def read_stacks(model, target):
    """`(encoder, decoder)`, the `Stack` of each input; the first `None` in a decoder-only model.

    Args:
        model: functional `keras.Model`.
        target: name of the target input.

    Raises:
        ValueError: if CTranslate2 cannot express a layer, with its name.
    """
    graph = Graph(model)
    inner = [step for step in graph.steps if isinstance(step, Enter)]
    if inner:
        raise ValueError(
            f"to_ctranslate2 reads the layers of one model, and `{inner[0].model.name}` is a model "
            "inside it. Call its layers in the outer model, or export with to_litert."
        )
    names = input_names(model)
    if len(names) > 2 or len(graph.outputs) != 1:
        raise ValueError(
            "to_ctranslate2 takes a model from target ids, or source and target ids, to logits. "
            f"Received: inputs {names}, {len(graph.outputs)} outputs. Export with to_litert."
        )
    decoder = Stack(graph, target)
    encoder = next((Stack(graph, name) for name in names if name != target), None)
    known = {id(c) for stack in (encoder, decoder) if stack for c in stack.calls}
    for call in graph.calls:
        if id(call) not in known and not _makes_mask(call):
            _refuse(call, "it stands beside the path from the input to the logits")
    if decoder.logits is None or decoder.calls[-1].gives[0] != graph.outputs[0]:
        _refuse(decoder.calls[-1], "the model must end with a Dense layer or a tied embedding")
    if encoder is not None and encoder.logits is not None:
        _refuse(encoder.calls[-1], "an encoder ends with its blocks or a normalization")
    crossed = getattr(decoder.blocks[0], "cross_attention", None) is not None
    if crossed != (encoder is not None) or not decoder.blocks[0].causal:
        _refuse(decoder.calls[-1], "the decoder's blocks must be causal, and attend to an encoder")
    if encoder is not None and (encoder.blocks[0].causal or _has_alibi(encoder)):
        _refuse(encoder.calls[-1], "an encoder must not be causal and has no ALiBi in CTranslate2")
    epsilons = {n.epsilon for stack in (encoder, decoder) if stack for n in stack.norms}
    if len(epsilons) > 1:
        raise ValueError(
            "to_ctranslate2 needs one epsilon of all normalizations. "
            f"Received: {sorted(epsilons)}. Build the model with one, or export with to_litert."
        )
    return encoder, decoder


def _has_alibi(stack):
    return type(stack.blocks[0].self_attention.position_scheme) is AlibiBias


def make_spec(encoder, decoder):
    """The specification of two stacks, all weights set, without vocabularies.

    Args:
        encoder: `Stack`, or `None` in a decoder-only model.
        decoder: `Stack`.

    Returns:
        `ctranslate2.specs.TransformerSpec` or `TransformerDecoderModelSpec`.
    """
    from ctranslate2 import specs

    decoder_spec = specs.TransformerDecoderSpec(
        len(decoder.blocks), with_encoder_attention=encoder is not None, **_options(specs, decoder)
    )
    _set_stack(decoder_spec, decoder_spec.embeddings, decoder)
    tied = decoder.logits is decoder.embedding
    kernel = _array(decoder.logits.embeddings).T if tied else _array(decoder.logits.kernel)
    bias = decoder.logits.reverse_bias if tied else decoder.logits.bias
    kernel = kernel if decoder.logits_scale == 1 else kernel * np.float32(decoder.logits_scale)
    _set_linear(decoder_spec.projection, kernel, bias)
    if encoder is None:
        spec = specs.TransformerDecoderModelSpec(decoder_spec)
    else:
        options = _options(specs, encoder)
        encoder_spec = specs.TransformerEncoderSpec(len(encoder.blocks), **options)
        _set_stack(encoder_spec, encoder_spec.embeddings[0], encoder)
        spec = specs.TransformerSpec(encoder_spec, decoder_spec)
    spec.config.layer_norm_epsilon = next(decoder.norms).epsilon
    return spec


def _options(specs, stack):
    """Keyword arguments of a specification that describe a stack's blocks."""
    block = stack.blocks[0]
    attention, scheme = block.self_attention, block.self_attention.position_scheme
    options = {
        "num_heads": attention.num_heads,
        "pre_norm": block.normalize_first,
        "no_final_norm": stack.norm is None,
        "activation": specs.common_spec.Activation[_ACTIVATIONS[block.activation]],
        "layernorm_embedding": stack.embedding_norm is not None,
        "rms_norm": block.normalization == "rms",
        "ffn_glu": block.gated,
    }
    if attention.num_key_value_heads != attention.num_heads:
        options["num_heads_kv"] = attention.num_key_value_heads
    if attention.num_heads * attention.key_dim != stack.embedding.dim:
        options["head_dim"] = attention.key_dim
    if type(scheme) is AlibiBias:
        options["alibi"] = True
    if type(scheme) is RotaryEmbedding:
        options |= {
            "rotary_dim": 0,  # all
            "rotary_interleave": False,  # halves are paired
            "rotary_base": scheme.max_wavelength,
        }
        if scheme.scaling_factor != 1:
            linear = specs.attention_spec.RotaryScalingType.Linear
            options["rotary_scaling_type"] = linear
            options["rotary_scaling_factor"] = scheme.scaling_factor
    return options


def _set_stack(spec, embeddings_spec, stack):
    embeddings_spec.weight = _array(stack.embedding.embeddings)
    spec.scale_embeddings = stack.embedding.scale_embeddings
    table = stack.position_table()
    if hasattr(spec, "position_encodings"):
        if table is None:  # without a table CTranslate2 adds sines and cosines
            table = np.zeros((stack.embedding.sequence_length, stack.embedding.dim), "float32")
        spec.position_encodings.encodings = table
    if stack.embedding_norm is not None:
        _set_norm(spec.layernorm_embedding, stack.embedding_norm)
    if stack.norm is not None:
        _set_norm(spec.layer_norm, stack.norm)
    for layer, block in zip(spec.layer, stack.blocks, strict=True):
        attention = block.self_attention
        query, key, value, output = _projections(attention)
        fused = [np.concatenate(parts, axis=-1) for parts in zip(query, key, value, strict=True)]
        _set_attention(layer.self_attention, attention, fused, output)
        _set_norm(layer.self_attention.layer_norm, block.self_attention_norm)
        if getattr(block, "cross_attention", None) is not None:
            attention = block.cross_attention
            query, key, value, output = _projections(attention)
            fused = [np.concatenate(parts, axis=-1) for parts in zip(key, value, strict=True)]
            _set_attention(layer.attention, attention, query, fused, output)
            _set_norm(layer.attention.layer_norm, block.cross_attention_norm)
            if hasattr(layer.attention, "num_heads_kv"):
                layer.attention.num_heads_kv = np.int32(attention.num_key_value_heads)
        network = block.feed_forward
        _set_linear(layer.ffn.linear_0, network.inner_kernel, network.inner_bias)
        _set_linear(layer.ffn.linear_1, network.outer_kernel, network.outer_bias)
        if network.gated:
            _set_linear(layer.ffn.linear_0_noact, network.linear_kernel, network.linear_bias)
        _set_norm(layer.ffn.layer_norm, block.feed_forward_norm)


def _projections(attention):
    """`(kernel, bias)` of query, key, value and output: (D, H K) and (H K,), zeros for no bias."""
    for name in ("query", "key", "value", "output"):
        kernel = _array(getattr(attention, f"{name}_kernel"))
        is_output = name == "output"
        kernel = kernel.reshape((-1, kernel.shape[-1]) if is_output else (len(kernel), -1))
        bias = getattr(attention, f"{name}_bias")
        yield kernel, np.zeros(kernel.shape[1], "float32") if bias is None else _array(bias).ravel()


def _set_attention(spec, attention, *linear):
    for linear_spec, (kernel, bias) in zip(spec.linear, linear, strict=True):
        _set_linear(linear_spec, kernel, bias)
    if attention.scale is not None:
        spec.queries_scale = np.float32(attention.scale)


def _set_linear(spec, kernel, bias):
    """`y = x kernel + bias`; CTranslate2's weights are (out, in)."""
    spec.weight = np.ascontiguousarray(_array(kernel).T)
    if bias is not None:
        spec.bias = _array(bias)


def _set_norm(spec, norm):
    if isinstance(norm, RMSNormalization):
        spec.gamma = _array(norm.scale)
        return
    spec.gamma = _array(norm.gamma)
    spec.beta = np.zeros_like(spec.gamma) if norm.beta is None else _array(norm.beta)


def _array(weight):
    return keras.ops.convert_to_numpy(weight).astype("float32")


def _calls_from(graph, key):
    """The calls from a tensor on, each the only one that takes up the output of the one before."""
    calls = []
    while True:
        following = [c for c in graph.calls if c.reads[:1] == [key] and not _makes_mask(c)]
        if len(following) > 1:
            _refuse(following[1], f"it reads what `{following[0].name}` reads, too")
        if not following:
            return calls
        calls += following
        key = following[0].gives[0]


def _makes_mask(call):
    """Whether it is `not_equal(ids, padding)`, which Keras writes for an embedding that masks."""
    return type(call.operation).__name__ == "NotEqual"


def _settings(block):
    """What one specification says of all blocks."""
    scheme = block.self_attention.position_scheme
    return (
        block.num_heads,
        block.self_attention.num_key_value_heads,
        block.self_attention.key_dim,
        block.normalize_first,
        block.normalization,
        block.activation,
        block.gated,
        block.causal,
        None if scheme is None else (type(scheme), scheme.get_config() | {"name": None}),
    )


def _check_block(call, block):
    attention, scheme = block.self_attention, block.self_attention.position_scheme
    cross = getattr(block, "cross_attention", None)
    if type(attention) is not MultiHeadSelfAttention:
        _refuse(call, f"its attention is a {type(attention).__name__}")
    if cross is not None and type(cross) is not MultiHeadCrossAttention:
        _refuse(call, f"its cross-attention is a {type(cross).__name__}")
    if block.activation not in _ACTIVATIONS:
        names = sorted(function.__name__ for function in _ACTIVATIONS)
        _refuse(call, f"its activation must be one of {names}")
    if block.sliding_window is not None:
        _refuse(call, "it has a sliding window")
    if scheme is not None and type(scheme) not in (RotaryEmbedding, AlibiBias):
        _refuse(call, f"its positions are a {type(scheme).__name__}")
    if type(scheme) is AlibiBias and scheme.alibi_bias_max != 8:
        _refuse(call, "the `alibi_bias_max` of its positions is not 8")


def _refuse(call, reason):
    name, kind = (call.name, type(call.operation).__name__) if call else ("the model", "no layer")
    raise ValueError(
        f"to_ctranslate2 cannot express `{name}` ({kind}): {reason}. It takes models with the "
        "layers of keras_seq.models.transformer or decoder_only_transformer. Build the model so, "
        "or export with to_litert or to_saved_model."
    )

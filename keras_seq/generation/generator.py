"""`Generator`: sequences from a stepped model, and the probability of given ones."""

import numpy as np
from keras import ops

from keras_seq.generation._attention import check_attention, generated_attention
from keras_seq.generation._context_inputs import checked_inputs
from keras_seq.generation._engines import checked_engine, make_engine
from keras_seq.generation._functions import CompiledFunctions
from keras_seq.generation._generated import Generated
from keras_seq.generation._get_sampler import get_sampler, get_strategy
from keras_seq.generation._lengths import check_any_length, check_positions
from keras_seq.generation._model_checks import check_model
from keras_seq.generation._padding import Padding, padded_width, unpadded
from keras_seq.generation._request import checked_prompt, checked_request
from keras_seq.generation._scoring import Scored
from keras_seq.generation._streaming import stream
from keras_seq.generation._token_ids import check_token, joined_rows, padded_targets
from keras_seq.generation.logits_processors._chain import make_chain
from keras_seq.generation.search._search_start import search_start
from keras_seq.layers._arguments import check_positive
from keras_seq.stepping._embeddings import padding_id, vocabulary_size
from keras_seq.stepping.stepper import Stepper


class Generator:
    r"""Generates sequences from any causal functional model, one token after another.

        x_t ~ sampler(p(x_t | x_1, ..., x_{t-1}, context))

    The model is stepped (see `Stepper`), so each token costs one step and no past is computed
    twice. The whole loop is one compiled function: with XLA by default on TensorFlow and JAX,
    compiled once for each set of shapes, and it ends when every row has ended. So that few shapes
    serve all lengths, prompts are padded inside to the next of 8, 16, 24, 32, 48, 64, ... tokens,
    and so are lists of source ids where the model masks their padding; results are as wide as
    without. (Layers of your own that have a state, and search strategies of your own, get prompts
    as they are: one compilation for each length.)

    Args:
        model: causal functional `keras.Model` whose output are logits (B, T, V).
        max_length: the largest number of new tokens.
        start_token: id that begins every sequence; needed where no prompt is given.
        end_token: id, or list of ids, that ends a sequence. `None`: always `max_length` tokens.
        pad_token: id that fills rows after their end, and prompts on the right. A model that may
            choose it makes what is generated ambiguous; `banned_tokens=[pad_token]` prevents that.
        sampler: `"greedy"`, `"random"`, `"top_k"`, `"top_p"`, `"beam"`, a sampler object of
            keras_seq or KerasHub, any callable that chooses tokens from (B, V) log-probabilities,
            see `Sampler`, or any object with a method `search`, see `SearchStrategy`.
        target: name of the model's target input, see `Stepper`.
        jit_compile: whether to compile with XLA.
        min_length: how many new tokens come before an end token at least, see `MinLength`.
        banned_tokens: ids that are never chosen, see `BannedTokens`.
        repetition_penalty: above 1 makes tokens of the prompt and those already written less
            likely, see `RepetitionPenalty`. 1 changes nothing.
        no_repeat_ngram_size: no sequence of so many tokens stands twice in a row, prompt included,
            see `NoRepeatNgram`. 0 allows all.
        self_check: see `Stepper`.
        logits_processors: list of callables that change the scores of the next token before one is
            chosen, see `LogitsProcessor`; applied in their order, after those of the four arguments
            above. A row to which they leave no token ends there.
        source_pad_token: id that fills lists of context ids where rows differ in length, see
            `source_padding`. `None`: 0 for inputs whose embedding masks 0 (`mask_zero=True`),
            else `pad_token`.
        engine: what runs the loop of `generate`. `"compiled"`: the backend's compiled function.
            `"litert"`: LiteRT in this process, on a CPU, from a file that is made in seconds at the
            first call with each set of shapes, and anew when the weights have changed. `"auto"`:
            `"compiled"`, and `"litert"` for `weights="int8"`.
        weights: `None`, or `"int8"` to generate with large weights rounded to 8 bits, a scale for
            each output feature, and activations as they come. Where the products take the time (a
            large model, or few rows) that is about twice as fast; a small model with many rows or
            beams is no faster. Its tokens are not all those of the model. `score` goes by the
            model's own weights, and `stream` is refused.

    Raises:
        TypeError, ValueError: as `Stepper` for a model that cannot be stepped; ValueError for a
            model that gives probabilities, token ids outside its vocabulary, and other arguments
            out of range, or that the engine cannot do.
        ImportError: if the engine needs a package that is not installed.

    Example:

    ```python
    import keras
    import numpy as np
    import keras_seq

    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(50, 16)(tokens)
    x = keras_seq.layers.LSTM(16, return_sequences=True)(x)
    model = keras.Model(tokens, keras.layers.Dense(50)(x))

    generator = keras_seq.generation.Generator(model, max_length=8, end_token=3, sampler="top_k")
    out = generator.generate(prompt=[[5, 6, 7], [8]], seed=1)
    print(out.tokens.shape)  # (2, 11): prompts and new tokens
    for column in generator.stream(prompt=[[5, 6, 7]], seed=1):
        print(column)  # the next token, (1,)
    print(generator.score([[9, 3]], prompt=[[5, 6, 7]]).scores)  # log p(9, 3 | 5, 6, 7)
    ```
    """

    def __init__(
        self,
        model,
        max_length,
        start_token=None,
        end_token=None,
        pad_token=0,
        sampler="greedy",
        target=None,
        jit_compile=True,
        min_length=0,
        banned_tokens=(),
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        self_check=True,
        logits_processors=(),
        source_pad_token=None,
        engine="auto",
        weights=None,
    ):
        check_positive("Generator", max_length=max_length)
        self.engine, self.weights = checked_engine(engine, weights), weights
        self.self_check = self_check
        self.model = model
        self.stepper = Stepper(model, target=target, self_check=self_check)
        check_model(self.stepper)
        self.vocabulary_size = self.stepper.graph.outputs[0].shape[-1]
        # Tokens that are fed must be known to the embedding, tokens that are chosen to the output.
        self.input_size = vocabulary_size(model, self.stepper.target) or self.vocabulary_size
        if self.vocabulary_size > self.input_size:
            raise ValueError(
                f"`model` of Generator gives logits of {self.vocabulary_size} tokens and its "
                f"target input knows {self.input_size}, so it could not read what it writes."
            )
        self.max_length = max_length
        self.start_token = start_token
        end_tokens = [] if end_token is None else end_token
        self.end_tokens = list(end_tokens) if np.ndim(end_tokens) else [end_tokens]
        self.pad_token = pad_token
        self.source_pad_token = source_pad_token
        check_token("start_token", start_token, self.input_size)
        if pad_token is None:
            raise ValueError("`pad_token` of Generator must be an int id. Received: None")
        check_token("pad_token", pad_token, self.input_size)
        for name in self.stepper.context_inputs:
            limit = vocabulary_size(model, name)
            if limit is not None:
                check_token("source_pad_token", source_pad_token, limit)
        for token in self.end_tokens:
            check_token("end_token", token, self.vocabulary_size)
        self.sampler = get_sampler(sampler)
        self.strategy = get_strategy(self.sampler)
        self.logits_processors = make_chain(
            logits_processors,
            self.end_tokens,
            min_length,
            banned_tokens,
            repetition_penalty,
            no_repeat_ngram_size,
        )
        self.logits_processors.check(self)
        self.jit_compile = jit_compile
        self.trace_count = 0
        self._functions = CompiledFunctions(self)
        self._engine = make_engine(self)
        self._padding = Padding(self)

    def source_padding(self, name):
        """The id that fills short rows of the context input `name` in lists of lists.

        What the embedding that reads the input masks (0 with `mask_zero=True`) is padding. Where it
        masks nothing, no id is known to be padding, and it must be what the model was trained with.
        """
        if self.source_pad_token is not None:
            return self.source_pad_token
        padding = padding_id(self.model, name)
        return self.pad_token if padding is None else padding

    def generate(
        self,
        inputs=None,
        prompt=None,
        max_length=None,
        seed=None,
        prefix=None,
        return_attention=False,
    ):
        """Generate.

        Args:
            inputs: the model's context, a dict from input name to array, or the array alone where
                there is one context input: (B, S) source ids, for example, or a list of
                lists of them, padded here where rows differ, see `source_padding`. `None` where
                there is none.
            prompt: ids to go on from: a list of lists or a ragged tensor, of which every id is a
                token, or a (B, P) array padded on the right with `pad_token`. `None` begins every
                row with `start_token`.
            max_length: the largest number of new tokens; the generator's own if `None`.
            seed: int in [0, 2^64), only for samplers that draw; the sampler's own if `None`, and
                if it has none, every call draws other tokens.
            prefix: ids that every row's new tokens begin with, or a list of ids a row (some
                perhaps empty), or (B, F) padded on the right. Unlike a prompt they count as
                generated, in `max_length` and in the scores.
            return_attention: also return the attention weights, from one more call of the model on
                the sequences that came out.

        Returns:
            `Generated(tokens, scores, steps, attention)`.

        Raises:
            TypeError, ValueError: for ids outside the vocabulary, an empty prompt, inputs that are
                missing or of unequal batch sizes, and arguments out of range.
        """
        request = checked_request(self, inputs, prompt, max_length, seed, prefix)
        several = getattr(self.strategy, "num_return_sequences", None)
        if return_attention and several is not None:
            raise ValueError(
                "`return_attention` needs one sequence a row, and the sampler "
                f"{type(self.sampler).__name__} returns {several}. Leave its "
                "`num_return_sequences` out."
            )
        if return_attention:
            check_attention(self.stepper)
            check_any_length(self.stepper, request.total - 1, "`return_attention`")
        if self._engine is None:
            (function,) = self._functions.get("generate", request.static, request.arguments)
        else:
            function = self._engine.function(*request.static)
        tokens, scores, steps = function(*request.arguments, request.seed)
        tokens = unpadded(tokens, request.total)
        attention = None
        if return_attention:
            read = ops.convert_to_numpy(tokens)[:, :-1]
            attention = generated_attention(self.stepper, request.arguments[0], read)
        return Generated(tokens[..., 1:] if prompt is None else tokens, scores, steps, attention)

    def stream(self, inputs=None, prompt=None, max_length=None, seed=None, prefix=None):
        """Generate token by token: one compiled step, called for each token.

        The tokens are those of `generate` with the same seed, its columns one after the other, from
        the end of the shortest prompt on (while longer prompts go on, their rows give the prompt's
        own tokens). Rows that have ended give `pad_token`; when all have, it stops.

        Args:
            inputs, prompt, max_length, seed, prefix: see `generate`.

        Returns:
            Iterator of (B,) int32 NumPy arrays.

        Raises:
            TypeError, ValueError: see `generate`, at once; ValueError for a `BeamSampler`, with
                which no token is final before the end.
        """
        if not getattr(self.strategy, "supports_stream", False):
            raise ValueError(
                f"`stream` cannot be used with a {type(self.sampler).__name__}, with which no "
                "token is final before the end. Use `generate`, or another sampler."
            )
        if self.weights is not None:
            raise ValueError(
                "`stream` runs on the model's own weights and would give other tokens than "
                f"`generate` of a Generator with weights={self.weights!r}. Use `generate`, or a "
                "Generator without `weights`."
            )
        request = checked_request(self, inputs, prompt, max_length, seed, prefix)
        functions = self._functions.get("stream", request.static, request.arguments)
        prefill, _, _ = request.static
        shortest = int(request.arguments[2].min())
        first = shortest if prefill is None else prefill + 1
        return stream(*functions, request.arguments, request.seed, (first, shortest, request.total))

    def score(self, targets, inputs=None, prompt=None):
        """The probability of given sequences, by one call of the model on all of each.

            log p(x_1, ..., x_N | context) = sum_t log p(x_t | x_1, ..., x_{t-1}, context)

        Args:
            targets: (B, N) int ids padded on the right, such as `generate` gives without a prompt,
                or a list of lists of ids. A row goes up to its first end token. Of an array, pad
                tokens at the end of a row do not count, though a model without
                `banned_tokens=[pad_token]` may have chosen them (where they end rows, too, the
                first one counts); of a list of lists, all count.
            inputs: the model's context, see `generate`.
            prompt: what stands before the targets and is given, see `generate`. `None`: the
                `start_token`.

        Returns:
            `(log_probabilities, scores)`: (B, N) float32, natural logarithms of the probability of
            each token, 0 at padding, and (B,) float32, of each whole sequence.

        Raises:
            TypeError, ValueError: see `generate`.
        """
        inputs = checked_inputs(self, inputs)
        targets, target_lengths = padded_targets(
            targets, self.pad_token, self.vocabulary_size, self.end_tokens
        )
        prompt, lengths = checked_prompt(self, prompt, inputs, rows=len(targets))
        if len(prompt) != len(targets):
            raise ValueError(
                f"`targets` has {len(targets)} rows and the context or prompt has {len(prompt)}; "
                "they must be equal."
            )
        width = prompt.shape[1] + targets.shape[1]
        subject = "`prompt` (or start token) with `targets`, but for the last token,"
        check_positions(self.model, self.stepper.target, width - 1, subject)
        check_any_length(self.stepper, width - 1, "`score`")
        new = shown = targets.shape[1]
        if self._padding.targets:
            width, new = padded_width(width, self._padding.room + 1), padded_width(new)
        tokens = joined_rows(prompt, lengths, targets, target_lengths, width, self.pad_token)
        valid = np.arange(new) < target_lengths[:, None]
        arguments = inputs, tokens, lengths, valid
        (function,) = self._functions.get("score", (), arguments)
        log_p, scores = function(*arguments)
        return Scored(unpadded(log_p, shown), scores)

    def search_start(self, *arguments, **options):
        """`SearchStart` of a batch; arguments as in `decode`."""
        return search_start(self.stepper, self.pad_token, *arguments, **options)

    def decode(
        self, inputs, prompt, lengths, prefill, max_length, given=None, seed=None, limit=None
    ):
        """The loop itself, in `keras.ops`, to be traced into a compiled function or an export.

        Args:
            inputs: dict of context tensors.
            prompt: (B, P) int32 ids, padded on the right.
            lengths: (B,) int32, the number of prompt ids of each row, at least 1.
            prefill: static int, how many prompt ids to read at once: less than every length.
                `None`: up to the shortest one's last, known at run time, of rows that may be padded
                further; without `given` all must be of one length.
            max_length: static int N, the largest number of new tokens.
            given: (B,) int32, the number of prompt and prefix ids of each row; `prompt` is then
                (B, P + N) and holds both. `None`: there is no prefix.
            seed: (2,) int32, for samplers that draw.
            limit: int32 scalar, up to N: how many new tokens there are at most; N if `None`.

        Returns:
            `(tokens, scores, steps)`: (B, P + N) int32 prompt and new tokens, (B,) float32, scalar;
            with n = `num_return_sequences` of the strategy, (B, n, P + N) and (B, n).
        """
        start = self.search_start(inputs, prompt, lengths, prefill, max_length, given, seed, limit)
        return self.strategy.search(self, start)

"""Training step of a small GPT: keras_seq against PyTorch and KerasHub, on a CPU.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --models small --systems keras_seq torch torch_fused --rounds 20

A step is the forward pass, the gradients, clipping by their global norm and an AdamW update in
float32 of GPT-2's architecture (pre-norm, learned positions, GELU, tied output weights, no
dropout) over 65 characters. keras_seq and PyTorch have no biases; KerasHub's blocks have them
always. The PyTorch model has one product for query, key and value and PyTorch's own attention; its
AdamW is plain, fused, or plain in a model that `torch.compile` compiled. The Keras systems are
compiled with XLA, once stepped by `train_on_batch`'s compiled function and once by `fit`.

Every system lives in a process of its own, and the processes alternate, so that a busy moment of
the machine hits all of them. Medians and their ratios count.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

SYSTEMS = {
    "keras_seq": "keras_seq, compiled step",
    "keras_seq_fit": "keras_seq, fit",
    "keras_hub": "KerasHub, compiled step",
    "keras_hub_fit": "KerasHub, fit",
    "torch": "PyTorch",
    "torch_fused": "PyTorch, fused AdamW",
    "torch_compiled": "PyTorch, compiled, fused AdamW",
}
MODELS = {
    "small": {"layers": 4, "heads": 4, "width": 128, "time": 64, "batch": 12, "steps": 20},
    "large": {"layers": 6, "heads": 6, "width": 384, "time": 128, "batch": 16, "steps": 2},
}
VOCABULARY = 65
ADAMW = {"learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.1, "clip": 1.0}


def batches(case):
    """Tokens and next tokens, (steps, B, T) int32 each."""
    shape = (case["steps"], case["batch"], case["time"] + 1)
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=shape, dtype="int32")
    return tokens[..., :-1], tokens[..., 1:]


def keras_seq_model(case):
    import keras_seq

    return keras_seq.models.decoder_only_transformer(
        VOCABULARY,
        sequence_length=case["time"],
        num_layers=case["layers"],
        num_heads=case["heads"],
        hidden_dim=case["width"],
        intermediate_dim=4 * case["width"],
        dropout=0.0,
        use_bias=False,
        padding_id=None,
    )


def keras_hub_model(case):
    import keras
    import keras_hub

    embedding = keras_hub.layers.TokenAndPositionEmbedding(VOCABULARY, case["time"], case["width"])
    tokens = keras.Input((case["time"],), dtype="int32")
    x = embedding(tokens)
    for _ in range(case["layers"]):
        x = keras_hub.layers.TransformerDecoder(
            4 * case["width"], case["heads"], activation="gelu", normalize_first=True
        )(x)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(tokens, embedding.token_embedding(x, reverse=True))


def keras_system(system, case):
    """A function that takes the case's steps, by a compiled step or by `fit`."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(case["threads"])
    make = keras_hub_model if system.startswith("keras_hub") else keras_seq_model
    model = make(case)
    optimizer = keras.optimizers.AdamW(
        ADAMW["learning_rate"],
        weight_decay=ADAMW["weight_decay"],
        beta_1=ADAMW["beta_1"],
        beta_2=ADAMW["beta_2"],
        global_clipnorm=ADAMW["clip"],
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=True)
    x, y = batches(case)
    if system.endswith("fit"):
        rows = (case["steps"] * case["batch"], case["time"])
        dataset = tf.data.Dataset.from_tensor_slices((x.reshape(rows), y.reshape(rows)))
        dataset = dataset.batch(case["batch"], drop_remainder=True).repeat(4).prefetch(2)
        return lambda: model.fit(dataset, verbose=0), 4 * case["steps"]
    model.train_on_batch(x[0], y[0])  # builds the function
    pairs = [(tf.constant(a), tf.constant(b)) for a, b in zip(x, y, strict=True)]

    def run():
        for pair in pairs:
            logs = model.train_function(iter([pair]))
        return float(logs["loss"])

    return run, case["steps"]


def torch_model(case):
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            self.attention_norm = nn.LayerNorm(width, bias=False)
            self.query_key_value = nn.Linear(width, 3 * width, bias=False)
            self.output = nn.Linear(width, width, bias=False)
            self.inner_norm = nn.LayerNorm(width, bias=False)
            self.inner = nn.Linear(width, 4 * width, bias=False)
            self.outer = nn.Linear(4 * width, width, bias=False)

        def forward(self, x):
            batch, time, width = x.shape
            heads = self.query_key_value(self.attention_norm(x))
            heads = heads.view(batch, time, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            y = functional.scaled_dot_product_attention(*heads.unbind(0), is_causal=True)
            x = x + self.output(y.transpose(1, 2).reshape(batch, time, width))
            return x + self.outer(functional.gelu(self.inner(self.inner_norm(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens = nn.Embedding(VOCABULARY, case["width"])
            self.positions = nn.Parameter(0.02 * torch.randn(case["time"], case["width"]))
            blocks = (Block(case["width"], case["heads"]) for _ in range(case["layers"]))
            self.blocks = nn.Sequential(*blocks)
            self.norm = nn.LayerNorm(case["width"], bias=False)

        def forward(self, tokens, targets):
            x = self.norm(self.blocks(self.tokens(tokens) + self.positions))
            logits = functional.linear(x, self.tokens.weight)
            return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return Model()


def torch_system(system, case):
    import torch

    torch.set_num_threads(case["threads"])
    model = torch_model(case)
    weights = list(model.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": ADAMW["weight_decay"]},
        {"params": [w for w in weights if w.ndim == 1], "weight_decay": 0.0},
    ]
    betas = (ADAMW["beta_1"], ADAMW["beta_2"])
    fused = system != "torch"
    optimizer = torch.optim.AdamW(groups, ADAMW["learning_rate"], betas, fused=fused)
    forward = torch.compile(model) if system == "torch_compiled" else model
    x, y = (torch.from_numpy(a).long() for a in batches(case))

    def run():
        for tokens, targets in zip(x, y, strict=True):
            loss = forward(tokens, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, ADAMW["clip"])
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return run, case["steps"]


def serve(system):
    """Answer `{"prepare": case}` and `{"run": true}`, a line each, with lines of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "prepare" in request:
                build = torch_system if system.startswith("torch") else keras_system
                run, steps = build(system, request["prepare"])
                run()
                run()
            began = time.perf_counter()
            run()
            answer = {"seconds": (time.perf_counter() - began) / steps}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        print(json.dumps(answer), file=answers, flush=True)


class Worker:
    """A process that runs one system."""

    def __init__(self, system, options):
        threads = str(options.threads)
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", system],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if options.verbose else subprocess.DEVNULL,
            env={**environment, "OMP_NUM_THREADS": threads},
            text=True,
        )

    def ask(self, request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "its process ended"}

    def stop(self):
        self.process.kill()
        self.process.wait()


def measure(case, options):
    """Seconds a step of every system that runs: dict from system to list."""
    workers, seconds = {}, {}
    try:
        for system in options.systems:
            say(f"{SYSTEMS[system]} compiles")
            worker = Worker(system, options)
            answer = worker.ask({"prepare": case})
            if "error" in answer:
                print(f"left out: {SYSTEMS[system]} ({answer['error']})")
                worker.stop()
            else:
                workers[system], seconds[system] = worker, []
        for i in range(options.rounds):
            for system, worker in workers.items():
                say(f"round {i + 1} of {options.rounds}, {SYSTEMS[system]}")
                time.sleep(options.pause)  # threads of the last system spin for a while
                seconds[system].append(worker.ask({"run": True})["seconds"])
        say("")
    finally:
        for worker in workers.values():
            worker.stop()
    return seconds


def report(seconds):
    medians = {system: statistics.median(values) for system, values in seconds.items()}
    own = medians.get("keras_seq", next(iter(medians.values())))
    print(f"{'system':<34}{'ms a step':>11}{'fastest':>9}   {'against the first':>18}")
    for system, median in medians.items():
        fastest = 1e3 * min(seconds[system])
        ratio = f"{median / own:.2f}x the time"
        print(f"{SYSTEMS[system]:<34}{1e3 * median:>11.1f}{fastest:>9.1f}   {ratio:>18}")
    for peer in ("torch", "keras_hub"):
        peers = [median for system, median in medians.items() if system.startswith(peer)]
        if peers and "keras_seq" in medians:
            name = {"torch": "PyTorch", "keras_hub": "KerasHub"}[peer]
            print(f"keras_seq is {min(peers) / own:.2f}x as fast as the best of {name}")
    print(flush=True)


def say(text):
    """Show progress on one line of a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<90.90}", end="" if text else "\r", file=sys.stderr, flush=True)


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds before each run")
    parser.add_argument("--verbose", action="store_true", help="show what the systems print")
    parser.add_argument("--serve", choices=SYSTEMS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    if options.serve:
        serve(options.serve)
        return
    for name in options.models:
        case = {**MODELS[name], "threads": options.threads}
        sizes = "{layers} layers, {heads} heads, {width} wide, T {time}, B {batch}".format(**case)
        print(f"{name}: {sizes}")
        report(measure(case, options))


if __name__ == "__main__":
    main()

"""Write text character by character: a recurrent network (GRU) that has read Python's own help pages.

    python examples/char_gru.py [--steps 1200] [--seed 0] [--write 400]

Training steps unroll nothing: time is a scan, compiled to a native loop for any length. Writing is one call as well: a
scan whose carry is the last character and the network's state, with random numbers drawn inside.
"""

import argparse
import time

import numpy as np
from topics import Text
from tqdm import tqdm

import graphc as gx

BATCH, LENGTH = 32, 64


class Network(gx.nn.Module):
    """Embedding, GRU, and a linear map to the scores of the next character."""

    def __init__(self, characters: int, width: int) -> None:
        self.embedding = gx.nn.Embedding(characters, 64)
        self.gru = gx.nn.GRU(64, width)
        self.scores = gx.nn.Linear(width, characters)

    def forward(self, codes: gx.Tensor, state: gx.Tensor | None = None) -> tuple[gx.Tensor, gx.Tensor]:
        """Return scores [time, batch, characters] of what follows codes [time, batch], and the last state."""
        outputs, state = self.gru(self.embedding(codes), state)
        return self.scores(outputs), state


def writer(model: Network, width: int, length: int, stream: gx.random.Stream, temperature: float) -> gx.Executable:
    """Return a function from a first character to `length` characters, each drawn after all before it."""
    first = gx.placeholder((), "int64", name="first")

    def write(carry: tuple[gx.Tensor, gx.Tensor], _: None) -> tuple[tuple[gx.Tensor, gx.Tensor], gx.Tensor]:
        code, state = carry
        scores, state = model(gx.reshape(code, (1, 1)), state)
        drawn = stream.categorical(scores[0, 0] / temperature)
        return (drawn, state), drawn

    _, codes = gx.scan(write, (first, gx.zeros((1, 1, width), "float32")), length=length)
    return gx.compile([first], codes, name="write")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a recurrent network on Python's help and let it write.")
    parser.add_argument("--steps", type=int, default=1200, help="training steps (default: 1200)")
    parser.add_argument("--width", type=int, default=256, help="size of the network's state (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--write", type=int, default=400, help="characters to write in the end (default: 400)")
    options = parser.parse_args()
    text, rng = Text(), np.random.default_rng(options.seed)
    gx.nn.seed(options.seed)
    model = Network(len(text.characters), options.width)
    print(f"{model.count_parameters()} parameters, {len(text.train)} characters to learn from")

    windows = gx.placeholder(("batch", "length"), "int64", name="windows")
    scores, _ = model(gx.transpose(windows[:, :-1]))
    loss = gx.nn.cross_entropy(scores, gx.transpose(windows[:, 1:]))
    optimizer = gx.optim.Adam(gx.optim.cosine_decay(4e-3, options.steps, warmup=options.steps // 20))
    updates = optimizer.updates(loss, model, max_norm=1.0)
    step = gx.compile([windows], loss, updates=updates, name="step")
    measure = gx.compile([windows], loss, name="measure")

    start, recent = time.perf_counter(), []
    progress = tqdm(text.batches(options.steps, BATCH, LENGTH, rng), total=options.steps, disable=None)
    for batch in progress:
        recent = [*recent[-49:], float(step(batch))]
        progress.set_postfix(bits=f"{np.mean(recent) / np.log(2):.2f}")
    seconds = time.perf_counter() - start
    # The same code serves longer windows, on which the network has not been trained.
    bits = float(measure(text.held_out(64, 4 * LENGTH))) / np.log(2)
    print(f"bits per character {bits:.3f} on text not trained with, after {seconds:.1f} s")

    write = writer(model, options.width, options.write, gx.random.Stream(options.seed), temperature=0.6)
    print(text.decode(write(text.characters.index("T"))))


if __name__ == "__main__":
    main()

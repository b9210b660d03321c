"""Write text character by character: a small transformer that has read Python's own help pages.

    python examples/char_transformer.py [--steps 2000] [--seed 0] [--write 300]

The network is built once over windows of any length. Writing is one call: a scan whose carry is the text so far.
"""

import argparse
import time

import numpy as np
from topics import Text
from tqdm import tqdm

import graphc as gx

BATCH, LENGTH = 16, 64


class Network(gx.nn.Module):
    """Embeddings of characters and places, blocks of causal attention, and a linear map to scores."""

    def __init__(self, characters: int, width: int, heads: int, blocks: int) -> None:
        self.characters = gx.nn.Embedding(characters, width)
        self.places = gx.nn.Embedding(LENGTH, width)
        self.blocks = [
            gx.nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.02, activation="gelu", norm_first=True)
            for _ in range(blocks)
        ]
        self.norm = gx.nn.LayerNorm(width)
        self.scores = gx.nn.Linear(width, characters)
        for table in (self.characters, self.places):
            table.weight.assign(0.1 * table.weight.value)

    def forward(self, codes: gx.Tensor) -> gx.Tensor:
        """Return scores [batch, time, characters] of what follows codes [batch, time], which is at most LENGTH long."""
        x = self.characters(codes) + self.places(gx.arange(codes.shape[1]))
        for block in self.blocks:
            x = block(x, is_causal=True)
        return self.scores(self.norm(x))


def writer(model: Network, length: int, stream: gx.random.Stream, temperature: float) -> gx.Executable:
    """Return a function from a beginning of LENGTH characters to `length` more, each drawn after those before it."""
    beginning = gx.placeholder((LENGTH,), "int64", name="beginning")

    def write(window: gx.Tensor, _: None) -> tuple[gx.Tensor, gx.Tensor]:
        drawn = stream.categorical(model(window[None])[0, -1] / temperature)
        return gx.concat([window[1:], drawn[None]]), drawn

    _, codes = gx.scan(write, beginning, length=length)
    return gx.compile([beginning], codes, name="write")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small transformer on Python's help and let it write.")
    parser.add_argument("--steps", type=int, default=2000, help="training steps (default: 2000)")
    parser.add_argument("--width", type=int, default=96, help="size of what stands for a character (default: 96)")
    parser.add_argument("--blocks", type=int, default=2, help="blocks of attention (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--write", type=int, default=300, help="characters to write in the end (default: 300)")
    options = parser.parse_args()
    text, rng = Text(), np.random.default_rng(options.seed)
    gx.nn.seed(options.seed)
    model = Network(len(text.characters), options.width, 4, options.blocks)
    print(f"{model.count_parameters()} parameters, {len(text.train)} characters to learn from")

    windows = gx.placeholder(("batch", LENGTH + 1), "int64", name="windows")
    loss = gx.nn.cross_entropy(model(windows[:, :-1]), windows[:, 1:])
    schedule = gx.optim.cosine_decay(5e-3, options.steps, end=2e-4, warmup=options.steps // 10)
    optimizer = gx.optim.AdamW(schedule, betas=(0.9, 0.98), weight_decay=0.02)
    updates = optimizer.updates(loss, model, max_norm=1.0)
    step = gx.compile([windows], loss, updates=updates, name="step")
    model.eval()  # what is built from here on drops nothing
    test_loss = gx.nn.cross_entropy(model(windows[:, :-1]), windows[:, 1:])
    measure = gx.compile([windows], test_loss, name="measure")

    start, recent = time.perf_counter(), []
    progress = tqdm(text.batches(options.steps, BATCH, LENGTH, rng), total=options.steps, disable=None)
    for batch in progress:
        recent = [*recent[-49:], float(step(batch))]
        progress.set_postfix(bits=f"{np.mean(recent) / np.log(2):.2f}")
    seconds = time.perf_counter() - start
    bits = float(measure(text.held_out(256, LENGTH))) / np.log(2)
    print(f"bits per character {bits:.3f} on text not trained with, after {seconds:.1f} s")

    write = writer(model, options.write, gx.random.Stream(options.seed), temperature=0.6)
    beginning = text.test[2000 : 2000 + LENGTH]
    print(text.decode(beginning) + "|" + text.decode(write(beginning)))


if __name__ == "__main__":
    main()

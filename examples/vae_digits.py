"""A variational autoencoder of handwritten digits: random numbers inside the graph, and new digits drawn in characters.

    python examples/vae_digits.py [--epochs 60] [--seed 0]

An encoder gives the mean and spread of a code for each image, a decoder makes an image of a code drawn from that; the
loss is a bound on the probability of the images (Kingma and Welling, arXiv:1312.6114). New codes give new digits.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import graphc as gx

BATCH, PIXELS = 64, 64
SHADES = " .:-=+*#%@"


class Autoencoder(gx.nn.Module):
    """An encoder to the mean and the logarithm of the variance of a code, and a decoder to logits of pixels."""

    def __init__(self, width: int, code: int, seed: int) -> None:
        self.encoder = gx.nn.Sequential(gx.nn.Linear(PIXELS, width), gx.nn.SiLU(), gx.nn.Linear(width, 2 * code))
        self.decoder = gx.nn.Sequential(gx.nn.Linear(code, width), gx.nn.SiLU(), gx.nn.Linear(width, PIXELS))
        self.stream, self.code = gx.random.Stream(seed), code

    def bound(self, x: gx.Tensor) -> tuple[gx.Tensor, gx.Tensor]:
        """Return, per image, how badly it is made again, and how far its code is from standard normal, in nats."""
        encoded = self.encoder(x)
        mean, log_var = encoded[:, : self.code], encoded[:, self.code :]
        drawn = mean + gx.exp(0.5 * log_var) * self.stream.normal(mean.shape, dtype=mean.dtype)
        pixels = gx.nn.binary_cross_entropy_with_logits(self.decoder(drawn), x, "none")
        distance = 0.5 * (mean**2 + gx.exp(log_var) - 1.0 - log_var)
        return gx.mean(gx.sum(pixels, axis=1)), gx.mean(gx.sum(distance, axis=1))

    def draw(self, count: int) -> gx.Tensor:
        """Return new images."""
        return gx.nn.sigmoid(self.decoder(self.stream.normal((count, self.code), dtype="float32")))


def written(images: np.ndarray) -> str:
    """Return images of 8 by 8 pixels from 0 to 1 side by side in characters."""
    shades = np.minimum((images * len(SHADES)).astype(int), len(SHADES) - 1).reshape(-1, 8, 8)
    return "\n".join("   ".join("".join(SHADES[s] * 2 for s in image[row]) for image in shades) for row in range(8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a variational autoencoder on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the training digits (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    gx.nn.seed(options.seed)
    images = (load_digits().data / 16.0).astype(np.float32)
    train, test = train_test_split(images, test_size=1 / 3, random_state=0)

    model = Autoencoder(width=256, code=8, seed=options.seed)
    x = gx.placeholder(("batch", PIXELS), name="images")
    pixels, distance = model.bound(x)
    loss = pixels + distance
    optimizer = gx.optim.Adam(gx.optim.cosine_decay(3e-3, options.epochs * (len(train) // BATCH)))
    step = gx.compile([x], loss, updates=optimizer.updates(loss, model), name="step")
    measure = gx.compile([x], {"pixels": pixels, "distance": distance}, name="measure")

    start = time.perf_counter()
    before = measure(test)
    progress = tqdm(range(options.epochs), desc="training", unit="epoch", disable=None)
    for _ in progress:
        order = rng.permutation(len(train))
        losses = [float(step(train[order[k : k + BATCH]])) for k in range(0, len(train) - BATCH + 1, BATCH)]
        progress.set_postfix(nats=f"{np.mean(losses):.2f}")
    after = measure(test)
    seconds = time.perf_counter() - start
    print(f"nats per image  {sum(before.values()):.2f} before, {sum(after.values()):.2f} after {seconds:.1f} s")
    print(f"of which pixels {after['pixels']:.2f}, code {after['distance']:.2f}, on images not trained with\n")
    print(written(gx.compile([], model.draw(6), name="draw")()))


if __name__ == "__main__":
    main()

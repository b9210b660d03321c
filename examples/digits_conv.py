"""Recognise handwritten digits with a convolutional network: modules, batch normalisation, a schedule, a checkpoint.

    python examples/digits_conv.py [--epochs 15] [--seed 0] [--save digits.safetensors]

The 1,797 digits of 8 by 8 pixels come with scikit-learn; two thirds of them are learned, the rest is the test.
"""

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import graphc as gx

BATCH = 32


def block(inputs: int, outputs: int) -> gx.nn.Module:
    """Return a convolution that keeps the size of images, normalised, with relu."""
    return gx.nn.Sequential(
        gx.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), gx.nn.BatchNorm(outputs), gx.nn.ReLU()
    )


def network() -> gx.nn.Module:
    """Return a network from images [N, 1, 8, 8] to scores [N, 10]."""
    return gx.nn.Sequential(
        block(1, 16),
        block(16, 32),
        gx.nn.MaxPool2d(2),
        block(32, 64),
        gx.nn.MaxPool2d(2),
        gx.nn.Flatten(),
        gx.nn.Linear(64 * 2 * 2, 10),
    )


def load_data() -> list[np.ndarray]:
    """Return images to train and test with, then their labels; pixels run from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=1 / 3, stratify=labels, random_state=0)


def moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the images, each by up to one pixel to the side: more to learn from."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifts = rng.integers(0, 3, size=(len(images), 2))
    return np.stack([image[:, i : i + 8, j : j + 8] for image, (i, j) in zip(padded, shifts, strict=True)])


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=15, help="passes over the training digits (default: 15)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, order and shifts (default: 0)")
    parser.add_argument("--save", help="a file for the state of the network and its optimiser (needs graphc[io])")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    gx.nn.seed(options.seed)
    images, test_images, labels, test_labels = load_data()
    batches = len(images) // BATCH

    model = network()
    print(model)
    print(f"{model.count_parameters()} parameters")
    x = gx.placeholder(("batch", 1, 8, 8), name="images")
    y = gx.placeholder(("batch",), "int64", name="labels")
    loss = gx.nn.cross_entropy(model(x), y, label_smoothing=0.05)
    optimizer = gx.optim.AdamW(gx.optim.cosine_decay(4e-3, options.epochs * batches, warmup=batches), weight_decay=0.01)
    step = gx.compile([x, y], loss, updates=optimizer.updates(loss, model), name="step")
    # In evaluation, images are normalised by the statistics that training has gathered.
    predict = gx.compile([x], gx.argmax(model.eval()(x), axis=1), name="predict")

    start = time.perf_counter()
    progress = tqdm(range(options.epochs), desc="training", unit="epoch", disable=None)
    for _ in progress:
        order = rng.permutation(len(images))[: batches * BATCH].reshape(batches, BATCH)
        losses = [float(step(moved(images[rows], rng), labels[rows])) for rows in order]
        progress.set_postfix(loss=f"{np.mean(losses):.3f}")
    seconds = time.perf_counter() - start
    accuracy = np.mean(predict(test_images) == test_labels)
    print(f"test accuracy {accuracy:.4f} on {len(test_labels)} digits not trained with, after {seconds:.1f} s")
    if options.save:
        gx.nn.save({"model": model, "optimizer": optimizer}, options.save)
        print(f"saved to {options.save}")


if __name__ == "__main__":
    main()

"""Recognise handwritten digits: a whole training program, from data to pictures of the graphs that ran.

    python examples/digits.py [--epochs 20] [--seed 0] [--out build/demo]

The 1,797 digits of 8 by 8 pixels come with scikit-learn. A network 64-128-64-10 learns two thirds of them by gradient
descent with momentum and is tested on the rest. Then the compiled step is timed against the same graph run node by node
on NumPy, and everything worth a look is written to the output folder.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import tqdm

import graphc as gx
from graphc.inspect.draw import write_svg

LAYERS = (64, 128, 64, 10)
BATCH = 64
LEARNING_RATE = 0.05
MOMENTUM = 0.9


def load_data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images and labels to train with, then those held out; pixels run from 0 to 1."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16.0).astype(np.float32)
    split = train_test_split(images, labels, test_size=1 / 3, stratify=labels, random_state=0)
    train_images, test_images, train_labels, test_labels = split
    return train_images, train_labels, test_images, test_labels


def make_parameters(rng: np.random.Generator) -> list[gx.Tensor]:
    """Return weights and bias of each layer as variables."""
    parameters = []
    for k, (fan_in, fan_out) in enumerate(pairwise(LAYERS)):
        scale = np.sqrt(2.0 / fan_in)
        parameters.append(gx.variable(rng.normal(0.0, scale, (fan_in, fan_out)).astype(np.float32), name=f"w{k}"))
        parameters.append(gx.variable(np.zeros(fan_out, np.float32), name=f"b{k}"))
    return parameters


def network(x: gx.Tensor, parameters: list[gx.Tensor]) -> gx.Tensor:
    """Return the score of each of the ten digits for every image in x."""
    *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
    for w, b in hidden:
        x = gx.nn.relu(x @ w + b)
    w, b = last
    return x @ w + b


def momentum_updates(loss: gx.Tensor, parameters: list[gx.Tensor]) -> dict[gx.Tensor, gx.Tensor]:
    """Return the new value of each parameter, and of its velocity, after one step of gradient descent."""
    updates = {}
    for p, gradient in zip(parameters, gx.gradients(loss, parameters), strict=True):
        velocity = gx.variable(np.zeros_like(p.value), name=f"{p.name}_velocity", trainable=False)
        updates[velocity] = new_velocity = MOMENTUM * velocity + gradient
        updates[p] = p - LEARNING_RATE * new_velocity
    return updates


def batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield the numbers 0 .. count-1 in random order, in batches of which the last may be smaller."""
    order = rng.permutation(count)
    for start in range(0, count, BATCH):
        yield order[start : start + BATCH]


def median_times(functions: list[Callable[..., object]], arguments: tuple[np.ndarray, ...], rounds: int) -> list[float]:
    """Return the median seconds of a call of each function; they take turns, so that all see the same machine."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, record in zip(functions, times, strict=True):
            start = time.perf_counter()
            function(*arguments)
            record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]


def write_loss_curve(losses: list[float], path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.semilogy(losses, linewidth=0.8)
    axes.set(title="Handwritten digits", xlabel="training step", ylabel="cross-entropy of the batch")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small network on handwritten digits and show how it ran.")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training digits (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first weights and of the order (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="output folder (default: build/demo)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    images, labels, test_images, test_labels = load_data()

    # Build: symbolic inputs of any batch size, the network, its loss, and what a step changes.
    x = gx.placeholder(("batch", LAYERS[0]), "float32", name="x")
    y = gx.placeholder(("batch",), "int64", name="y")
    parameters = make_parameters(rng)
    scores = network(x, parameters)
    loss = gx.nn.cross_entropy(scores, y)
    updates = momentum_updates(loss, parameters)

    # Compile: one function to train, one to predict, one that only measures the loss.
    step = gx.compile([x, y], loss, updates=updates, name="training_step")
    predict = gx.compile([x], scores, name="predict")
    measure = gx.compile([x, y], loss, name="forward")

    # Run.
    losses = []
    for _ in tqdm(range(options.epochs), desc="training", unit="epoch", disable=None):
        losses += [float(step(images[rows], labels[rows])) for rows in batches(len(images), rng)]
    accuracy = np.mean(np.argmax(predict(test_images), axis=1) == test_labels)
    print(f"test accuracy   {accuracy:.4f} on {len(test_labels)} digits not trained with")

    # Compare with the same graph run node by node on NumPy.
    by_node = gx.compile([x, y], loss, updates=updates, name="training_step", backend="eager")
    batch = (images[:BATCH], labels[:BATCH])
    measure(*batch)
    compiled, eager = median_times([step, by_node], batch, rounds=300)
    before, after = (len(step.graph(stage).nodes) for stage in ("graph", "optimized"))
    print(
        f"step, batch {BATCH}  {compiled * 1e6:.0f} us compiled, {eager * 1e6:.0f} us eager: {eager / compiled:.1f} x"
    )
    print(f"compile time    {step.compile_seconds:.2f} s")
    print(f"graph           {before} nodes as built, {after} as optimised")

    write_loss_curve(losses, options.out / "loss.png")
    (options.out / "training_step.ll").write_text(step.text("llvm"))
    (options.out / "training_step.txt").write_text(str(step.explain()))
    for executable, name in ((measure, "forward"), (step, "training_step")):
        for stage, suffix in (("graph", "as_built"), ("optimized", "optimized")):
            write_svg(
                executable.graph(stage), options.out / f"{name}_{suffix}.svg", f"{name}, {suffix}".replace("_", " ")
            )
    print(f"written to      {options.out}/: " + ", ".join(sorted(p.name for p in options.out.iterdir())))


if __name__ == "__main__":
    main()

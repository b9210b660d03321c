"""Bundle adjustment: cameras and points in space from where the points are seen, by Levenberg-Marquardt.

    python examples/bundle_adjustment.py [--cameras 8] [--points 300]

Each observation depends on one camera (9 numbers) and one point (3), so the Jacobian has a block of 2 by 12 for it and
zeros elsewhere. The blocks are the forward-mode Jacobian of one projection, mapped over all observations, and the sums
of their products, by camera and by point, are made in the same call (Triggs et al., Bundle Adjustment, 2000).
"""

import argparse

import numpy as np

import graphc as gx


def rotated(omega: gx.Tensor, x: gx.Tensor) -> gx.Tensor:
    """Return x turned by the angle |omega| about the axis omega (Rodrigues), smooth at angle 0."""
    angle = gx.sqrt(gx.sum(omega * omega) + 1e-24)
    half = gx.sin(0.5 * angle) / (0.5 * angle)
    cross = gx.stack([
        omega[1] * x[2] - omega[2] * x[1], omega[2] * x[0] - omega[0] * x[2], omega[0] * x[1] - omega[1] * x[0],
    ])  # fmt: skip
    along = omega * gx.sum(omega * x)
    return gx.cos(angle) * x + gx.sin(angle) / angle * cross + 0.5 * half * half * along


def projected(camera: gx.Tensor, point: gx.Tensor) -> gx.Tensor:
    """Return where a camera sees a point: rotation[3], translation[3], focal length, two terms of distortion."""
    seen = rotated(camera[:3], point) + camera[3:6]
    flat = -seen[:2] / seen[2]
    radius = gx.sum(flat * flat)
    return camera[6] * (1 + radius * (camera[7] + radius * camera[8])) * flat


def normal_equations(cameras, points, of_camera, of_point, pixels) -> dict[str, gx.Tensor]:
    """Return the cost, and the blocks of J^T J and of J^T r: by camera, by point, and where both meet."""
    own_cameras, own_points = cameras[of_camera], points[of_point]
    r = gx.vmap(projected)(own_cameras, own_points) - pixels
    jc, jp = gx.vmap(gx.jacfwd(projected, argnums=(0, 1)))(own_cameras, own_points)
    jct, jpt = gx.matrix_transpose(jc), gx.matrix_transpose(jp)

    def summed(blocks: gx.Tensor, places: gx.Tensor, like: gx.Tensor) -> gx.Tensor:
        return gx.zeros((like.shape[0], *blocks.shape[1:]), "float64").at[places].add(blocks)

    return {
        "cost": 0.5 * gx.sum(r * r),
        "jacobian": (jc, jp),
        "cameras": summed(jct @ jc, of_camera, cameras),
        "points": summed(jpt @ jp, of_point, points),
        "both": jct @ jp,
        "camera_slope": summed((jct @ r[..., None])[..., 0], of_camera, cameras),
        "point_slope": summed((jpt @ r[..., None])[..., 0], of_point, points),
    }


def step_of(made: dict, of_camera: np.ndarray, of_point: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the damped Gauss-Newton step; points are eliminated first, each by its own block of 3 by 3."""
    c, p = len(made["cameras"]), len(made["points"])
    u, v = (m + damping * m * np.eye(m.shape[-1]) for m in (made["cameras"], made["points"]))
    inverse = np.linalg.inv(v)
    w = np.zeros((c, 9, p, 3))
    w[of_camera, :, of_point] = made["both"]
    wv = np.einsum("capj,pjk->capk", w, inverse)
    schur = -np.einsum("capk,dbpk->cadb", wv, w)
    schur[np.arange(c), :, np.arange(c)] += u
    right = np.einsum("capk,pk->ca", wv, made["point_slope"]) - made["camera_slope"]
    cameras = np.linalg.solve(schur.reshape(9 * c, 9 * c), right.ravel()).reshape(c, 9)
    points = -np.einsum("pjk,pk->pj", inverse, made["point_slope"] + np.einsum("capk,ca->pk", w, cameras))
    return cameras, points


def scene(cameras: int, points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return cameras in a row before a cloud of points; they look along the negative third axis."""
    rotations, places = rng.normal(0, 0.15, (cameras, 3)), rng.normal(0, 0.5, (cameras, 3)) - [0, 0, 8]
    lenses = np.stack([rng.uniform(450, 550, cameras), rng.normal(0, 0.05, cameras), rng.normal(0, 0.02, cameras)], 1)
    return np.concatenate([rotations, places, lenses], axis=1), rng.uniform(-2, 2, (points, 3))


def main() -> None:
    parser = argparse.ArgumentParser(description="Find cameras and points from where the points are seen.")
    parser.add_argument("--cameras", type=int, default=8, help="how many cameras (default: 8)")
    parser.add_argument("--points", type=int, default=300, help="how many points (default: 300)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    true_cameras, true_points = scene(options.cameras, options.points, rng)
    seen = rng.uniform(size=(options.cameras, options.points)) < 0.7
    for k in range(2):  # two cameras at least see each point
        seen[(np.arange(options.points) + k) % options.cameras, np.arange(options.points)] = True
    of_camera, of_point = (a.astype(np.int64) for a in np.nonzero(seen))
    pixels = gx.jit(gx.vmap(projected))(true_cameras[of_camera], true_points[of_point])

    inputs = [
        gx.placeholder(("c", 9), "float64", name="cameras"), gx.placeholder(("p", 3), "float64", name="points"),
        gx.placeholder(("n",), "int64", name="of_camera"), gx.placeholder(("n",), "int64", name="of_point"),
        gx.placeholder(("n", 2), "float64", name="pixels"),
    ]  # fmt: skip
    build = gx.compile(inputs, normal_equations(*inputs), name="normal_equations")

    cameras = true_cameras + rng.normal(0, 1, true_cameras.shape) * [*[0.02] * 3, *[0.1] * 3, 10, 0.01, 0.01]
    points = true_points + rng.normal(0, 0.1, true_points.shape)
    made, damping = build(cameras, points, of_camera, of_point, pixels), 1e-3
    blocks = sum(b.size for b in made["jacobian"])
    print(f"{len(pixels)} observations: the Jacobian has {blocks} numbers in blocks, "
          f"{pixels.size * (cameras.size + points.size)} with its zeros")  # fmt: skip
    print(f"start   error {np.sqrt(2 * made['cost'] / len(pixels)):.2e} pixels")
    for k in range(30):
        by_cameras, by_points = step_of(made, of_camera, of_point, damping)
        tried = build(cameras + by_cameras, points + by_points, of_camera, of_point, pixels)
        if tried["cost"] >= made["cost"]:
            damping *= 10
            continue
        cameras, points, made, damping = cameras + by_cameras, points + by_points, tried, damping / 10
        error = np.sqrt(2 * made["cost"] / len(pixels))
        print(f"step {k:2d} error {error:.2e} pixels, damping {damping:.0e}")
        if error < 1e-9:
            break


if __name__ == "__main__":
    main()

"""dtypes and constants of the array API standard."""

import numpy as np
import pytest

import graphc as gx


def test_names():
    integers = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    for name in ("bool", *integers, "float32", "float64"):
        assert getattr(gx, name) == np.dtype(name)
        assert gx.zeros((1,), dtype=getattr(gx, name)).dtype == np.dtype(name)
    assert (gx.pi, gx.e, gx.inf, gx.newaxis) == (np.pi, np.e, np.inf, None)
    assert np.isnan(gx.nan)


def test_questions():
    x = gx.placeholder((2,), "int32")
    assert gx.can_cast(x, "float64")
    assert not gx.can_cast("float64", gx.float32)
    assert gx.iinfo(x).max == 2**31 - 1
    assert gx.finfo(gx.float64).eps == np.finfo("float64").eps
    assert gx.isdtype(x.dtype, "signed integer")
    with pytest.raises(gx.DTypeError):
        gx.finfo("float16")


def test_namespace():
    assert gx.placeholder((2,)).__array_namespace__() is gx
    assert gx.__array_api_version__ == "2024.12"

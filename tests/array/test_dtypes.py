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


def test_limits_are_python_numbers():
    for dtype in ("float32", "float64"):
        found, expected = gx.finfo(dtype), np.finfo(dtype)
        assert type(found.eps) is float
        for name in ("bits", "eps", "epsneg", "max", "min", "smallest_normal", "smallest_subnormal", "nmant", "minexp"):
            assert getattr(found, name) == getattr(expected, name)
    for dtype in ("int8", "uint64"):
        found, expected = gx.iinfo(dtype), np.iinfo(dtype)
        assert (found.bits, found.min, found.max) == (expected.bits, expected.min, expected.max)
    with pytest.raises(gx.DTypeError, match="use iinfo"):
        gx.finfo("int8")
    with pytest.raises(gx.DTypeError, match="use finfo"):
        gx.iinfo("float32")


def test_kinds():
    for dtype in ("bool", "int8", "uint64", "float32"):
        for kind in ("bool", "signed integer", "unsigned integer", "integral", "real floating", "numeric"):
            assert gx.isdtype(dtype, kind) == np.isdtype(np.dtype(dtype), kind)
    assert gx.isdtype(gx.int8, (gx.float32, gx.int8))
    assert not gx.isdtype(gx.float32, "complex floating")
    with pytest.raises(gx.ArgumentError, match="'floating'"):
        gx.isdtype(gx.float32, "floating")


def test_promotion():
    assert gx.promote_types("int32", gx.float32) == np.float64
    assert gx.can_cast("float64", "float32", casting="same_kind")
    assert gx.issubdtype(gx.placeholder((), "int8").dtype, np.integer)
    assert gx.isrealobj(gx.placeholder(()))
    assert not gx.iscomplexobj(1.0)
    assert gx.iscomplexobj(1j)
    with pytest.raises(gx.ArgumentError):
        gx.result_type()
    with pytest.raises(gx.ArgumentError):
        gx.can_cast("int8", "int16", casting="sure")


def test_complex_dtypes_come_later():
    for use in (
        lambda: gx.zeros(3, dtype="complex64"),
        lambda: gx.asarray([1j]),
        lambda: gx.ones((2,)) * 1j,
        lambda: gx.astype(gx.ones((2,)), "complex128"),
        lambda: gx.promote_types("complex64", "int8"),
        lambda: gx.result_type(gx.float32, 1j),
        lambda: gx.isclose(gx.ones(3), 1j),
        lambda: gx.linspace(0, 1j, 3),
    ):
        with pytest.raises(gx.GraphcError, match=r"comes in a later version|come later"):
            use()


def test_what_the_namespace_can_do():
    info = gx.__array_namespace_info__()
    assert info.devices() == [info.default_device()] == ["cpu"]
    assert set(info.dtypes()) == {d.name for d in info.dtypes(kind=("bool", "numeric")).values()}
    assert set(info.dtypes(kind="integral")) == {f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)}
    assert info.dtypes(kind="complex floating") == {}
    assert gx.zeros(3).dtype == info.default_dtypes(device="cpu")["real floating"]
    assert gx.argmax(gx.zeros(3)).dtype == info.default_dtypes()["indexing"]
    with pytest.raises(gx.ArgumentError):
        info.dtypes(kind="real")
    with pytest.raises(gx.ArgumentError):
        gx.zeros(3, device="gpu")

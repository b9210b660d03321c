"""Reading and writing the values of nodes in a kernel under construction."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.errors import Location
from graphc.ir.graph import Elementwise, Gather, Node, View, known_value
from graphc.ir.index import Index, Position, flatten, indexed, known_index, source_position, trace
from graphc.ir.loops import Apply, Buffer, Check, Const, Expr, Let, Load, Stmt, Store, Var, add, apply, const
from graphc.ir.types import BOOL, INT64, TensorType
from graphc.lower.scalars import cast, scalar_expr
from graphc.lower.work import Operand, Sites
from graphc.ops.index import in_range


class Operands:
    """The arrays of a kernel, flat, in the order of first use, what its checks refer to, and how arrays are read:
    at which indices, and in which phase for the last time."""

    def __init__(self) -> None:
        self.buffers: dict[Operand, Buffer] = {}
        self.sites = Sites()
        self.read_exactly: dict[Operand, set[Index]] = {}
        self.phase = 0
        self.last_read: dict[Operand, int] = {}

    def buffer(self, operand: Operand) -> Buffer:
        """Return the kernel's parameter for an array."""
        found = self.buffers.get(operand)
        if found is None:
            type = operand.type
            assert isinstance(type, TensorType)
            name = f"{operand.op.name}{len(self.buffers)}" if isinstance(operand, Node) else f"t{len(self.buffers)}"
            found = Buffer(name, TensorType(type.dtype, (int(type.size),)))
            self.buffers[operand] = found
        return found

    def load(self, source: Node, position: Position) -> Expr:
        """Return the element of an array in memory."""
        if is_number(source):
            return const(number_of(source), source.dtype)
        flat = flatten(position, source.shape)
        self.read_exactly.setdefault(source, set()).add(flat)
        self.last_read[source] = self.phase
        return Load(self.buffer(source), (flat.to_expr(),))

    def read(self, node: Node, position: Position) -> Expr:
        """Return the element of a node that this kernel does not compute, through views."""
        source, position = trace(node, position)
        if isinstance(source.op, Elementwise) and source.op.scalar == "index" and source.is_leaf:
            return cast(position[source.attrs["axis"]].to_expr(), source.dtype)
        return self.load(source, position)

    def store(self, node: Operand, position: Position, value: Expr) -> Stmt:
        """Return the statement that writes an element of an array."""
        type = node.type
        assert isinstance(type, TensorType)
        flat = flatten(position, type.shape)  # type: ignore[arg-type]
        return Store(self.buffer(node), (flat.to_expr(),), value)

    def compute(self, node: Node, args: tuple[Expr, ...], position: Position) -> tuple[list[Stmt], Expr]:
        """Return the value of an elementwise, padded or gathered node at a position, and what comes before it."""
        if isinstance(node.op, View):
            return [], self._padded(node, position)
        if isinstance(node.op, Gather):
            return self._gathered(node, args, position)
        if isinstance(node.op, Elementwise) and node.op.scalar == "check_index":
            size, wrap = node.attrs["size"], node.attrs["wrap"]
            return self._checked_index(args[0], size, wrap, node.location)
        return [], scalar_expr(node, args)

    def _gathered(self, node: Node, args: tuple[Expr, ...], position: Position) -> tuple[list[Stmt], Expr]:
        """Read the source at indices that are checked here, unless they are known to be in range."""
        source, *indices = node.inputs
        axes, rank = node.attrs["axes"], indices[0].ndim
        checks: list[Stmt] = []
        at: list[Index] = []
        for axis, index, arg in zip(axes, indices, args, strict=True):
            found, place = self._index(node, index, arg, source.shape[axis], position[:rank])
            checks += found
            at.append(place)
        return checks, self.read(source, indexed(axes, at, position[rank:]))

    def _index(self, node: Node, index: Node, value: Expr, size: int, position: Position) -> tuple[list[Stmt], Index]:
        """Return one index of a gather as a position along an axis of `size`, and the statements that make it one."""
        known = known_index(index, position)
        if known is not None and known.range()[0] >= 0 and known.range()[1] < size:
            return [], known
        var = Var("at")
        if in_range(index, size):
            return [Let(var, cast(value, INT64))], Index.axis(var, size)
        checks, checked = self._checked_index(value, size, node.attrs["wrap"], node.location)
        return [*checks, Let(var, checked)], Index.axis(var, size)

    def _padded(self, node: Node, position: Position) -> Expr:
        """Read where the position lies inside the source, else give the fill."""
        assert isinstance(node.op, View)
        assert node.op.fill is not None
        inner = source_position(node, position)
        inside: Expr = Const(True, BOOL)
        for place, extent in zip(inner, node.inputs[0].shape, strict=True):
            low, high = place.range()
            if low < 0:
                inside = _both(inside, apply("ge", place.to_expr(), Const(0)))
            if high >= extent:
                inside = _both(inside, apply("lt", place.to_expr(), Const(extent)))
        fill = const(node.op.fill(**node.attrs), node.dtype)
        element = self.read(node.inputs[0], inner)
        if isinstance(element, Load) and not (isinstance(inside, Const) and inside.value):
            return Load(element.buffer, element.index, inside, fill)
        return apply("select", inside, element, fill)

    def _checked_index(self, index: Expr, size: int, wrap: bool, location: Location | None) -> tuple[list[Stmt], Expr]:
        """Return an index counted from the front, and the check that it is one."""
        given = Var("index")
        wrap = wrap and index.dtype.kind == "i"  # an unsigned index too large for int64 must not look like -1
        least = apply("ge", given, Const(-size if wrap else 0))
        ok = apply("and", least, apply("lt", given, Const(size)))
        checks: list[Stmt] = [Let(given, cast(index, INT64)), Check(ok, self.sites.add(location, size, wrap), given)]
        if not wrap:
            return checks, given
        return checks, apply("select", apply("lt", given, Const(0)), add(given, Const(size)), given)


def _both(a: Expr, b: Expr) -> Expr:
    return b if isinstance(a, Const) and a.value else Apply("and", (a, b), BOOL)


def is_number(node: Node) -> bool:
    """Whether a node is a constant of one element, which kernels contain instead of reading it."""
    value = known_value(node)
    return value is not None and value.size == 1


def number_of(node: Node) -> object:
    """Return the one element of a constant."""
    value = known_value(node)
    assert value is not None
    return value.reshape(()).item()


def place(axes: tuple[int | None, ...], positions: Mapping[int, Index]) -> Position:
    """Return the position of a value that lies on these axes of a space."""
    return tuple(Index({}) if a is None else positions[a] for a in axes)

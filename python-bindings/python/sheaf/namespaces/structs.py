"""`.struct`: the fields of structs."""

from __future__ import annotations

from sheaf._sheaf import Expr, call_function, when


class StructNamespace:
    """Functions of structs, reached as `sf.col("s").struct`.

    >>> import sheaf as sf
    >>> sf.from_pydict({"s": [{"x": 1}, {"x": 2}]}).select(x=sf.col("s").struct["x"]).to_pydict()
    {'x': [1, 2]}
    """

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def field(self, name: str) -> Expr:
        """Return the field of this name; `sf.col("s")["x"]` is the same.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": [{"x": 1}, None]}).select(sf.col("s").struct.field("x")).to_pydict()
        {'s[x]': [1, None]}
        """
        # The engine gives what lies under a null struct, which may be any value.
        return when(self._expr.is_not_null()).then(call_function("get_field", [self._expr, name]))

    def __getitem__(self, name: str) -> Expr:
        """Return the field of this name."""
        return self.field(name)

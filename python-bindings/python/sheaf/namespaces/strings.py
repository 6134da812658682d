"""`.str`: functions of text. Positions count characters from 0; patterns are regular expressions of Rust's kind."""

from __future__ import annotations

import re

from sheaf._sheaf import Expr, call_function, like, lit, when
from sheaf.types import Value

# What Python's own strip takes away.
_WHITESPACE = " \t\n\r\x0b\x0c"


class StringNamespace:
    """Functions of text, reached as `sf.col("s").str`.

    >>> import sheaf as sf
    >>> sf.from_pydict({"s": [" aa ", None]}).select(s=sf.col("s").str.strip().str.upper()).to_pydict()
    {'s': ['AA', None]}
    """

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def _call(self, name: str, *args: Value) -> Expr:
        return call_function(name, [self._expr, *args])

    def upper(self) -> Expr:
        """Return the text in upper case; also spelled `to_uppercase`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["ab", None]}).select(sf.col("s").str.upper()).to_pydict()
        {'upper(s)': ['AB', None]}
        """
        return self._call("upper")

    def lower(self) -> Expr:
        """Return the text in lower case; also spelled `to_lowercase`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["AB", None]}).select(sf.col("s").str.lower()).to_pydict()
        {'lower(s)': ['ab', None]}
        """
        return self._call("lower")

    def title(self) -> Expr:
        """Return each word with a capital; also spelled `to_titlecase`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["new york"]}).select(sf.col("s").str.title()).to_pydict()
        {'initcap(s)': ['New York']}
        """
        return self._call("initcap")

    def capitalize(self) -> Expr:
        """Return the text with its first letter in upper and the others in lower case.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["new YORK"]}).select(sf.col("s").str.capitalize().alias("s")).to_pydict()
        {'s': ['New york']}
        """
        first = StringNamespace(self.head(1)).upper()
        return first + StringNamespace(self.slice(1)).lower()

    def len_chars(self) -> Expr:
        """Return how many characters there are; also spelled `length`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["día"]}).select(sf.col("s").str.len_chars()).to_pydict()
        {'character_length(s)': [3]}
        """
        return self._call("character_length")

    def len_bytes(self) -> Expr:
        """Return how many bytes of UTF-8 there are.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["día"]}).select(sf.col("s").str.len_bytes()).to_pydict()
        {'octet_length(s)': [4]}
        """
        return self._call("octet_length")

    def contains(self, pattern: str | Expr, *, literal: bool = False) -> Expr:
        """Return whether a pattern, or with `literal` a text, is found.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1", "b"]}).select(sf.col("s").str.contains("[0-9]")).to_pydict()
        {"regexp_like(s, '[0-9]')": [True, False]}
        """
        return self._call("contains" if literal else "regexp_like", pattern)

    def match(self, pattern: str | Expr) -> Expr:
        """Return whether a pattern is found: `contains` by the name that Daft has for it.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1", "b"]}).select(sf.col("s").str.match("^a")).to_pydict()
        {"regexp_like(s, '^a')": [True, False]}
        """
        return self._call("regexp_like", pattern)

    def starts_with(self, prefix: str | Expr) -> Expr:
        """Return whether the text starts with another; also spelled `startswith`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1", "b"]}).select(sf.col("s").str.starts_with("a")).to_pydict()
        {"starts_with(s, 'a')": [True, False]}
        """
        return self._call("starts_with", prefix)

    def ends_with(self, suffix: str | Expr) -> Expr:
        """Return whether the text ends with another; also spelled `endswith`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1", "b"]}).select(sf.col("s").str.ends_with("1")).to_pydict()
        {"ends_with(s, '1')": [True, False]}
        """
        return self._call("ends_with", suffix)

    def like(self, pattern: str | Expr) -> Expr:
        """Return whether all of the text fits SQL's pattern: `%` is any text, `_` any character.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abc", "b"]}).select(sf.col("s").str.like("a%")).to_pydict()
        {"s LIKE 'a%'": [True, False]}
        """
        return like(self._expr, pattern)

    def ilike(self, pattern: str | Expr) -> Expr:
        """Return whether all of the text fits SQL's pattern in any case.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["ABC", "b"]}).select(sf.col("s").str.ilike("a%")).to_pydict()
        {"s ILIKE 'a%'": [True, False]}
        """
        return like(self._expr, pattern, ignore_case=True)

    def find(self, text: str | Expr) -> Expr:
        """Return the position of the first occurrence of a text, null where there is none.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abc", "x"]}).select(sf.col("s").str.find("b").alias("at")).to_pydict()
        {'at': [1, None]}
        """
        return self._call("strpos", text).null_if(0) - 1

    def count_matches(self, pattern: str, *, literal: bool = False) -> Expr:
        """Return how often a pattern, or with `literal` a text, is found.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["banana"]}).select(sf.col("s").str.count_matches("an").alias("n")).to_pydict()
        {'n': [2]}
        """
        return self._call("regexp_count", re.escape(pattern) if literal else pattern)

    def extract(self, pattern: str, group: int = 1) -> Expr:
        """Return a group of the first match of a pattern, group 0 being all of it; null where nothing matches.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a-12", "x"]}).select(sf.col("s").str.extract("-([0-9]+)").alias("n")).to_pydict()
        {'n': ['12', None]}
        """
        return self._call("regexp_match", f"({pattern})")[group]

    def replace(self, pattern: str, value: str | Expr, *, literal: bool = False) -> Expr:
        r"""Return the text with the first match of a pattern, or with `literal` of a text, replaced.

        In the new text of a pattern, `\1` is its first group.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1b2"]}).select(sf.col("s").str.replace("[0-9]", "-").alias("s")).to_pydict()
        {'s': ['a-b2']}
        """
        if not literal:
            return self._call("regexp_replace", pattern, value)
        position = self._call("strpos", pattern)
        before, after = self._call("left", position - 1), self._call("substr", position + len(pattern))
        return when(position > 0).then(before + value + after).otherwise(self._expr)

    def replace_all(self, pattern: str, value: str | Expr, *, literal: bool = False) -> Expr:
        r"""Return the text with every match of a pattern, or with `literal` of a text, replaced.

        In the new text of a pattern, `\1` is its first group.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a1b2"]}).select(sf.col("s").str.replace_all("[0-9]", "-").alias("s")).to_pydict()
        {'s': ['a-b-']}
        """
        if literal:
            return self._call("replace", pattern, value)
        return self._call("regexp_replace", pattern, value, "g")

    def split(self, by: str | Expr) -> Expr:
        """Return the parts between the occurrences of a text, as a list.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a,b"]}).select(sf.col("s").str.split(",")).to_pydict()
        {"string_to_array(s, ',')": [['a', 'b']]}
        """
        return self._call("string_to_array", by)

    def split_part(self, by: str | Expr, index: int) -> Expr:
        """Return one of the parts between the occurrences of a text; empty where there are fewer.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["a,b", "c"]}).select(sf.col("s").str.split_part(",", 1).alias("s")).to_pydict()
        {'s': ['b', '']}
        """
        return self._call("split_part", by, index + 1 if index >= 0 else index)

    def strip(self, characters: str | None = None) -> Expr:
        """Return the text without these characters at both ends, white space by default.

        Also spelled `strip_chars`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": [" a "]}).select(sf.col("s").str.strip().alias("s")).to_pydict()
        {'s': ['a']}
        """
        return self._call("btrim", _WHITESPACE if characters is None else characters)

    def lstrip(self, characters: str | None = None) -> Expr:
        """Return the text without these characters at its start; also spelled `strip_chars_start`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": [" a "]}).select(sf.col("s").str.lstrip().alias("s")).to_pydict()
        {'s': ['a ']}
        """
        return self._call("ltrim", _WHITESPACE if characters is None else characters)

    def rstrip(self, characters: str | None = None) -> Expr:
        """Return the text without these characters at its end; also spelled `strip_chars_end`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": [" a "]}).select(sf.col("s").str.rstrip().alias("s")).to_pydict()
        {'s': [' a']}
        """
        return self._call("rtrim", _WHITESPACE if characters is None else characters)

    def strip_prefix(self, prefix: str) -> Expr:
        """Return the text without another that it starts with.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["x-1", "y"]}).select(sf.col("s").str.strip_prefix("x-").alias("s")).to_pydict()
        {'s': ['1', 'y']}
        """
        return when(self.starts_with(prefix)).then(self.slice(len(prefix))).otherwise(self._expr)

    def strip_suffix(self, suffix: str) -> Expr:
        """Return the text without another that it ends with.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["1.csv", "y"]}).select(sf.col("s").str.strip_suffix(".csv").alias("s")).to_pydict()
        {'s': ['1', 'y']}
        """
        if not suffix:
            return self._expr
        return when(self.ends_with(suffix)).then(self._call("left", -len(suffix))).otherwise(self._expr)

    def pad_start(self, length: int, fill: str = " ") -> Expr:
        """Return the text filled up at its start to a number of characters.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["7", "1234"]}).select(sf.col("s").str.pad_start(3, "0").alias("s")).to_pydict()
        {'s': ['007', '1234']}
        """
        return when(self.len_chars() < length).then(self._call("lpad", length, fill)).otherwise(self._expr)

    def pad_end(self, length: int, fill: str = " ") -> Expr:
        """Return the text filled up at its end to a number of characters.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["7", "1234"]}).select(sf.col("s").str.pad_end(3, ".").alias("s")).to_pydict()
        {'s': ['7..', '1234']}
        """
        return when(self.len_chars() < length).then(self._call("rpad", length, fill)).otherwise(self._expr)

    def lpad(self, length: int, fill: str = " ") -> Expr:
        """Return the text filled up at its start, or cut, to a number of characters.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["7", "1234"]}).select(sf.col("s").str.lpad(3, "0").alias("s")).to_pydict()
        {'s': ['007', '123']}
        """
        return self._call("lpad", length, fill)

    def rpad(self, length: int, fill: str = " ") -> Expr:
        """Return the text filled up at its end, or cut, to a number of characters.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["7", "1234"]}).select(sf.col("s").str.rpad(3, ".").alias("s")).to_pydict()
        {'s': ['7..', '123']}
        """
        return self._call("rpad", length, fill)

    def zfill(self, length: int) -> Expr:
        """Return a number's text filled up with zeros behind its sign.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["7", "-7"]}).select(sf.col("s").str.zfill(3).alias("s")).to_pydict()
        {'s': ['007', '-07']}
        """
        sign = self._call("left", 1)
        digits = StringNamespace(self.slice(1)).pad_start(length - 1, "0")
        return when(sign.is_in(["+", "-"])).then(sign + digits).otherwise(self.pad_start(length, "0"))

    def slice(self, offset: int, length: int | None = None) -> Expr:
        """Return so many characters from a position on, all that follow where no length is given.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abcd"]}).select(sf.col("s").str.slice(1, 2).alias("s")).to_pydict()
        {'s': ['bc']}
        >>> sf.from_pydict({"s": ["abcd"]}).select(sf.col("s").str.slice(-3, 2).alias("s")).to_pydict()
        {'s': ['bc']}
        """
        # A slice that begins before the text begins with it.
        start = lit(offset + 1) if offset >= 0 else call_function("greatest", [self.len_chars() + (offset + 1), 1])
        return self._call("substr", start) if length is None else self._call("substr", start, length)

    def head(self, n: int) -> Expr:
        """Return the first characters; also spelled `left`. Of a negative number, all but so many.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abcd"]}).select(sf.col("s").str.head(2).alias("s")).to_pydict()
        {'s': ['ab']}
        """
        return self._call("left", n)

    def tail(self, n: int) -> Expr:
        """Return the last characters; also spelled `right`. Of a negative number, all but so many.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abcd"]}).select(sf.col("s").str.tail(2).alias("s")).to_pydict()
        {'s': ['cd']}
        """
        return self._call("right", n)

    def reverse(self) -> Expr:
        """Return the characters from the last to the first.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["abc"]}).select(sf.col("s").str.reverse()).to_pydict()
        {'reverse(s)': ['cba']}
        """
        return self._call("reverse")

    def repeat(self, n: int | Expr) -> Expr:
        """Return the text so many times in a row.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["ab"]}).select(sf.col("s").str.repeat(2).alias("s")).to_pydict()
        {'s': ['abab']}
        """
        return self._call("repeat", n)

    def encode(self, encoding: str) -> Expr:
        """Return the bytes of the text as `"hex"` or `"base64"`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["ab"]}).select(sf.col("s").str.encode("hex").alias("s")).to_pydict()
        {'s': ['6162']}
        """
        return self._call("encode", encoding)

    def decode(self, encoding: str) -> Expr:
        """Return the bytes that `"hex"` or `"base64"` text stands for.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["6162"]}).select(sf.col("s").str.decode("hex").alias("b")).to_pydict()
        {'b': [b'ab']}
        """
        return self._call("decode", encoding)

    def to_date(self, format: str | None = None) -> Expr:
        """Return the date that the text says, in a format such as `"%d.%m.%Y"`; ISO 8601 by default.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["31.12.2013"]}).select(sf.col("s").str.to_date("%d.%m.%Y").alias("d")).to_pydict()
        {'d': [datetime.date(2013, 12, 31)]}
        """
        return self._call("to_date", *([] if format is None else [format]))

    def to_datetime(self, format: str | None = None) -> Expr:
        """Return the time that the text says, in microseconds, in a format such as `"%Y-%m-%d %H:%M"`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["2013-12-31T23:59:00"]}).select(sf.col("s").str.to_datetime().alias("t")).to_pydict()
        {'t': [datetime.datetime(2013, 12, 31, 23, 59)]}
        """
        return self._call("to_timestamp_micros", *([] if format is None else [format]))

    def to_time(self, format: str | None = None) -> Expr:
        """Return the time of day that the text says, in a format such as `"%H:%M"`.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["23:59"]}).select(sf.col("s").str.to_time("%H:%M").alias("t")).to_pydict()
        {'t': [datetime.time(23, 59)]}
        """
        return self._call("to_time", *([] if format is None else [format]))

    def to_integer(self, *, strict: bool = True) -> Expr:
        """Return the integer that the text says; without `strict`, null where it says none.

        >>> import sheaf as sf
        >>> sf.from_pydict({"s": ["12", "x"]}).select(sf.col("s").str.to_integer(strict=False)).to_pydict()
        {'s': [12, None]}
        """
        return self._expr.cast("int64", strict=strict)

    to_uppercase = upper
    to_lowercase = lower
    to_titlecase = title
    length = len_chars
    startswith = starts_with
    endswith = ends_with
    strip_chars = strip
    strip_chars_start = lstrip
    strip_chars_end = rstrip
    left = head
    right = tail

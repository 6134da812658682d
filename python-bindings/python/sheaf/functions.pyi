"""Every function of the engine by its name. Written by generate_functions.py: edit nothing here."""

# ruff: noqa: E501

from collections.abc import Callable

from sheaf._sheaf import Expr
from sheaf.types import SortKeys, Value

def lambda_expression(function: Callable[..., Expr]) -> Expr: ...
def abs(*args: Value) -> Expr:
    """Returns the absolute value of a number.

    In SQL: `abs(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT abs(-5);
    +----------+
    | abs(-5)  |
    +----------+
    | 5        |
    +----------+
    ```
    """

def acos(*args: Value) -> Expr:
    """Returns the arc cosine or inverse cosine of a number.

    In SQL: `acos(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT acos(1);
    +----------+
    | acos(1)  |
    +----------+
    | 0.0      |
    +----------+
    ```
    """

def acosh(*args: Value) -> Expr:
    """Returns the area hyperbolic cosine or inverse hyperbolic cosine of a number.

    In SQL: `acosh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT acosh(2);
    +------------+
    | acosh(2)   |
    +------------+
    | 1.31696    |
    +------------+
    ```
    """

def any_match(*args: Value | Callable[..., Expr]) -> Expr:
    """Returns whether any elements of an array match the given predicate. Returns true if one or more elements match, false if none match (including empty arrays), and null if the predicate returns null for some elements and false for all others.

    Another name of `array_any_match`.

    In SQL: `any_match(array, predicate)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        predicate: Lambda predicate that returns a boolean

    Example in SQL:

    ```sql
    > select any_match([1, 2, 3], x -> x > 2);
    +----------------------------------+
    | any_match([1, 2, 3], x -> x > 2) |
    +----------------------------------+
    | true                             |
    +----------------------------------+
    ```
    """

def any_value(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns an arbitrary non-null value from a group, or NULL if the group contains only NULL values.

    In SQL: `any_value(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT any_value(column_name) FROM table_name;
    +------------------------+
    | any_value(column_name) |
    +------------------------+
    | arbitrary_value        |
    +------------------------+
    ```
    """

def approx_distinct(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the approximate number of distinct input values calculated using the HyperLogLog algorithm.

    In SQL: `approx_distinct(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT approx_distinct(column_name) FROM table_name;
    +-----------------------------------+
    | approx_distinct(column_name)      |
    +-----------------------------------+
    | 42                                |
    +-----------------------------------+
    ```
    """

def approx_median(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the approximate median (50th percentile) of input values. It is an alias of `approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`.

    In SQL: `approx_median(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT approx_median(column_name) FROM table_name;
    +-----------------------------------+
    | approx_median(column_name)        |
    +-----------------------------------+
    | 23.5                              |
    +-----------------------------------+
    ```
    """

def approx_percentile_cont(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the approximate percentile of input values using the t-digest algorithm.

    In SQL: `approx_percentile_cont(percentile [, centroids]) WITHIN GROUP (ORDER BY expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.
        percentile: Percentile to compute. Must be a float value between 0 and 1 (inclusive).
        centroids: Number of centroids to use in the t-digest algorithm. _Default is 100_. A higher number results in more accurate approximation but requires more memory.

    Example in SQL:

    ```sql
    > SELECT approx_percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +------------------------------------------------------------------+
    | approx_percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) |
    +------------------------------------------------------------------+
    | 65.0                                                             |
    +------------------------------------------------------------------+
    > SELECT approx_percentile_cont(0.75, 100) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +-----------------------------------------------------------------------+
    | approx_percentile_cont(0.75, 100) WITHIN GROUP (ORDER BY column_name) |
    +-----------------------------------------------------------------------+
    | 65.0                                                                  |
    +-----------------------------------------------------------------------+
    ```
    An alternate syntax is also supported:
    ```sql
    > SELECT approx_percentile_cont(column_name, 0.75) FROM table_name;
    +-----------------------------------------------+
    | approx_percentile_cont(column_name, 0.75)     |
    +-----------------------------------------------+
    | 65.0                                          |
    +-----------------------------------------------+

    > SELECT approx_percentile_cont(column_name, 0.75, 100) FROM table_name;
    +----------------------------------------------------------+
    | approx_percentile_cont(column_name, 0.75, 100)           |
    +----------------------------------------------------------+
    | 65.0                                                     |
    +----------------------------------------------------------+
    ```
    """

def approx_percentile_cont_with_weight(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the weighted approximate percentile of input values using the t-digest algorithm.

    In SQL: `approx_percentile_cont_with_weight(weight, percentile [, centroids]) WITHIN GROUP (ORDER BY expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.
        weight: Expression to use as weight. Can be a constant, column, or function, and any combination of arithmetic operators.
        percentile: Percentile to compute. Must be a float value between 0 and 1 (inclusive).
        centroids: Number of centroids to use in the t-digest algorithm. _Default is 100_. A higher number results in more accurate approximation but requires more memory.

    Example in SQL:

    ```sql
    > SELECT approx_percentile_cont_with_weight(weight_column, 0.90) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +---------------------------------------------------------------------------------------------+
    | approx_percentile_cont_with_weight(weight_column, 0.90) WITHIN GROUP (ORDER BY column_name) |
    +---------------------------------------------------------------------------------------------+
    | 78.5                                                                                        |
    +---------------------------------------------------------------------------------------------+
    > SELECT approx_percentile_cont_with_weight(weight_column, 0.90, 100) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +--------------------------------------------------------------------------------------------------+
    | approx_percentile_cont_with_weight(weight_column, 0.90, 100) WITHIN GROUP (ORDER BY column_name) |
    +--------------------------------------------------------------------------------------------------+
    | 78.5                                                                                             |
    +--------------------------------------------------------------------------------------------------+
    ```
    An alternative syntax is also supported:

    ```sql
    > SELECT approx_percentile_cont_with_weight(column_name, weight_column, 0.90) FROM table_name;
    +--------------------------------------------------+
    | approx_percentile_cont_with_weight(column_name, weight_column, 0.90) |
    +--------------------------------------------------+
    | 78.5                                             |
    +--------------------------------------------------+
    ```
    """

def approx_top_k(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """As top_k, in bounded memory: exact up to 2,048 different values, else a count may be too large by a thousandth of the rows.

    In SQL: `approx_top_k(expression, k)`

    Arguments:
        expression: Values of any type; nulls are left out.
        k: How many values, a constant.
    """

def array_add(*args: Value) -> Expr:
    """Returns the element-wise sum of two numeric arrays of equal length, computed as `array1[i] + array2[i]` per position. NULL is propagated per element: if either input element at position `i` is NULL, the corresponding output element is NULL (positions are preserved). Returns NULL if either entire input array is NULL. Errors if the per-row lengths differ. Returns an empty array if both inputs are empty.

    In SQL: `array_add(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_add([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]);
    +---------------------------------------------------------+
    | array_add(List([1.0,2.0,3.0]),List([10.0,20.0,30.0]))   |
    +---------------------------------------------------------+
    | [11.0, 22.0, 33.0]                                      |
    +---------------------------------------------------------+
    ```
    """

def array_agg(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns an array created from the expression elements. If ordering is required, elements are inserted in the specified order.
    This aggregation function can only mix DISTINCT and ORDER BY if the ordering expression is exactly the same as the argument expression.

    In SQL: `array_agg(expression [ORDER BY expression])`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT array_agg(column_name ORDER BY other_column) FROM table_name;
    +-----------------------------------------------+
    | array_agg(column_name ORDER BY other_column)  |
    +-----------------------------------------------+
    | [element1, element2, element3]                |
    +-----------------------------------------------+
    > SELECT array_agg(DISTINCT column_name ORDER BY column_name) FROM table_name;
    +--------------------------------------------------------+
    | array_agg(DISTINCT column_name ORDER BY column_name)  |
    +--------------------------------------------------------+
    | [element1, element2, element3]                         |
    +--------------------------------------------------------+
    ```
    """

def array_any_match(*args: Value | Callable[..., Expr]) -> Expr:
    """Returns whether any elements of an array match the given predicate. Returns true if one or more elements match, false if none match (including empty arrays), and null if the predicate returns null for some elements and false for all others.

    In SQL: `any_match(array, predicate)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        predicate: Lambda predicate that returns a boolean

    Example in SQL:

    ```sql
    > select any_match([1, 2, 3], x -> x > 2);
    +----------------------------------+
    | any_match([1, 2, 3], x -> x > 2) |
    +----------------------------------+
    | true                             |
    +----------------------------------+
    ```
    """

def array_any_value(*args: Value) -> Expr:
    """Returns the first non-null element in the array. Returns NULL if the array is empty or NULL.

    In SQL: `array_any_value(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_any_value([NULL, 1, 2, 3]);
    +-------------------------------+
    | array_any_value(List([NULL,1,2,3])) |
    +-------------------------------------+
    | 1                                   |
    +-------------------------------------+
    ```
    """

def array_append(*args: Value) -> Expr:
    """Appends an element to the end of an array.

    In SQL: `array_append(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to append to the array.

    Example in SQL:

    ```sql
    > select array_append([1, 2, 3], 4);
    +--------------------------------------+
    | array_append(List([1,2,3]),Int64(4)) |
    +--------------------------------------+
    | [1, 2, 3, 4]                         |
    +--------------------------------------+
    ```
    """

def array_avg(*args: Value) -> Expr:
    """Returns the arithmetic mean (sum divided by count) of the elements of the input array. NULL elements are skipped (per SQL aggregate convention) and excluded from the count. Returns NULL if the input row is NULL, every element is NULL, or the array is empty.

    In SQL: `array_avg(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_avg([1.0, 2.0, 3.0]);
    +----------------------------+
    | array_avg(List([1.0,2.0,3.0])) |
    +----------------------------+
    | 2.0                        |
    +----------------------------+
    ```
    """

def array_cat(*args: Value) -> Expr:
    """Concatenates arrays.

    Another name of `array_concat`.

    In SQL: `array_concat(array[, ..., array_n])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array_n: Subsequent array column or literal array to concatenate.

    Example in SQL:

    ```sql
    > select array_concat([1, 2], [3, 4], [5, 6]);
    +---------------------------------------------------+
    | array_concat(List([1,2]),List([3,4]),List([5,6])) |
    +---------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                |
    +---------------------------------------------------+
    ```
    """

def array_compact(*args: Value) -> Expr:
    """Removes null values from the array.

    In SQL: `array_compact(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_compact([1, NULL, 2, NULL, 3]) arr;
    +-----------+
    | arr       |
    +-----------+
    | [1, 2, 3] |
    +-----------+
    ```
    """

def array_concat(*args: Value) -> Expr:
    """Concatenates arrays.

    In SQL: `array_concat(array[, ..., array_n])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array_n: Subsequent array column or literal array to concatenate.

    Example in SQL:

    ```sql
    > select array_concat([1, 2], [3, 4], [5, 6]);
    +---------------------------------------------------+
    | array_concat(List([1,2]),List([3,4]),List([5,6])) |
    +---------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                |
    +---------------------------------------------------+
    ```
    """

def array_contains(*args: Value) -> Expr:
    """Returns true if the array contains the element.

    Another name of `array_has`.

    In SQL: `array_has(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Scalar or Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has([1, 2, 3], 2);
    +-----------------------------+
    | array_has(List([1,2,3]), 2) |
    +-----------------------------+
    | true                        |
    +-----------------------------+
    ```
    """

def array_dims(*args: Value) -> Expr:
    """Returns an array of the array's dimensions.

    In SQL: `array_dims(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_dims([[1, 2, 3], [4, 5, 6]]);
    +---------------------------------+
    | array_dims(List([1,2,3,4,5,6])) |
    +---------------------------------+
    | [2, 3]                          |
    +---------------------------------+
    ```
    """

def array_distance(*args: Value) -> Expr:
    """Returns the Euclidean distance between two one-dimensional input arrays of equal length.

    In SQL: `array_distance(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_distance([1, 2], [1, 4]);
    +------------------------------------+
    | array_distance(List([1,2], [1,4])) |
    +------------------------------------+
    | 2.0                                |
    +------------------------------------+
    ```
    """

def array_distinct(*args: Value) -> Expr:
    """Returns distinct values from the array after removing duplicates.

    In SQL: `array_distinct(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_distinct([1, 3, 2, 3, 1, 2, 4]);
    +---------------------------------+
    | array_distinct(List([1,2,3,4])) |
    +---------------------------------+
    | [1, 2, 3, 4]                    |
    +---------------------------------+
    ```
    """

def array_element(*args: Value) -> Expr:
    """Extracts the element with the index n from the array.

    In SQL: `array_element(array, index)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        index: Index to extract the element from the array.

    Example in SQL:

    ```sql
    > select array_element([1, 2, 3, 4], 3);
    +-----------------------------------------+
    | array_element(List([1,2,3,4]),Int64(3)) |
    +-----------------------------------------+
    | 3                                       |
    +-----------------------------------------+
    ```
    """

def array_empty(*args: Value) -> Expr:
    """Returns 1 for an empty array or 0 for a non-empty array.

    Another name of `empty`.

    In SQL: `empty(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select empty([1]);
    +------------------+
    | empty(List([1])) |
    +------------------+
    | 0                |
    +------------------+
    ```
    """

def array_except(*args: Value) -> Expr:
    """Returns an array of the elements that appear in the first array but not in the second.

    In SQL: `array_except(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_except([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_except([1, 2, 3, 4], [5, 6, 3, 4]);           |
    +----------------------------------------------------+
    | [1, 2]                                              |
    +----------------------------------------------------+
    > select array_except([1, 2, 3, 4], [3, 4, 5, 6]);
    +----------------------------------------------------+
    | array_except([1, 2, 3, 4], [3, 4, 5, 6]);           |
    +----------------------------------------------------+
    | [1, 2]                                              |
    +----------------------------------------------------+
    ```
    """

def array_extract(*args: Value) -> Expr:
    """Extracts the element with the index n from the array.

    Another name of `array_element`.

    In SQL: `array_element(array, index)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        index: Index to extract the element from the array.

    Example in SQL:

    ```sql
    > select array_element([1, 2, 3, 4], 3);
    +-----------------------------------------+
    | array_element(List([1,2,3,4]),Int64(3)) |
    +-----------------------------------------+
    | 3                                       |
    +-----------------------------------------+
    ```
    """

def array_filter(*args: Value | Callable[..., Expr]) -> Expr:
    """filters the values of an array using a boolean lambda

    In SQL: `array_filter(array, x -> x > 2)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        lambda: Lambda that returns a boolean. Elements for which the lambda returns true are kept.

    Example in SQL:

    ```sql
    > select array_filter([1, 2, 3, 4, 5], x -> x > 2);
    +--------------------------------------------+
    | array_filter([1, 2, 3, 4, 5], x -> x > 2) |
    +--------------------------------------------+
    | [3, 4, 5]                                  |
    +--------------------------------------------+
    ```
    """

def array_first(*args: Value | Callable[..., Expr]) -> Expr:
    """Returns the first element of an array that satisfies the given predicate. Returns null if the array is empty or no element matches. A predicate that returns null for an element is treated as not matching.

    In SQL: `array_first(array, predicate)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        predicate: Lambda predicate that returns a boolean. The first element for which it returns true is returned.

    Example in SQL:

    ```sql
    > select array_first([1, 2, 3, 4], x -> x > 2);
    +----------------------------------------+
    | array_first([1,2,3,4],x -> x > 2)      |
    +----------------------------------------+
    | 3                                      |
    +----------------------------------------+
    ```
    """

def array_has(*args: Value) -> Expr:
    """Returns true if the array contains the element.

    In SQL: `array_has(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Scalar or Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has([1, 2, 3], 2);
    +-----------------------------+
    | array_has(List([1,2,3]), 2) |
    +-----------------------------+
    | true                        |
    +-----------------------------+
    ```
    """

def array_has_all(*args: Value) -> Expr:
    """Returns true if all elements of sub_array exist in array.

    In SQL: `array_has_all(array, sub_array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        sub_array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has_all([1, 2, 3, 4], [2, 3]);
    +---------------------------------------------+
    | array_has_all(List([1,2,3,4]), List([2,3])) |
    +---------------------------------------------+
    | true                                        |
    +---------------------------------------------+
    ```
    """

def array_has_any(*args: Value) -> Expr:
    """Returns true if the arrays have any elements in common.

    In SQL: `array_has_any(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has_any([1, 2, 3], [3, 4]);
    +------------------------------------------+
    | array_has_any(List([1,2,3]), List([3,4])) |
    +------------------------------------------+
    | true                                     |
    +------------------------------------------+
    ```
    """

def array_indexof(*args: Value) -> Expr:
    """Returns the position of the first occurrence of the specified element in the array, or NULL if not found. Comparisons are done using `IS DISTINCT FROM` semantics, so NULL is considered to match NULL.

    Another name of `array_position`.

    In SQL: `array_position(array, element[, index])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.
        index: Index at which to start searching (1-indexed). Defaults to searching from the start

    Example in SQL:

    ```sql
    > select array_position([1, 2, 2, 3, 1, 4], 2);
    +----------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2)) |
    +----------------------------------------------+
    | 2                                            |
    +----------------------------------------------+
    > select array_position([1, 2, 2, 3, 1, 4], 2, 3);
    +----------------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2), Int64(3)) |
    +----------------------------------------------------+
    | 3                                                  |
    +----------------------------------------------------+
    ```
    """

def array_intersect(*args: Value) -> Expr:
    """Returns an array of elements in the intersection of array1 and array2.

    In SQL: `array_intersect(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_intersect([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_intersect([1, 2, 3, 4], [5, 6, 3, 4]);       |
    +----------------------------------------------------+
    | [3, 4]                                             |
    +----------------------------------------------------+
    > select array_intersect([1, 2, 3, 4], [5, 6, 7, 8]);
    +----------------------------------------------------+
    | array_intersect([1, 2, 3, 4], [5, 6, 7, 8]);       |
    +----------------------------------------------------+
    | []                                                 |
    +----------------------------------------------------+
    ```
    """

def array_join(*args: Value) -> Expr:
    """Converts each element to its text representation.

    Another name of `array_to_string`.

    In SQL: `array_to_string(array, delimiter[, null_string])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        delimiter: Array element separator.
        null_string: Optional. String to use for null values in the output. If not provided, nulls will be omitted.

    Example in SQL:

    ```sql
    > select array_to_string([[1, 2, 3, 4], [5, 6, 7, 8]], ',');
    +----------------------------------------------------+
    | array_to_string(List([1,2,3,4,5,6,7,8]),Utf8(",")) |
    +----------------------------------------------------+
    | 1,2,3,4,5,6,7,8                                    |
    +----------------------------------------------------+
    ```
    """

def array_length(*args: Value) -> Expr:
    """Returns the length of the array dimension.

    In SQL: `array_length(array[, dimension])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        dimension: Array dimension. Default is 1

    Example in SQL:

    ```sql
    > select array_length([1, 2, 3, 4, 5], 1);
    +-------------------------------------------+
    | array_length(List([1,2,3,4,5]), 1)        |
    +-------------------------------------------+
    | 5                                         |
    +-------------------------------------------+
    ```
    """

def array_max(*args: Value) -> Expr:
    """Returns the maximum value in the array.

    In SQL: `array_max(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_max([3,1,4,2]);
    +-----------------------------------------+
    | array_max(List([3,1,4,2]))              |
    +-----------------------------------------+
    | 4                                       |
    +-----------------------------------------+
    ```
    """

def array_min(*args: Value) -> Expr:
    """Returns the minimum value in the array.

    In SQL: `array_min(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_min([3,1,4,2]);
    +-----------------------------------------+
    | array_min(List([3,1,4,2]))              |
    +-----------------------------------------+
    | 1                                       |
    +-----------------------------------------+
    ```
    """

def array_ndims(*args: Value) -> Expr:
    """Returns the number of dimensions of the array.

    In SQL: `array_ndims(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_ndims([[1, 2, 3], [4, 5, 6]]);
    +----------------------------------+
    | array_ndims(List([1,2,3,4,5,6])) |
    +----------------------------------+
    | 2                                |
    +----------------------------------+
    ```
    """

def array_normalize(*args: Value) -> Expr:
    """Returns the L2-normalized vector for the input numeric array, computed as `array[i] / sqrt(sum(array[i]^2))` per element. Returns NULL if the input is NULL, contains NULL elements, or has zero magnitude (all elements are zero). Returns an empty array for an empty input array.

    In SQL: `array_normalize(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_normalize([3.0, 4.0]);
    +-----------------------------+
    | array_normalize(List([3.0,4.0])) |
    +-----------------------------+
    | [0.6, 0.8]                  |
    +-----------------------------+
    ```
    """

def array_pop_back(*args: Value) -> Expr:
    """Returns the array without the last element.

    In SQL: `array_pop_back(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_pop_back([1, 2, 3]);
    +-------------------------------+
    | array_pop_back(List([1,2,3])) |
    +-------------------------------+
    | [1, 2]                        |
    +-------------------------------+
    ```
    """

def array_pop_front(*args: Value) -> Expr:
    """Returns the array without the first element.

    In SQL: `array_pop_front(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_pop_front([1, 2, 3]);
    +-------------------------------+
    | array_pop_front(List([1,2,3])) |
    +-------------------------------+
    | [2, 3]                        |
    +-------------------------------+
    ```
    """

def array_position(*args: Value) -> Expr:
    """Returns the position of the first occurrence of the specified element in the array, or NULL if not found. Comparisons are done using `IS DISTINCT FROM` semantics, so NULL is considered to match NULL.

    In SQL: `array_position(array, element[, index])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.
        index: Index at which to start searching (1-indexed). Defaults to searching from the start

    Example in SQL:

    ```sql
    > select array_position([1, 2, 2, 3, 1, 4], 2);
    +----------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2)) |
    +----------------------------------------------+
    | 2                                            |
    +----------------------------------------------+
    > select array_position([1, 2, 2, 3, 1, 4], 2, 3);
    +----------------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2), Int64(3)) |
    +----------------------------------------------------+
    | 3                                                  |
    +----------------------------------------------------+
    ```
    """

def array_positions(*args: Value) -> Expr:
    """Searches for an element in the array, returns all occurrences.

    In SQL: `array_positions(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.

    Example in SQL:

    ```sql
    > select array_positions([1, 2, 2, 3, 1, 4], 2);
    +-----------------------------------------------+
    | array_positions(List([1,2,2,3,1,4]),Int64(2)) |
    +-----------------------------------------------+
    | [2, 3]                                        |
    +-----------------------------------------------+
    ```
    """

def array_prepend(*args: Value) -> Expr:
    """Prepends an element to the beginning of an array.

    In SQL: `array_prepend(element, array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to prepend to the array.

    Example in SQL:

    ```sql
    > select array_prepend(1, [2, 3, 4]);
    +---------------------------------------+
    | array_prepend(Int64(1),List([2,3,4])) |
    +---------------------------------------+
    | [1, 2, 3, 4]                          |
    +---------------------------------------+
    ```
    """

def array_product(*args: Value) -> Expr:
    """Returns the product of the elements in the input numeric array. NULL elements inside the array are skipped (matching SQL aggregate convention). Returns NULL if the input is NULL, every element is  NULL, or the array is empty. The result is always returned as `Float64`.

    In SQL: `array_product(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_product([1.0, 2.0, 3.0]);
    +------------------------------------+
    | array_product(List([1.0,2.0,3.0])) |
    +------------------------------------+
    | 6.0                                |
    +------------------------------------+
    ```
    """

def array_push_back(*args: Value) -> Expr:
    """Appends an element to the end of an array.

    Another name of `array_append`.

    In SQL: `array_append(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to append to the array.

    Example in SQL:

    ```sql
    > select array_append([1, 2, 3], 4);
    +--------------------------------------+
    | array_append(List([1,2,3]),Int64(4)) |
    +--------------------------------------+
    | [1, 2, 3, 4]                         |
    +--------------------------------------+
    ```
    """

def array_push_front(*args: Value) -> Expr:
    """Prepends an element to the beginning of an array.

    Another name of `array_prepend`.

    In SQL: `array_prepend(element, array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to prepend to the array.

    Example in SQL:

    ```sql
    > select array_prepend(1, [2, 3, 4]);
    +---------------------------------------+
    | array_prepend(Int64(1),List([2,3,4])) |
    +---------------------------------------+
    | [1, 2, 3, 4]                          |
    +---------------------------------------+
    ```
    """

def array_remove(*args: Value) -> Expr:
    """Removes the first element from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    In SQL: `array_remove(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.

    Example in SQL:

    ```sql
    > select array_remove([1, 2, 2, 3, 2, 1, 4], 2);
    +----------------------------------------------+
    | array_remove(List([1,2,2,3,2,1,4]),Int64(2)) |
    +----------------------------------------------+
    | [1, 2, 3, 2, 1, 4]                           |
    +----------------------------------------------+

    > select array_remove([1, 2, NULL, 2, 4], 2);
    +---------------------------------------------------+
    | array_remove(List([1,2,NULL,2,4]),Int64(2)) |
    +---------------------------------------------------+
    | [1, NULL, 2, 4]                              |
    +---------------------------------------------------+
    ```
    """

def array_remove_all(*args: Value) -> Expr:
    """Removes all elements from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    In SQL: `array_remove_all(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.

    Example in SQL:

    ```sql
    > select array_remove_all([1, 2, 2, 3, 2, 1, 4], 2);
    +--------------------------------------------------+
    | array_remove_all(List([1,2,2,3,2,1,4]),Int64(2)) |
    +--------------------------------------------------+
    | [1, 3, 1, 4]                                     |
    +--------------------------------------------------+

    > select array_remove_all([1, 2, NULL, 2, 4], 2);
    +-----------------------------------------------------+
    | array_remove_all(List([1,2,NULL,2,4]),Int64(2)) |
    +-----------------------------------------------------+
    | [1, NULL, 4]                                     |
    +-----------------------------------------------------+
    ```
    """

def array_remove_n(*args: Value) -> Expr:
    """Removes the first `max` elements from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    In SQL: `array_remove_n(array, element, max)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.
        max: Number of first occurrences to remove.

    Example in SQL:

    ```sql
    > select array_remove_n([1, 2, 2, 3, 2, 1, 4], 2, 2);
    +---------------------------------------------------------+
    | array_remove_n(List([1,2,2,3,2,1,4]),Int64(2),Int64(2)) |
    +---------------------------------------------------------+
    | [1, 3, 2, 1, 4]                                         |
    +---------------------------------------------------------+

    > select array_remove_n([1, 2, NULL, 2, 4], 2, 2);
    +----------------------------------------------------------+
    | array_remove_n(List([1,2,NULL,2,4]),Int64(2),Int64(2)) |
    +----------------------------------------------------------+
    | [1, NULL, 4]                                            |
    +----------------------------------------------------------+
    ```
    """

def array_repeat(*args: Value) -> Expr:
    """Returns an array containing element `count` times.

    In SQL: `array_repeat(element, count)`

    Arguments:
        element: Element expression. Can be a constant, column, or function, and any combination of array operators.
        count: Value of how many times to repeat the element.

    Example in SQL:

    ```sql
    > select array_repeat(1, 3);
    +---------------------------------+
    | array_repeat(Int64(1),Int64(3)) |
    +---------------------------------+
    | [1, 1, 1]                       |
    +---------------------------------+
    > select array_repeat([1, 2], 2);
    +------------------------------------+
    | array_repeat(List([1,2]),Int64(2)) |
    +------------------------------------+
    | [[1, 2], [1, 2]]                   |
    +------------------------------------+
    ```
    """

def array_replace(*args: Value) -> Expr:
    """Replaces the first occurrence of the specified element with another specified element.

    In SQL: `array_replace(array, from, to)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.

    Example in SQL:

    ```sql
    > select array_replace([1, 2, 2, 3, 2, 1, 4], 2, 5);
    +--------------------------------------------------------+
    | array_replace(List([1,2,2,3,2,1,4]),Int64(2),Int64(5)) |
    +--------------------------------------------------------+
    | [1, 5, 2, 3, 2, 1, 4]                                  |
    +--------------------------------------------------------+
    ```
    """

def array_replace_all(*args: Value) -> Expr:
    """Replaces all occurrences of the specified element with another specified element.

    In SQL: `array_replace_all(array, from, to)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.

    Example in SQL:

    ```sql
    > select array_replace_all([1, 2, 2, 3, 2, 1, 4], 2, 5);
    +------------------------------------------------------------+
    | array_replace_all(List([1,2,2,3,2,1,4]),Int64(2),Int64(5)) |
    +------------------------------------------------------------+
    | [1, 5, 5, 3, 5, 1, 4]                                      |
    +------------------------------------------------------------+
    ```
    """

def array_replace_n(*args: Value) -> Expr:
    """Replaces the first `max` occurrences of the specified element with another specified element.

    In SQL: `array_replace_n(array, from, to, max)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.
        max: Number of first occurrences to replace.

    Example in SQL:

    ```sql
    > select array_replace_n([1, 2, 2, 3, 2, 1, 4], 2, 5, 2);
    +-------------------------------------------------------------------+
    | array_replace_n(List([1,2,2,3,2,1,4]),Int64(2),Int64(5),Int64(2)) |
    +-------------------------------------------------------------------+
    | [1, 5, 5, 3, 2, 1, 4]                                             |
    +-------------------------------------------------------------------+
    ```
    """

def array_resize(*args: Value) -> Expr:
    """Resizes the list to contain size elements.

    In SQL: `array_resize(array, size[, value])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        size: New size of given array.
        value: If expanding the array, defines the values to fill in. Defaults to null.

    Example in SQL:

    ```sql
    > select array_resize([1, 2, 3], 5, 0);
    +-------------------------------------+
    | array_resize(List([1,2,3],5,0))     |
    +-------------------------------------+
    | [1, 2, 3, 0, 0]                     |
    +-------------------------------------+
    ```
    """

def array_reverse(*args: Value) -> Expr:
    """Returns the array with the order of the elements reversed.

    In SQL: `array_reverse(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_reverse([1, 2, 3, 4]);
    +------------------------------------------------------------+
    | array_reverse(List([1, 2, 3, 4]))                          |
    +------------------------------------------------------------+
    | [4, 3, 2, 1]                                               |
    +------------------------------------------------------------+
    ```
    """

def array_scale(*args: Value) -> Expr:
    """Returns a new array with each element of the input array multiplied by a scalar value, computed as `array[i] * scalar`. Returns NULL if the input row is NULL or the scalar is NULL. If a NULL element appears in the input array at position `i`, the result element at position `i` is NULL. Returns an empty array for an empty input array.

    In SQL: `array_scale(array, scalar)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        scalar: Numeric scalar to multiply each element by. Can be a constant or column expression.

    Example in SQL:

    ```sql
    > select array_scale([1.0, 2.0, 3.0], 2.0);
    +----------------------------------+
    | array_scale(List([1.0,2.0,3.0]),Float64(2.0)) |
    +----------------------------------+
    | [2.0, 4.0, 6.0]                  |
    +----------------------------------+
    ```
    """

def array_slice(*args: Value) -> Expr:
    """Returns a slice of the array based on 1-indexed start and end positions.

    In SQL: `array_slice(array, begin, end[, stride])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        begin: Index of the first element. If negative, it counts backward from the end of the array.
        end: Index of the last element. If negative, it counts backward from the end of the array.
        stride: Stride of the array slice. The default is 1.

    Example in SQL:

    ```sql
    > select array_slice([1, 2, 3, 4, 5, 6, 7, 8], 3, 6);
    +--------------------------------------------------------+
    | array_slice(List([1,2,3,4,5,6,7,8]),Int64(3),Int64(6)) |
    +--------------------------------------------------------+
    | [3, 4, 5, 6]                                           |
    +--------------------------------------------------------+
    ```
    """

def array_sort(*args: Value) -> Expr:
    """Sort array.

    In SQL: `array_sort(array[, order[, nulls_order]])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        order: Whether to sort in ascending (`ASC`) or descending (`DESC`) order. The default is `ASC`.
        nulls_order: Whether to sort nulls first (`NULLS FIRST`) or last (`NULLS LAST`). The default is `NULLS FIRST`.

    Example in SQL:

    ```sql
    > select array_sort([3, 1, 2]);
    +-----------------------------+
    | array_sort(List([3,1,2]))   |
    +-----------------------------+
    | [1, 2, 3]                   |
    +-----------------------------+
    > select array_sort([3, 1, NULL, 2], 'desc', 'nulls last');
    +--------------------------------------------------+
    | array_sort(List(3,1,NULL,2),'desc','nulls last') |
    +--------------------------------------------------+
    | [3, 2, 1, NULL]                                  |
    +--------------------------------------------------+
    ```
    """

def array_subtract(*args: Value) -> Expr:
    """Returns the element-wise difference of two numeric arrays of equal length, computed as `array1[i] - array2[i]` per position. NULL is propagated per element: if either input element at position `i` is NULL, the corresponding output element is NULL (positions are preserved). Returns NULL if either entire input array is NULL. Errors if the per-row lengths differ. Returns an empty array if both inputs are empty.

    In SQL: `array_subtract(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_subtract([10.0, 20.0, 30.0], [1.0, 2.0, 3.0]);
    +--------------------------------------------------------------+
    | array_subtract(List([10.0,20.0,30.0]),List([1.0,2.0,3.0]))   |
    +--------------------------------------------------------------+
    | [9.0, 18.0, 27.0]                                            |
    +--------------------------------------------------------------+
    ```
    """

def array_sum(*args: Value) -> Expr:
    """Returns the sum of the elements of the input array, computed as `array[0] + array[1] + ...`. NULL elements are skipped (per SQL aggregate convention). Returns NULL if the input row is NULL, every element is NULL, or the array is empty.

    In SQL: `array_sum(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_sum([1.0, 2.0, 3.0]);
    +----------------------------+
    | array_sum(List([1.0,2.0,3.0])) |
    +----------------------------+
    | 6.0                        |
    +----------------------------+
    ```
    """

def array_to_string(*args: Value) -> Expr:
    """Converts each element to its text representation.

    In SQL: `array_to_string(array, delimiter[, null_string])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        delimiter: Array element separator.
        null_string: Optional. String to use for null values in the output. If not provided, nulls will be omitted.

    Example in SQL:

    ```sql
    > select array_to_string([[1, 2, 3, 4], [5, 6, 7, 8]], ',');
    +----------------------------------------------------+
    | array_to_string(List([1,2,3,4,5,6,7,8]),Utf8(",")) |
    +----------------------------------------------------+
    | 1,2,3,4,5,6,7,8                                    |
    +----------------------------------------------------+
    ```
    """

def array_transform(*args: Value | Callable[..., Expr]) -> Expr:
    """transforms the values of an array

    In SQL: `array_transform(array, lambda)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        lambda: The lambda function used to transform each value of the array.

    Example in SQL:

    ```sql
    > select array_transform([1, 2, 3, 4, 5], x -> x*2);
    +-------------------------------------------+
    | array_transform([1, 2, 3, 4, 5], x -> x*2)       |
    +-------------------------------------------+
    | [2, 4, 6, 8, 10]                          |
    +-------------------------------------------+
    ```
    """

def array_union(*args: Value) -> Expr:
    """Returns an array of elements that are present in both arrays (all elements from both arrays) without duplicates.

    In SQL: `array_union(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_union([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_union([1, 2, 3, 4], [5, 6, 3, 4]);           |
    +----------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                 |
    +----------------------------------------------------+
    > select array_union([1, 2, 3, 4], [5, 6, 7, 8]);
    +----------------------------------------------------+
    | array_union([1, 2, 3, 4], [5, 6, 7, 8]);           |
    +----------------------------------------------------+
    | [1, 2, 3, 4, 5, 6, 7, 8]                           |
    +----------------------------------------------------+
    ```
    """

def arrays_overlap(*args: Value) -> Expr:
    """Returns true if the arrays have any elements in common.

    Another name of `array_has_any`.

    In SQL: `array_has_any(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has_any([1, 2, 3], [3, 4]);
    +------------------------------------------+
    | array_has_any(List([1,2,3]), List([3,4])) |
    +------------------------------------------+
    | true                                     |
    +------------------------------------------+
    ```
    """

def arrays_zip(*args: Value) -> Expr:
    """Returns an array of structs created by combining the elements of each input array at the same index. If the arrays have different lengths, shorter arrays are padded with NULLs.

    In SQL: `arrays_zip(array1[, ..., array_n])`

    Arguments:
        array1: First array expression.
        array_n: Optional additional array expressions.

    Example in SQL:

    ```sql
    > select arrays_zip([1, 2, 3]);
    +---------------------------------------------------+
    | arrays_zip([1, 2, 3])                             |
    +---------------------------------------------------+
    | [{1: 1}, {1: 2}, {1: 3}]                          |
    +---------------------------------------------------+
    > select arrays_zip([1, 2], [3, 4, 5]);
    +---------------------------------------------------+
    | arrays_zip([1, 2], [3, 4, 5])                     |
    +---------------------------------------------------+
    | [{1: 1, 2: 3}, {1: 2, 2: 4}, {1: NULL, 2: 5}]     |
    +---------------------------------------------------+
    ```
    """

def arrow_cast(*args: Value) -> Expr:
    """Casts a value to a specific Arrow data type.

    In SQL: `arrow_cast(expression, datatype)`

    Arguments:
        expression: Expression to cast. The expression can be a constant, column, or function, and any combination of operators.
        datatype: [Arrow data type](https://docs.rs/arrow/latest/arrow/datatypes/enum.DataType.html) name to cast to, as a string. The format is the same as that returned by [`arrow_typeof`]

    Example in SQL:

    ```sql
    > select
      arrow_cast(-5,    'Int8') as a,
      arrow_cast('foo', 'Dictionary(Int32, Utf8)') as b,
      arrow_cast('bar', 'LargeUtf8') as c;

    +----+-----+-----+
    | a  | b   | c   |
    +----+-----+-----+
    | -5 | foo | bar |
    +----+-----+-----+

    > select
      arrow_cast('2023-01-02T12:53:02', 'Timestamp(µs, "+08:00")') as d,
      arrow_cast('2023-01-02T12:53:02', 'Timestamp(µs)') as e;

    +---------------------------+---------------------+
    | d                         | e                   |
    +---------------------------+---------------------+
    | 2023-01-02T12:53:02+08:00 | 2023-01-02T12:53:02 |
    +---------------------------+---------------------+
    ```
    """

def arrow_field(*args: Value) -> Expr:
    """Returns a struct containing the Arrow field information of the expression, including name, data type, nullability, and metadata.

    In SQL: `arrow_field(expression)`

    Arguments:
        expression: Expression to evaluate. The expression can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select arrow_field(1);
    +-------------------------------------------------------------+
    | arrow_field(Int64(1))                                       |
    +-------------------------------------------------------------+
    | {name: lit, data_type: Int64, nullable: false, metadata: {}} |
    +-------------------------------------------------------------+

    > select arrow_field(1)['data_type'];
    +-----------------------------------+
    | arrow_field(Int64(1))[data_type]  |
    +-----------------------------------+
    | Int64                             |
    +-----------------------------------+
    ```
    """

def arrow_metadata(*args: Value) -> Expr:
    """Returns the metadata of the input expression. If a key is provided, returns the value for that key. If no key is provided, returns a Map of all metadata.

    In SQL: `arrow_metadata(expression[, key])`

    Arguments:
        expression: The expression to retrieve metadata from. Can be a column or other expression.
        key: Optional. The specific metadata key to retrieve.

    Example in SQL:

    ```sql
    > select arrow_metadata(col) from table;
    +----------------------------+
    | arrow_metadata(table.col)  |
    +----------------------------+
    | {k: v}                     |
    +----------------------------+
    > select arrow_metadata(col, 'k') from table;
    +-------------------------------+
    | arrow_metadata(table.col, 'k')|
    +-------------------------------+
    | v                             |
    +-------------------------------+
    ```
    """

def arrow_try_cast(*args: Value) -> Expr:
    """Casts a value to a specific Arrow data type, returning NULL if the cast fails.

    In SQL: `arrow_try_cast(expression, datatype)`

    Arguments:
        expression: Expression to cast. The expression can be a constant, column, or function, and any combination of operators.
        datatype: [Arrow data type](https://docs.rs/arrow/latest/arrow/datatypes/enum.DataType.html) name to cast to, as a string. The format is the same as that returned by [`arrow_typeof`]

    Example in SQL:

    ```sql
    > select arrow_try_cast('123', 'Int64') as a,
             arrow_try_cast('not_a_number', 'Int64') as b;

    +-----+------+
    | a   | b    |
    +-----+------+
    | 123 | NULL |
    +-----+------+
    ```
    """

def arrow_typeof(*args: Value) -> Expr:
    """Returns the name of the underlying [Arrow data type](https://docs.rs/arrow/latest/arrow/datatypes/enum.DataType.html) of the expression.

    In SQL: `arrow_typeof(expression)`

    Arguments:
        expression: Expression to evaluate. The expression can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select arrow_typeof('foo'), arrow_typeof(1);
    +---------------------------+------------------------+
    | arrow_typeof(Utf8("foo")) | arrow_typeof(Int64(1)) |
    +---------------------------+------------------------+
    | Utf8                      | Int64                  |
    +---------------------------+------------------------+
    ```
    """

def ascii(*args: Value) -> Expr:
    """Returns the first Unicode scalar value of a string.

    In SQL: `ascii(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select ascii('abc');
    +--------------------+
    | ascii(Utf8("abc")) |
    +--------------------+
    | 97                 |
    +--------------------+
    > select ascii('🚀');
    +-------------------+
    | ascii(Utf8("🚀")) |
    +-------------------+
    | 128640            |
    +-------------------+
    ```
    """

def asin(*args: Value) -> Expr:
    """Returns the arc sine or inverse sine of a number.

    In SQL: `asin(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT asin(0.5);
    +------------+
    | asin(0.5)  |
    +------------+
    | 0.5235988  |
    +------------+
    ```
    """

def asinh(*args: Value) -> Expr:
    """Returns the area hyperbolic sine or inverse hyperbolic sine of a number.

    In SQL: `asinh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT asinh(1);
    +------------+
    | asinh(1)   |
    +------------+
    | 0.8813736  |
    +------------+
    ```
    """

def atan(*args: Value) -> Expr:
    """Returns the arc tangent or inverse tangent of a number.

    In SQL: `atan(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT atan(1);
    +-----------+
    | atan(1)   |
    +-----------+
    | 0.7853982 |
    +-----------+
    ```
    """

def atan2(*args: Value) -> Expr:
    """Returns the arc tangent or inverse tangent of `expression_y / expression_x`.

    In SQL: `atan2(expression_y, expression_x)`

    Arguments:
        expression_y: First numeric expression to operate on.
    Can be a constant, column, or function, and any combination of arithmetic operators.
        expression_x: Second numeric expression to operate on.
    Can be a constant, column, or function, and any combination of arithmetic operators.

    Example in SQL:

    ```sql
    > SELECT atan2(1, 1);
    +--------------------+
    | atan2(1,1)         |
    +--------------------+
    | 0.7853981633974483 |
    +--------------------+
    ```
    """

def atanh(*args: Value) -> Expr:
    """Returns the area hyperbolic tangent or inverse hyperbolic tangent of a number.

    In SQL: `atanh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT atanh(0.5);
    +-------------+
    | atanh(0.5)  |
    +-------------+
    | 0.5493061   |
    +-------------+
    ```
    """

def avg(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the average of numeric values in the specified column.

    In SQL: `avg(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT avg(column_name) FROM table_name;
    +---------------------------+
    | avg(column_name)           |
    +---------------------------+
    | 42.75                      |
    +---------------------------+
    ```
    """

def bit_and(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the bitwise AND of all non-null input values.

    In SQL: `bit_and(expression)`

    Arguments:
        expression: Integer expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def bit_length(*args: Value) -> Expr:
    """Returns the bit length of a string.

    In SQL: `bit_length(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select bit_length('datafusion');
    +--------------------------------+
    | bit_length(Utf8("datafusion")) |
    +--------------------------------+
    | 80                             |
    +--------------------------------+
    ```
    """

def bit_or(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the bitwise OR of all non-null input values.

    In SQL: `bit_or(expression)`

    Arguments:
        expression: Integer expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def bit_xor(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the bitwise exclusive OR of all non-null input values.

    In SQL: `bit_xor(expression)`

    Arguments:
        expression: Integer expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def bool_and(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns true if all non-null input values are true, otherwise false.

    In SQL: `bool_and(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT bool_and(column_name) FROM table_name;
    +----------------------------+
    | bool_and(column_name)       |
    +----------------------------+
    | true                        |
    +----------------------------+
    ```
    """

def bool_or(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns true if all non-null input values are true, otherwise false.

    In SQL: `bool_and(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT bool_and(column_name) FROM table_name;
    +----------------------------+
    | bool_and(column_name)       |
    +----------------------------+
    | true                        |
    +----------------------------+
    ```
    """

def btrim(*args: Value) -> Expr:
    """Trims the specified trim string from the start and end of a string. If no trim string is provided, all spaces are removed from the start and end of the input string.

    In SQL: `btrim(str[, trim_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        trim_str: String expression to operate on. Can be a constant, column, or function, and any combination of operators. _Default is a space._

    Example in SQL:

    ```sql
    > select btrim('__datafusion____', '_');
    +-------------------------------------------+
    | btrim(Utf8("__datafusion____"),Utf8("_")) |
    +-------------------------------------------+
    | datafusion                                |
    +-------------------------------------------+
    ```
    """

def cardinality(*args: Value) -> Expr:
    """Returns the total number of elements in the array.

    In SQL: `cardinality(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select cardinality([[1, 2, 3, 4], [5, 6, 7, 8]]);
    +--------------------------------------+
    | cardinality(List([1,2,3,4,5,6,7,8])) |
    +--------------------------------------+
    | 8                                    |
    +--------------------------------------+
    ```
    """

def cast_to_type(*args: Value) -> Expr:
    """Casts the first argument to the data type of the second argument. Only the type of the second argument is used; its value is ignored.

    In SQL: `cast_to_type(expression, reference)`

    Arguments:
        expression: The expression to cast. It can be a constant, column, or function, and any combination of operators.
        reference: Reference expression whose data type determines the target cast type. The value is ignored.

    Example in SQL:

    ```sql
    > select cast_to_type('42', NULL::INTEGER) as a;
    +----+
    | a  |
    +----+
    | 42 |
    +----+

    > select cast_to_type(1 + 2, NULL::DOUBLE) as b;
    +-----+
    | b   |
    +-----+
    | 3.0 |
    +-----+
    ```
    """

def cbrt(*args: Value) -> Expr:
    """Returns the cube root of a number.

    In SQL: `cbrt(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT cbrt(27);
    +-----------+
    | cbrt(27)  |
    +-----------+
    | 3.0       |
    +-----------+
    ```
    """

def ceil(*args: Value) -> Expr:
    """Returns the nearest integer greater than or equal to a number.

    In SQL: `ceil(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT ceil(3.14);
    +------------+
    | ceil(3.14) |
    +------------+
    | 4.0        |
    +------------+
    ```
    """

def char_length(*args: Value) -> Expr:
    """Returns the number of characters in a string.

    Another name of `character_length`.

    In SQL: `character_length(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select character_length('Ångström');
    +------------------------------------+
    | character_length(Utf8("Ångström")) |
    +------------------------------------+
    | 8                                  |
    +------------------------------------+
    ```
    """

def character_length(*args: Value) -> Expr:
    """Returns the number of characters in a string.

    In SQL: `character_length(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select character_length('Ångström');
    +------------------------------------+
    | character_length(Utf8("Ångström")) |
    +------------------------------------+
    | 8                                  |
    +------------------------------------+
    ```
    """

def chr(*args: Value) -> Expr:
    """Returns a string containing the character with the specified Unicode scalar value.

    In SQL: `chr(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select chr(128640);
    +--------------------+
    | chr(Int64(128640)) |
    +--------------------+
    | 🚀                 |
    +--------------------+
    ```
    """

def coalesce(*args: Value) -> Expr:
    """Returns the first of its arguments that is not _null_. Returns _null_ if all arguments are _null_. This function is often used to substitute a default value for _null_ values.

    In SQL: `coalesce(expression1[, ..., expression_n])`

    Arguments:
        expression1, expression_n: Expression to use if previous expressions are _null_. Can be a constant, column, or function, and any combination of arithmetic operators. Pass as many expression arguments as necessary.

    Example in SQL:

    ```sql
    > select coalesce(null, null, 'datafusion');
    +----------------------------------------+
    | coalesce(NULL,NULL,Utf8("datafusion")) |
    +----------------------------------------+
    | datafusion                             |
    +----------------------------------------+
    ```
    """

def concat(*args: Value) -> Expr:
    """Concatenates multiple strings together.

    In SQL: `concat(str[, ..., str_n])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        str_n: Subsequent string expressions to concatenate.

    Example in SQL:

    ```sql
    > select concat('data', 'f', 'us', 'ion');
    +-------------------------------------------------------+
    | concat(Utf8("data"),Utf8("f"),Utf8("us"),Utf8("ion")) |
    +-------------------------------------------------------+
    | datafusion                                            |
    +-------------------------------------------------------+
    ```
    """

def concat_ws(*args: Value) -> Expr:
    """Concatenates multiple strings together with a specified separator.

    In SQL: `concat_ws(separator, str[, ..., str_n])`

    Arguments:
        separator: Separator to insert between concatenated strings.
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        str_n: Subsequent string expressions to concatenate.

    Example in SQL:

    ```sql
    > select concat_ws('_', 'data', 'fusion');
    +--------------------------------------------------+
    | concat_ws(Utf8("_"),Utf8("data"),Utf8("fusion")) |
    +--------------------------------------------------+
    | data_fusion                                      |
    +--------------------------------------------------+
    ```
    """

def contains(*args: Value) -> Expr:
    """Return true if search_str is found within string (case-sensitive).

    In SQL: `contains(str, search_str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        search_str: The string to search for in str.

    Example in SQL:

    ```sql
    > select contains('the quick brown fox', 'row');
    +---------------------------------------------------+
    | contains(Utf8("the quick brown fox"),Utf8("row")) |
    +---------------------------------------------------+
    | true                                              |
    +---------------------------------------------------+
    ```
    """

def corr(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the coefficient of correlation between two numeric values.

    In SQL: `corr(expression1, expression2)`

    Arguments:
        expression1: First expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression2: Second expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT corr(column1, column2) FROM table_name;
    +--------------------------------+
    | corr(column1, column2)         |
    +--------------------------------+
    | 0.85                           |
    +--------------------------------+
    ```
    """

def cos(*args: Value) -> Expr:
    """Returns the cosine of a number.

    In SQL: `cos(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT cos(0);
    +--------+
    | cos(0) |
    +--------+
    | 1.0    |
    +--------+
    ```
    """

def cosh(*args: Value) -> Expr:
    """Returns the hyperbolic cosine of a number.

    In SQL: `cosh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT cosh(1);
    +-----------+
    | cosh(1)   |
    +-----------+
    | 1.5430806 |
    +-----------+
    ```
    """

def cosine_distance(*args: Value) -> Expr:
    """Returns the cosine distance between two input arrays of equal length. The cosine distance is defined as 1 - cosine_similarity, i.e. `1 - dot(a,b) / (||a|| * ||b||)`. Returns NULL if either array is NULL or contains only zeros.

    In SQL: `cosine_distance(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select cosine_distance([1.0, 0.0], [0.0, 1.0]);
    +-----------------------------------------------+
    | cosine_distance(List([1.0,0.0]),List([0.0,1.0])) |
    +-----------------------------------------------+
    | 1.0                                           |
    +-----------------------------------------------+
    ```
    """

def cot(*args: Value) -> Expr:
    """Returns the cotangent of a number.

    In SQL: `cot(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT cot(1);
    +---------+
    | cot(1)  |
    +---------+
    | 0.64209 |
    +---------+
    ```
    """

def count(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the number of non-null values in the specified column. To include null values in the total count, use `count(*)`.

    In SQL: `count(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT count(column_name) FROM table_name;
    +-----------------------+
    | count(column_name)     |
    +-----------------------+
    | 100                   |
    +-----------------------+

    > SELECT count(*) FROM table_name;
    +------------------+
    | count(*)         |
    +------------------+
    | 120              |
    +------------------+
    ```
    """

def covar(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the sample covariance of a set of number pairs.

    Another name of `covar_samp`.

    In SQL: `covar_samp(expression1, expression2)`

    Arguments:
        expression1: First expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression2: Second expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT covar_samp(column1, column2) FROM table_name;
    +-----------------------------------+
    | covar_samp(column1, column2)      |
    +-----------------------------------+
    | 8.25                              |
    +-----------------------------------+
    ```
    """

def covar_pop(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the sample covariance of a set of number pairs.

    In SQL: `covar_samp(expression1, expression2)`

    Arguments:
        expression1: First expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression2: Second expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT covar_samp(column1, column2) FROM table_name;
    +-----------------------------------+
    | covar_samp(column1, column2)      |
    +-----------------------------------+
    | 8.25                              |
    +-----------------------------------+
    ```
    """

def covar_samp(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the sample covariance of a set of number pairs.

    In SQL: `covar_samp(expression1, expression2)`

    Arguments:
        expression1: First expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression2: Second expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT covar_samp(column1, column2) FROM table_name;
    +-----------------------------------+
    | covar_samp(column1, column2)      |
    +-----------------------------------+
    | 8.25                              |
    +-----------------------------------+
    ```
    """

def cume_dist(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Relative rank of the current row: (number of rows preceding or peer with the current row) / (total rows).

    In SQL: `cume_dist()`

    Example in SQL:

    ```sql
    -- Example usage of the cume_dist window function:
    SELECT salary,
        cume_dist() OVER (ORDER BY salary) AS cume_dist
    FROM employees;

    +--------+-----------+
    | salary | cume_dist |
    +--------+-----------+
    | 30000  | 0.33      |
    | 50000  | 0.67      |
    | 70000  | 1.00      |
    +--------+-----------+
    ```
    """

def current_date(*args: Value) -> Expr:
    """Returns the current date in the session time zone.

    The `current_date()` return value is determined at query time and will return the same date, no matter when in the query plan the function executes.

    In SQL: `current_date()`

    Example in SQL:

    ```sql
    > SELECT current_date();
    +----------------+
    | current_date() |
    +----------------+
    | 2024-12-23     |
    +----------------+

    -- The current date is based on the session time zone (UTC by default)
    > SET datafusion.execution.time_zone = 'Asia/Tokyo';
    > SELECT current_date();
    +----------------+
    | current_date() |
    +----------------+
    | 2024-12-24     |
    +----------------+
    ```
    """

def current_time(*args: Value) -> Expr:
    """Returns the current time in the session time zone.

    The `current_time()` return value is determined at query time and will return the same time, no matter when in the query plan the function executes.

    The session time zone can be set using the statement 'SET datafusion.execution.time_zone = desired time zone'. The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `current_time()`

    Example in SQL:

    ```sql
    > SELECT current_time();
    +--------------------+
    | current_time()     |
    +--------------------+
    | 06:30:00.123456789 |
    +--------------------+

    -- The current time is based on the session time zone (UTC by default)
    > SET datafusion.execution.time_zone = 'Asia/Tokyo';
    > SELECT current_time();
    +--------------------+
    | current_time()     |
    +--------------------+
    | 15:30:00.123456789 |
    +--------------------+
    ```
    """

def current_timestamp(*args: Value) -> Expr:
    """Returns the current timestamp in the system configured timezone (None by default).

    The `now()` return value is determined at query time and will return the same timestamp, no matter when in the query plan the function executes.

    Another name of `now`.

    In SQL: `now()`

    Example in SQL:

    ```sql
    > SELECT now();
    +----------------------------------+
    | now()                            |
    +----------------------------------+
    | 2024-12-23T06:30:00.123456789    |
    +----------------------------------+

    -- The timezone of the returned timestamp depends on the session time zone
    > SET datafusion.execution.time_zone = 'America/New_York';
    > SELECT now();
    +--------------------------------------+
    | now()                                |
    +--------------------------------------+
    | 2024-12-23T01:30:00.123456789-05:00  |
    +--------------------------------------+
    ```
    """

def date_bin(*args: Value) -> Expr:
    """Calculates time intervals and returns the start of the interval nearest to the specified timestamp. Use `date_bin` to downsample time series data by grouping rows into time-based "bins" or "windows" and applying an aggregate or selector function to each window.

    For example, if you "bin" or "window" data into 15 minute intervals, an input timestamp of `2023-01-01T18:18:18Z` will be updated to the start time of the 15 minute bin it is in: `2023-01-01T18:15:00Z`.

    In SQL: `date_bin(interval, expression[, origin_timestamp])`

    Arguments:
        interval: Bin interval.
        expression: Time expression to operate on. Can be a constant, column, or function.
        origin_timestamp: Optional. Starting point used to determine bin boundaries. If not specified defaults 1970-01-01T00:00:00Z (the UNIX epoch in UTC). The following intervals are supported:

        - nanoseconds
        - microseconds
        - milliseconds
        - seconds
        - minutes
        - hours
        - days
        - weeks
        - months
        - years
        - century


    Example in SQL:

    ```sql
    -- Bin the timestamp into 1 day intervals
    > SELECT date_bin(interval '1 day', time) as bin
    FROM VALUES ('2023-01-01T18:18:18Z'), ('2023-01-03T19:00:03Z')  t(time);
    +---------------------+
    | bin                 |
    +---------------------+
    | 2023-01-01T00:00:00 |
    | 2023-01-03T00:00:00 |
    +---------------------+
    2 row(s) fetched.

    -- Bin the timestamp into 1 day intervals starting at 3AM on  2023-01-01
    > SELECT date_bin(interval '1 day', time,  '2023-01-01T03:00:00') as bin
    FROM VALUES ('2023-01-01T18:18:18Z'), ('2023-01-03T19:00:03Z')  t(time);
    +---------------------+
    | bin                 |
    +---------------------+
    | 2023-01-01T03:00:00 |
    | 2023-01-03T03:00:00 |
    +---------------------+
    2 row(s) fetched.

    -- Bin the time into 15 minute intervals starting at 1 min
    >  SELECT date_bin(interval '15 minutes', time, TIME '00:01:00') as bin
    FROM VALUES (TIME '02:18:18'), (TIME '19:00:03')  t(time);
    +----------+
    | bin      |
    +----------+
    | 02:16:00 |
    | 18:46:00 |
    +----------+
    2 row(s) fetched.
    ```
    """

def date_format(*args: Value) -> Expr:
    """Returns a string representation of a date, time, timestamp or duration based on a [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html). Unlike the PostgreSQL equivalent of this function numerical formatting is not supported.

    Another name of `to_char`.

    In SQL: `to_char(expression, format)`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function that results in a date, time, timestamp or duration.
        format: A [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) string to use to convert the expression.

    Example in SQL:

    ```sql
    > select to_char('2023-03-01'::date, '%d-%m-%Y');
    +----------------------------------------------+
    | to_char(Utf8("2023-03-01"),Utf8("%d-%m-%Y")) |
    +----------------------------------------------+
    | 01-03-2023                                   |
    +----------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def date_part(*args: Value) -> Expr:
    """Returns the specified part of the date as an integer.

    In SQL: `date_part(part, expression)`

    Arguments:
        part: Part of the date to return. The following date parts are supported:

        - year
        - isoyear (ISO 8601 week-numbering year)
        - quarter (emits value in inclusive range [1, 4] based on which quartile of the year the date is in)
        - month
        - week (week of the year)
        - day (day of the month)
        - hour
        - minute
        - second
        - millisecond
        - microsecond
        - nanosecond
        - dow (day of the week where Sunday is 0)
        - doy (day of the year)
        - epoch (seconds since Unix epoch for timestamps/dates, total seconds for intervals)
        - isodow (ISO 8601 day of the week where Monday is 1 and Sunday is 7)

        expression: Time expression to operate on. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT date_part('year', '2024-05-01T00:00:00');
    +-----------------------------------------------------+
    | date_part(Utf8("year"),Utf8("2024-05-01T00:00:00")) |
    +-----------------------------------------------------+
    | 2024                                                |
    +-----------------------------------------------------+
    > SELECT extract(day FROM timestamp '2024-05-01T00:00:00');
    +----------------------------------------------------+
    | date_part(Utf8("DAY"),Utf8("2024-05-01T00:00:00")) |
    +----------------------------------------------------+
    | 1                                                  |
    +----------------------------------------------------+
    ```
    """

def date_trunc(*args: Value) -> Expr:
    """Truncates a timestamp or time value to a specified precision.

    In SQL: `date_trunc(precision, expression)`

    Arguments:
        precision: Time precision to truncate to. The following precisions are supported:

        For Timestamp types:
        - year / YEAR
        - quarter / QUARTER
        - month / MONTH
        - week / WEEK
        - day / DAY
        - hour / HOUR
        - minute / MINUTE
        - second / SECOND
        - millisecond / MILLISECOND
        - microsecond / MICROSECOND

        For Time types (hour, minute, second, millisecond, microsecond only):
        - hour / HOUR
        - minute / MINUTE
        - second / SECOND
        - millisecond / MILLISECOND
        - microsecond / MICROSECOND

        expression: Timestamp or time expression to operate on. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT date_trunc('month', '2024-05-15T10:30:00');
    +-----------------------------------------------+
    | date_trunc(Utf8("month"),Utf8("2024-05-15T10:30:00")) |
    +-----------------------------------------------+
    | 2024-05-01T00:00:00                           |
    +-----------------------------------------------+
    > SELECT date_trunc('hour', '2024-05-15T10:30:00');
    +----------------------------------------------+
    | date_trunc(Utf8("hour"),Utf8("2024-05-15T10:30:00")) |
    +----------------------------------------------+
    | 2024-05-15T10:00:00                          |
    +----------------------------------------------+
    ```
    """

def datepart(*args: Value) -> Expr:
    """Returns the specified part of the date as an integer.

    Another name of `date_part`.

    In SQL: `date_part(part, expression)`

    Arguments:
        part: Part of the date to return. The following date parts are supported:

        - year
        - isoyear (ISO 8601 week-numbering year)
        - quarter (emits value in inclusive range [1, 4] based on which quartile of the year the date is in)
        - month
        - week (week of the year)
        - day (day of the month)
        - hour
        - minute
        - second
        - millisecond
        - microsecond
        - nanosecond
        - dow (day of the week where Sunday is 0)
        - doy (day of the year)
        - epoch (seconds since Unix epoch for timestamps/dates, total seconds for intervals)
        - isodow (ISO 8601 day of the week where Monday is 1 and Sunday is 7)

        expression: Time expression to operate on. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT date_part('year', '2024-05-01T00:00:00');
    +-----------------------------------------------------+
    | date_part(Utf8("year"),Utf8("2024-05-01T00:00:00")) |
    +-----------------------------------------------------+
    | 2024                                                |
    +-----------------------------------------------------+
    > SELECT extract(day FROM timestamp '2024-05-01T00:00:00');
    +----------------------------------------------------+
    | date_part(Utf8("DAY"),Utf8("2024-05-01T00:00:00")) |
    +----------------------------------------------------+
    | 1                                                  |
    +----------------------------------------------------+
    ```
    """

def datetrunc(*args: Value) -> Expr:
    """Truncates a timestamp or time value to a specified precision.

    Another name of `date_trunc`.

    In SQL: `date_trunc(precision, expression)`

    Arguments:
        precision: Time precision to truncate to. The following precisions are supported:

        For Timestamp types:
        - year / YEAR
        - quarter / QUARTER
        - month / MONTH
        - week / WEEK
        - day / DAY
        - hour / HOUR
        - minute / MINUTE
        - second / SECOND
        - millisecond / MILLISECOND
        - microsecond / MICROSECOND

        For Time types (hour, minute, second, millisecond, microsecond only):
        - hour / HOUR
        - minute / MINUTE
        - second / SECOND
        - millisecond / MILLISECOND
        - microsecond / MICROSECOND

        expression: Timestamp or time expression to operate on. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT date_trunc('month', '2024-05-15T10:30:00');
    +-----------------------------------------------+
    | date_trunc(Utf8("month"),Utf8("2024-05-15T10:30:00")) |
    +-----------------------------------------------+
    | 2024-05-01T00:00:00                           |
    +-----------------------------------------------+
    > SELECT date_trunc('hour', '2024-05-15T10:30:00');
    +----------------------------------------------+
    | date_trunc(Utf8("hour"),Utf8("2024-05-15T10:30:00")) |
    +----------------------------------------------+
    | 2024-05-15T10:00:00                          |
    +----------------------------------------------+
    ```
    """

def decode(*args: Value) -> Expr:
    """Decode binary data from textual representation in string.

    In SQL: `decode(expression, format)`

    Arguments:
        expression: Expression containing encoded string data
        format: Same arguments as [encode](#encode)
    """

def degrees(*args: Value) -> Expr:
    """Converts radians to degrees.

    In SQL: `degrees(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT degrees(pi());
    +------------+
    | degrees(0) |
    +------------+
    | 180.0      |
    +------------+
    ```
    """

def dense_rank(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the rank of the current row without gaps. This function ranks rows in a dense manner, meaning consecutive ranks are assigned even for identical values.

    In SQL: `dense_rank()`

    Example in SQL:

    ```sql
    -- Example usage of the dense_rank window function:
    SELECT department,
        salary,
        dense_rank() OVER (PARTITION BY department ORDER BY salary DESC) AS dense_rank
    FROM employees;

    +-------------+--------+------------+
    | department  | salary | dense_rank |
    +-------------+--------+------------+
    | Sales       | 70000  | 1          |
    | Sales       | 50000  | 2          |
    | Sales       | 50000  | 2          |
    | Sales       | 30000  | 3          |
    | Engineering | 90000  | 1          |
    | Engineering | 80000  | 2          |
    +-------------+--------+------------+
    ```
    """

def digest(*args: Value) -> Expr:
    """Computes the binary hash of an expression using the specified algorithm.

    In SQL: `digest(expression, algorithm)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        algorithm: String expression specifying algorithm to use. Must be one of:
        - md5
        - sha224
        - sha256
        - sha384
        - sha512
        - blake2s
        - blake2b
        - blake3

    Example in SQL:

    ```sql
    > select digest('foo', 'sha256');
    +------------------------------------------------------------------+
    | digest(Utf8("foo"),Utf8("sha256"))                               |
    +------------------------------------------------------------------+
    | 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae |
    +------------------------------------------------------------------+
    ```
    """

def dot_product(*args: Value) -> Expr:
    """Returns the inner product (dot product) of two input arrays of equal length, computed as `sum(array1[i] * array2[i])`. Returns NULL if either array is NULL or contains NULL elements. Returns 0.0 for two empty arrays.

    Another name of `inner_product`.

    In SQL: `inner_product(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select inner_product([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
    +-------------------------------------------------------+
    | inner_product(List([1.0,2.0,3.0]),List([4.0,5.0,6.0])) |
    +-------------------------------------------------------+
    | 32.0                                                  |
    +-------------------------------------------------------+
    ```
    """

def element_at(*args: Value) -> Expr:
    """Returns a list containing the value for the given key or an empty list if the key is not present in the map.

    Another name of `map_extract`.

    In SQL: `map_extract(map, key)`

    Arguments:
        map: Map expression. Can be a constant, column, or function, and any combination of map operators.
        key: Key to extract from the map. Can be a constant, column, or function, any combination of arithmetic or string operators, or a named expression of the previously listed.

    Example in SQL:

    ```sql
    SELECT map_extract(MAP {'a': 1, 'b': NULL, 'c': 3}, 'a');
    ----
    [1]

    SELECT map_extract(MAP {1: 'one', 2: 'two'}, 2);
    ----
    ['two']

    SELECT map_extract(MAP {'x': 10, 'y': NULL, 'z': 30}, 'y');
    ----
    [NULL]

    -- non-existing key
    SELECT map_extract(MAP {'x': 10, 'y': NULL, 'z': 30}, 'a');
    ----
    []
    ```
    """

def empty(*args: Value) -> Expr:
    """Returns 1 for an empty array or 0 for a non-empty array.

    In SQL: `empty(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select empty([1]);
    +------------------+
    | empty(List([1])) |
    +------------------+
    | 0                |
    +------------------+
    ```
    """

def encode(*args: Value) -> Expr:
    """Encode binary data into a textual representation.

    In SQL: `encode(expression, format)`

    Arguments:
        expression: Expression containing string or binary data
        format: Supported formats are: `base64`, `base64pad`, `hex`
    """

def ends_with(*args: Value) -> Expr:
    """Tests if a string ends with a substring.

    In SQL: `ends_with(str, substr)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring to test for.

    Example in SQL:

    ```sql
    >  select ends_with('datafusion', 'soin');
    +--------------------------------------------+
    | ends_with(Utf8("datafusion"),Utf8("soin")) |
    +--------------------------------------------+
    | false                                      |
    +--------------------------------------------+
    > select ends_with('datafusion', 'sion');
    +--------------------------------------------+
    | ends_with(Utf8("datafusion"),Utf8("sion")) |
    +--------------------------------------------+
    | true                                       |
    +--------------------------------------------+
    ```
    """

def exp(*args: Value) -> Expr:
    """Returns the base-e exponential of a number.

    In SQL: `exp(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT exp(1);
    +---------+
    | exp(1)  |
    +---------+
    | 2.71828 |
    +---------+
    ```
    """

def factorial(*args: Value) -> Expr:
    """Factorial of a non-negative integer. Errors if the argument is negative or the result overflows.

    In SQL: `factorial(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT factorial(5);
    +---------------+
    | factorial(5)  |
    +---------------+
    | 120           |
    +---------------+
    ```
    """

def file_row_index(*args: Value) -> Expr:
    """Returns the zero-based row offset within the source file
    that produced the current row.

    The value is scoped to one file, so rows from different files in the same scan
    can have the same row index. This function is intended to be rewritten at
    file-scan time. If the input file is not known (for example, if this function
    is evaluated outside a file scan, or was not pushed down into one), direct
    evaluation returns an error.

    In SQL: `file_row_index()`

    Example in SQL:

    ```sql
    SELECT file_row_index() FROM t;
    ```
    """

def find_in_set(*args: Value) -> Expr:
    """Returns a value in the range of 1 to N if the string str is in the string list strlist consisting of N substrings.

    In SQL: `find_in_set(str, strlist)`

    Arguments:
        str: String expression to find in strlist.
        strlist: A string list is a string composed of substrings separated by , characters.

    Example in SQL:

    ```sql
    > select find_in_set('b', 'a,b,c,d');
    +----------------------------------------+
    | find_in_set(Utf8("b"),Utf8("a,b,c,d")) |
    +----------------------------------------+
    | 2                                      |
    +----------------------------------------+
    ```
    """

def first_value(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the first element in an aggregation group according to the requested ordering. If no ordering is given, returns an arbitrary element from the group.

    In SQL: `first_value(expression [ORDER BY expression])`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT first_value(column_name ORDER BY other_column) FROM table_name;
    +-----------------------------------------------+
    | first_value(column_name ORDER BY other_column)|
    +-----------------------------------------------+
    | first_element                                 |
    +-----------------------------------------------+
    ```
    """

def flatten(*args: Value) -> Expr:
    """Converts an array of arrays to a flat array.

    - Applies to any depth of nested arrays
    - Does not change arrays that are already flat

    The flattened array contains all the elements from all source arrays.

    In SQL: `flatten(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select flatten([[1, 2], [3, 4]]);
    +------------------------------+
    | flatten(List([1,2], [3,4]))  |
    +------------------------------+
    | [1, 2, 3, 4]                 |
    +------------------------------+
    ```
    """

def floor(*args: Value) -> Expr:
    """Returns the nearest integer less than or equal to a number.

    In SQL: `floor(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT floor(3.14);
    +-------------+
    | floor(3.14) |
    +-------------+
    | 3.0         |
    +-------------+
    ```
    """

def from_unixtime(*args: Value) -> Expr:
    """Converts an integer to RFC3339 timestamp format (`YYYY-MM-DDT00:00:00.000000000Z`). Integers and unsigned integers are interpreted as seconds since the unix epoch (`1970-01-01T00:00:00Z`) return the corresponding timestamp.

    In SQL: `from_unixtime(expression[, timezone])`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.
        timezone: Optional timezone to use when converting the integer to a timestamp. If not provided, the default timezone is UTC.

    Example in SQL:

    ```sql
    > select from_unixtime(1599572549, 'America/New_York');
    +-----------------------------------------------------------+
    | from_unixtime(Int64(1599572549),Utf8("America/New_York")) |
    +-----------------------------------------------------------+
    | 2020-09-08T09:42:29-04:00                                 |
    +-----------------------------------------------------------+
    ```
    """

def gcd(*args: Value) -> Expr:
    """Returns the greatest common divisor of `expression_x` and `expression_y`. Returns 0 if both inputs are zero.

    In SQL: `gcd(expression_x, expression_y)`

    Arguments:
        expression_x: First numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_y: Second numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT gcd(48, 18);
    +------------+
    | gcd(48,18) |
    +------------+
    | 6          |
    +------------+
    ```
    """

def generate_series(*args: Value) -> Expr:
    """Similar to the range function, but it includes the upper bound.

    In SQL: `generate_series(stop)
    generate_series(start, stop[, step])`

    Arguments:
        start: Start of the series. Ints, timestamps, dates or string types that can be coerced to Date32 are supported.
        end: End of the series (included). Type must be the same as start.
        step: Increase by step (can not be 0). Steps less than a day are supported only for timestamp ranges.

    Example in SQL:

    ```sql
    > select generate_series(1,3);
    +------------------------------------+
    | generate_series(Int64(1),Int64(3)) |
    +------------------------------------+
    | [1, 2, 3]                          |
    +------------------------------------+
    ```
    """

def get_field(*args: Value) -> Expr:
    """Returns a field within a map or a struct with the given key.
        Supports nested field access by providing multiple field names.
        Note: most users invoke `get_field` indirectly via field access
        syntax such as `my_struct_col['field_name']` which results in a call to
        `get_field(my_struct_col, 'field_name')`.
        Nested access like `my_struct['a']['b']` is optimized to a single call:
        `get_field(my_struct, 'a', 'b')`.

    In SQL: `get_field(expression, field_name[, field_name2, ...])`

    Arguments:
        expression: The map or struct to retrieve a field from.
        field_name: The field name(s) to access, in order for nested access. Must evaluate to strings.

    Example in SQL:

    ```sql
    > -- Access a field from a struct column
    > create table test( struct_col) as values
        ({name: 'Alice', age: 30}),
        ({name: 'Bob', age: 25});
    > select struct_col from test;
    +-----------------------------+
    | struct_col                  |
    +-----------------------------+
    | {name: Alice, age: 30}      |
    | {name: Bob, age: 25}        |
    +-----------------------------+
    > select struct_col['name'] as name from test;
    +-------+
    | name  |
    +-------+
    | Alice |
    | Bob   |
    +-------+

    > -- Nested field access with multiple arguments
    > create table test(struct_col) as values
        ({outer: {inner_val: 42}});
    > select struct_col['outer']['inner_val'] as result from test;
    +--------+
    | result |
    +--------+
    | 42     |
    +--------+
    ```
    """

def greatest(*args: Value) -> Expr:
    """Returns the greatest value in a list of expressions. Returns _null_ if all expressions are _null_.

    In SQL: `greatest(expression1[, ..., expression_n])`

    Arguments:
        expression1, expression_n: Expressions to compare and return the greatest value.. Can be a constant, column, or function, and any combination of arithmetic operators. Pass as many expression arguments as necessary.

    Example in SQL:

    ```sql
    > select greatest(4, 7, 5);
    +---------------------------+
    | greatest(4,7,5)           |
    +---------------------------+
    | 7                         |
    +---------------------------+
    ```
    """

def grouping(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns 1 if the data is aggregated across the specified column, or 0 if it is not aggregated in the result set.

    In SQL: `grouping(expression)`

    Arguments:
        expression: Expression to evaluate whether data is aggregated across the specified column. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT column_name, GROUPING(column_name) AS group_column
      FROM table_name
      GROUP BY GROUPING SETS ((column_name), ());
    +-------------+-------------+
    | column_name | group_column |
    +-------------+-------------+
    | value1      | 0           |
    | value2      | 0           |
    | NULL        | 1           |
    +-------------+-------------+
    ```
    """

def histogram(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """How many values fall into each bin, as a list of structs {start, end, count}. A bin has its start and not its end, but for the last, which has both. With a number of bins they are equally wide from the least value to the largest, which keeps all values of a group until its end; with a list of edges counts are all that is kept, and values outside are left out. NaN is in no bin.

    In SQL: `histogram(expression, bins)`

    Arguments:
        expression: Numbers; nulls are left out.
        bins: How many bins, or the list of their edges, ascending: a constant.
    """

def ifnull(*args: Value) -> Expr:
    """Returns _expression2_ if _expression1_ is NULL otherwise it returns _expression1_ and _expression2_ is not evaluated. This function can be used to substitute a default value for NULL values.

    Another name of `nvl`.

    In SQL: `nvl(expression1, expression2)`

    Arguments:
        expression1: Expression to return if not null. Can be a constant, column, or function, and any combination of operators.
        expression2: Expression to return if expr1 is null. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select nvl(null, 'a');
    +---------------------+
    | nvl(NULL,Utf8("a")) |
    +---------------------+
    | a                   |
    +---------------------+\\
    > select nvl('b', 'a');
    +--------------------------+
    | nvl(Utf8("b"),Utf8("a")) |
    +--------------------------+
    | b                        |
    +--------------------------+
    ```
    """

def initcap(*args: Value) -> Expr:
    """Capitalizes the first character in each word in the input string. Words are delimited by non-alphanumeric characters.

    In SQL: `initcap(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select initcap('apache datafusion');
    +------------------------------------+
    | initcap(Utf8("apache datafusion")) |
    +------------------------------------+
    | Apache Datafusion                  |
    +------------------------------------+
    ```
    """

def inner_product(*args: Value) -> Expr:
    """Returns the inner product (dot product) of two input arrays of equal length, computed as `sum(array1[i] * array2[i])`. Returns NULL if either array is NULL or contains NULL elements. Returns 0.0 for two empty arrays.

    In SQL: `inner_product(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select inner_product([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]);
    +-------------------------------------------------------+
    | inner_product(List([1.0,2.0,3.0]),List([4.0,5.0,6.0])) |
    +-------------------------------------------------------+
    | 32.0                                                  |
    +-------------------------------------------------------+
    ```
    """

def input_file_name(*args: Value) -> Expr:
    """Returns the path of the input file that produced the current row.

    Note: file paths/URIs may be sensitive metadata depending on your environment.

    This function is intended to be rewritten at file-scan time (when the file is
    known). If the input file is not known (for example, if this function is
    evaluated outside a file scan, or was not pushed down into one), direct evaluation returns an error.

    In SQL: `input_file_name()`

    Example in SQL:

    ```sql
    SELECT input_file_name() FROM t;
    ```
    """

def instr(*args: Value) -> Expr:
    """Returns the starting position of a specified substring in a string. Positions begin at 1. If the substring does not exist in the string, the function returns 0.

    Another name of `strpos`.

    In SQL: `strpos(str, substr)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring expression to search for.

    Example in SQL:

    ```sql
    > select strpos('datafusion', 'fus');
    +----------------------------------------+
    | strpos(Utf8("datafusion"),Utf8("fus")) |
    +----------------------------------------+
    | 5                                      |
    +----------------------------------------+
    ```
    """

def isnan(*args: Value) -> Expr:
    """Returns true if a given number is +NaN or -NaN otherwise returns false.

    In SQL: `isnan(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT isnan(1);
    +----------+
    | isnan(1) |
    +----------+
    | false    |
    +----------+
    ```
    """

def iszero(*args: Value) -> Expr:
    """Returns true if a given number is +0.0 or -0.0 otherwise returns false.

    In SQL: `iszero(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT iszero(0);
    +------------+
    | iszero(0)  |
    +------------+
    | true       |
    +------------+
    ```
    """

def kurtosis(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The excess kurtosis of a sample, corrected for bias as pandas has it: null of fewer than four values, 0 of values that are all equal.

    In SQL: `kurtosis(expression)`

    Arguments:
        expression: Numbers; nulls are left out.
    """

def kurtosis_pop(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The excess kurtosis of all there is, as scipy.stats.kurtosis has it: NaN of values that are all equal.

    In SQL: `kurtosis_pop(expression)`

    Arguments:
        expression: Numbers; nulls are left out.
    """

def lag(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns value evaluated at the row that is offset rows before the current row within the partition; if there is no such row, instead return default (which must be of the same type as value).

    In SQL: `lag(expression, offset, default)`

    Arguments:
        expression: Expression to operate on
        offset: Integer. Specifies how many rows back the value of expression should be retrieved. Defaults to 1.
        default: The default value if the offset is not within the partition. Must be of the same type as expression.

    Example in SQL:

    ```sql
    -- Example usage of the lag window function:
    SELECT employee_id,
        salary,
        lag(salary, 1, 0) OVER (ORDER BY employee_id) AS prev_salary
    FROM employees;

    +-------------+--------+-------------+
    | employee_id | salary | prev_salary |
    +-------------+--------+-------------+
    | 1           | 30000  | 0           |
    | 2           | 50000  | 30000       |
    | 3           | 70000  | 50000       |
    | 4           | 60000  | 70000       |
    +-------------+--------+-------------+
    ```
    """

def last_value(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the last element in an aggregation group according to the requested ordering. If no ordering is given, returns an arbitrary element from the group.

    In SQL: `last_value(expression [ORDER BY expression])`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT last_value(column_name ORDER BY other_column) FROM table_name;
    +-----------------------------------------------+
    | last_value(column_name ORDER BY other_column) |
    +-----------------------------------------------+
    | last_element                                  |
    +-----------------------------------------------+
    ```
    """

def lcm(*args: Value) -> Expr:
    """Returns the least common multiple of `expression_x` and `expression_y`. Returns 0 if either input is zero.

    In SQL: `lcm(expression_x, expression_y)`

    Arguments:
        expression_x: First numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_y: Second numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT lcm(4, 5);
    +----------+
    | lcm(4,5) |
    +----------+
    | 20       |
    +----------+
    ```
    """

def lead(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns value evaluated at the row that is offset rows after the current row within the partition; if there is no such row, instead return default (which must be of the same type as value).

    In SQL: `lead(expression, offset, default)`

    Arguments:
        expression: Expression to operate on
        offset: Integer. Specifies how many rows forward the value of expression should be retrieved. Defaults to 1.
        default: The default value if the offset is not within the partition. Must be of the same type as expression.

    Example in SQL:

    ```sql
    -- Example usage of lead window function:
    SELECT
        employee_id,
        department,
        salary,
        lead(salary, 1, 0) OVER (PARTITION BY department ORDER BY salary) AS next_salary
    FROM employees;

    +-------------+-------------+--------+--------------+
    | employee_id | department  | salary | next_salary  |
    +-------------+-------------+--------+--------------+
    | 1           | Sales       | 30000  | 50000        |
    | 2           | Sales       | 50000  | 70000        |
    | 3           | Sales       | 70000  | 0            |
    | 4           | Engineering | 40000  | 60000        |
    | 5           | Engineering | 60000  | 0            |
    +-------------+-------------+--------+--------------+
    ```
    """

def least(*args: Value) -> Expr:
    """Returns the smallest value in a list of expressions. Returns _null_ if all expressions are _null_.

    In SQL: `least(expression1[, ..., expression_n])`

    Arguments:
        expression1, expression_n: Expressions to compare and return the smallest value. Can be a constant, column, or function, and any combination of arithmetic operators. Pass as many expression arguments as necessary.

    Example in SQL:

    ```sql
    > select least(4, 7, 5);
    +---------------------------+
    | least(4,7,5)              |
    +---------------------------+
    | 4                         |
    +---------------------------+
    ```
    """

def left(*args: Value) -> Expr:
    """Returns a specified number of characters from the left side of a string.

    In SQL: `left(str, n)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        n: Number of characters to return.

    Example in SQL:

    ```sql
    > select left('datafusion', 4);
    +-----------------------------------+
    | left(Utf8("datafusion"),Int64(4)) |
    +-----------------------------------+
    | data                              |
    +-----------------------------------+
    ```
    """

def length(*args: Value) -> Expr:
    """Returns the number of characters in a string.

    Another name of `character_length`.

    In SQL: `character_length(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select character_length('Ångström');
    +------------------------------------+
    | character_length(Utf8("Ångström")) |
    +------------------------------------+
    | 8                                  |
    +------------------------------------+
    ```
    """

def levenshtein(*args: Value) -> Expr:
    """Returns the [`Levenshtein distance`](https://en.wikipedia.org/wiki/Levenshtein_distance) between the two given strings.

    In SQL: `levenshtein(str1, str2)`

    Arguments:
        str1: String expression to compute Levenshtein distance with str2.
        str2: String expression to compute Levenshtein distance with str1.

    Example in SQL:

    ```sql
    > select levenshtein('kitten', 'sitting');
    +---------------------------------------------+
    | levenshtein(Utf8("kitten"),Utf8("sitting")) |
    +---------------------------------------------+
    | 3                                           |
    +---------------------------------------------+
    ```
    """

def list_add(*args: Value) -> Expr:
    """Returns the element-wise sum of two numeric arrays of equal length, computed as `array1[i] + array2[i]` per position. NULL is propagated per element: if either input element at position `i` is NULL, the corresponding output element is NULL (positions are preserved). Returns NULL if either entire input array is NULL. Errors if the per-row lengths differ. Returns an empty array if both inputs are empty.

    Another name of `array_add`.

    In SQL: `array_add(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_add([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]);
    +---------------------------------------------------------+
    | array_add(List([1.0,2.0,3.0]),List([10.0,20.0,30.0]))   |
    +---------------------------------------------------------+
    | [11.0, 22.0, 33.0]                                      |
    +---------------------------------------------------------+
    ```
    """

def list_any_match(*args: Value | Callable[..., Expr]) -> Expr:
    """Returns whether any elements of an array match the given predicate. Returns true if one or more elements match, false if none match (including empty arrays), and null if the predicate returns null for some elements and false for all others.

    Another name of `array_any_match`.

    In SQL: `any_match(array, predicate)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        predicate: Lambda predicate that returns a boolean

    Example in SQL:

    ```sql
    > select any_match([1, 2, 3], x -> x > 2);
    +----------------------------------+
    | any_match([1, 2, 3], x -> x > 2) |
    +----------------------------------+
    | true                             |
    +----------------------------------+
    ```
    """

def list_any_value(*args: Value) -> Expr:
    """Returns the first non-null element in the array. Returns NULL if the array is empty or NULL.

    Another name of `array_any_value`.

    In SQL: `array_any_value(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_any_value([NULL, 1, 2, 3]);
    +-------------------------------+
    | array_any_value(List([NULL,1,2,3])) |
    +-------------------------------------+
    | 1                                   |
    +-------------------------------------+
    ```
    """

def list_append(*args: Value) -> Expr:
    """Appends an element to the end of an array.

    Another name of `array_append`.

    In SQL: `array_append(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to append to the array.

    Example in SQL:

    ```sql
    > select array_append([1, 2, 3], 4);
    +--------------------------------------+
    | array_append(List([1,2,3]),Int64(4)) |
    +--------------------------------------+
    | [1, 2, 3, 4]                         |
    +--------------------------------------+
    ```
    """

def list_avg(*args: Value) -> Expr:
    """Returns the arithmetic mean (sum divided by count) of the elements of the input array. NULL elements are skipped (per SQL aggregate convention) and excluded from the count. Returns NULL if the input row is NULL, every element is NULL, or the array is empty.

    Another name of `array_avg`.

    In SQL: `array_avg(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_avg([1.0, 2.0, 3.0]);
    +----------------------------+
    | array_avg(List([1.0,2.0,3.0])) |
    +----------------------------+
    | 2.0                        |
    +----------------------------+
    ```
    """

def list_cat(*args: Value) -> Expr:
    """Concatenates arrays.

    Another name of `array_concat`.

    In SQL: `array_concat(array[, ..., array_n])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array_n: Subsequent array column or literal array to concatenate.

    Example in SQL:

    ```sql
    > select array_concat([1, 2], [3, 4], [5, 6]);
    +---------------------------------------------------+
    | array_concat(List([1,2]),List([3,4]),List([5,6])) |
    +---------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                |
    +---------------------------------------------------+
    ```
    """

def list_compact(*args: Value) -> Expr:
    """Removes null values from the array.

    Another name of `array_compact`.

    In SQL: `array_compact(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_compact([1, NULL, 2, NULL, 3]) arr;
    +-----------+
    | arr       |
    +-----------+
    | [1, 2, 3] |
    +-----------+
    ```
    """

def list_concat(*args: Value) -> Expr:
    """Concatenates arrays.

    Another name of `array_concat`.

    In SQL: `array_concat(array[, ..., array_n])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array_n: Subsequent array column or literal array to concatenate.

    Example in SQL:

    ```sql
    > select array_concat([1, 2], [3, 4], [5, 6]);
    +---------------------------------------------------+
    | array_concat(List([1,2]),List([3,4]),List([5,6])) |
    +---------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                |
    +---------------------------------------------------+
    ```
    """

def list_contains(*args: Value) -> Expr:
    """Returns true if the array contains the element.

    Another name of `array_has`.

    In SQL: `array_has(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Scalar or Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has([1, 2, 3], 2);
    +-----------------------------+
    | array_has(List([1,2,3]), 2) |
    +-----------------------------+
    | true                        |
    +-----------------------------+
    ```
    """

def list_dims(*args: Value) -> Expr:
    """Returns an array of the array's dimensions.

    Another name of `array_dims`.

    In SQL: `array_dims(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_dims([[1, 2, 3], [4, 5, 6]]);
    +---------------------------------+
    | array_dims(List([1,2,3,4,5,6])) |
    +---------------------------------+
    | [2, 3]                          |
    +---------------------------------+
    ```
    """

def list_distance(*args: Value) -> Expr:
    """Returns the Euclidean distance between two one-dimensional input arrays of equal length.

    Another name of `array_distance`.

    In SQL: `array_distance(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_distance([1, 2], [1, 4]);
    +------------------------------------+
    | array_distance(List([1,2], [1,4])) |
    +------------------------------------+
    | 2.0                                |
    +------------------------------------+
    ```
    """

def list_distinct(*args: Value) -> Expr:
    """Returns distinct values from the array after removing duplicates.

    Another name of `array_distinct`.

    In SQL: `array_distinct(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_distinct([1, 3, 2, 3, 1, 2, 4]);
    +---------------------------------+
    | array_distinct(List([1,2,3,4])) |
    +---------------------------------+
    | [1, 2, 3, 4]                    |
    +---------------------------------+
    ```
    """

def list_element(*args: Value) -> Expr:
    """Extracts the element with the index n from the array.

    Another name of `array_element`.

    In SQL: `array_element(array, index)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        index: Index to extract the element from the array.

    Example in SQL:

    ```sql
    > select array_element([1, 2, 3, 4], 3);
    +-----------------------------------------+
    | array_element(List([1,2,3,4]),Int64(3)) |
    +-----------------------------------------+
    | 3                                       |
    +-----------------------------------------+
    ```
    """

def list_empty(*args: Value) -> Expr:
    """Returns 1 for an empty array or 0 for a non-empty array.

    Another name of `empty`.

    In SQL: `empty(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select empty([1]);
    +------------------+
    | empty(List([1])) |
    +------------------+
    | 0                |
    +------------------+
    ```
    """

def list_except(*args: Value) -> Expr:
    """Returns an array of the elements that appear in the first array but not in the second.

    Another name of `array_except`.

    In SQL: `array_except(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_except([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_except([1, 2, 3, 4], [5, 6, 3, 4]);           |
    +----------------------------------------------------+
    | [1, 2]                                              |
    +----------------------------------------------------+
    > select array_except([1, 2, 3, 4], [3, 4, 5, 6]);
    +----------------------------------------------------+
    | array_except([1, 2, 3, 4], [3, 4, 5, 6]);           |
    +----------------------------------------------------+
    | [1, 2]                                              |
    +----------------------------------------------------+
    ```
    """

def list_extract(*args: Value) -> Expr:
    """Extracts the element with the index n from the array.

    Another name of `array_element`.

    In SQL: `array_element(array, index)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        index: Index to extract the element from the array.

    Example in SQL:

    ```sql
    > select array_element([1, 2, 3, 4], 3);
    +-----------------------------------------+
    | array_element(List([1,2,3,4]),Int64(3)) |
    +-----------------------------------------+
    | 3                                       |
    +-----------------------------------------+
    ```
    """

def list_filter(*args: Value | Callable[..., Expr]) -> Expr:
    """filters the values of an array using a boolean lambda

    Another name of `array_filter`.

    In SQL: `array_filter(array, x -> x > 2)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        lambda: Lambda that returns a boolean. Elements for which the lambda returns true are kept.

    Example in SQL:

    ```sql
    > select array_filter([1, 2, 3, 4, 5], x -> x > 2);
    +--------------------------------------------+
    | array_filter([1, 2, 3, 4, 5], x -> x > 2) |
    +--------------------------------------------+
    | [3, 4, 5]                                  |
    +--------------------------------------------+
    ```
    """

def list_first(*args: Value | Callable[..., Expr]) -> Expr:
    """Returns the first element of an array that satisfies the given predicate. Returns null if the array is empty or no element matches. A predicate that returns null for an element is treated as not matching.

    Another name of `array_first`.

    In SQL: `array_first(array, predicate)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        predicate: Lambda predicate that returns a boolean. The first element for which it returns true is returned.

    Example in SQL:

    ```sql
    > select array_first([1, 2, 3, 4], x -> x > 2);
    +----------------------------------------+
    | array_first([1,2,3,4],x -> x > 2)      |
    +----------------------------------------+
    | 3                                      |
    +----------------------------------------+
    ```
    """

def list_has(*args: Value) -> Expr:
    """Returns true if the array contains the element.

    Another name of `array_has`.

    In SQL: `array_has(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Scalar or Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has([1, 2, 3], 2);
    +-----------------------------+
    | array_has(List([1,2,3]), 2) |
    +-----------------------------+
    | true                        |
    +-----------------------------+
    ```
    """

def list_has_all(*args: Value) -> Expr:
    """Returns true if all elements of sub_array exist in array.

    Another name of `array_has_all`.

    In SQL: `array_has_all(array, sub_array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        sub_array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has_all([1, 2, 3, 4], [2, 3]);
    +---------------------------------------------+
    | array_has_all(List([1,2,3,4]), List([2,3])) |
    +---------------------------------------------+
    | true                                        |
    +---------------------------------------------+
    ```
    """

def list_has_any(*args: Value) -> Expr:
    """Returns true if the arrays have any elements in common.

    Another name of `array_has_any`.

    In SQL: `array_has_any(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_has_any([1, 2, 3], [3, 4]);
    +------------------------------------------+
    | array_has_any(List([1,2,3]), List([3,4])) |
    +------------------------------------------+
    | true                                     |
    +------------------------------------------+
    ```
    """

def list_indexof(*args: Value) -> Expr:
    """Returns the position of the first occurrence of the specified element in the array, or NULL if not found. Comparisons are done using `IS DISTINCT FROM` semantics, so NULL is considered to match NULL.

    Another name of `array_position`.

    In SQL: `array_position(array, element[, index])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.
        index: Index at which to start searching (1-indexed). Defaults to searching from the start

    Example in SQL:

    ```sql
    > select array_position([1, 2, 2, 3, 1, 4], 2);
    +----------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2)) |
    +----------------------------------------------+
    | 2                                            |
    +----------------------------------------------+
    > select array_position([1, 2, 2, 3, 1, 4], 2, 3);
    +----------------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2), Int64(3)) |
    +----------------------------------------------------+
    | 3                                                  |
    +----------------------------------------------------+
    ```
    """

def list_intersect(*args: Value) -> Expr:
    """Returns an array of elements in the intersection of array1 and array2.

    Another name of `array_intersect`.

    In SQL: `array_intersect(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_intersect([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_intersect([1, 2, 3, 4], [5, 6, 3, 4]);       |
    +----------------------------------------------------+
    | [3, 4]                                             |
    +----------------------------------------------------+
    > select array_intersect([1, 2, 3, 4], [5, 6, 7, 8]);
    +----------------------------------------------------+
    | array_intersect([1, 2, 3, 4], [5, 6, 7, 8]);       |
    +----------------------------------------------------+
    | []                                                 |
    +----------------------------------------------------+
    ```
    """

def list_join(*args: Value) -> Expr:
    """Converts each element to its text representation.

    Another name of `array_to_string`.

    In SQL: `array_to_string(array, delimiter[, null_string])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        delimiter: Array element separator.
        null_string: Optional. String to use for null values in the output. If not provided, nulls will be omitted.

    Example in SQL:

    ```sql
    > select array_to_string([[1, 2, 3, 4], [5, 6, 7, 8]], ',');
    +----------------------------------------------------+
    | array_to_string(List([1,2,3,4,5,6,7,8]),Utf8(",")) |
    +----------------------------------------------------+
    | 1,2,3,4,5,6,7,8                                    |
    +----------------------------------------------------+
    ```
    """

def list_length(*args: Value) -> Expr:
    """Returns the length of the array dimension.

    Another name of `array_length`.

    In SQL: `array_length(array[, dimension])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        dimension: Array dimension. Default is 1

    Example in SQL:

    ```sql
    > select array_length([1, 2, 3, 4, 5], 1);
    +-------------------------------------------+
    | array_length(List([1,2,3,4,5]), 1)        |
    +-------------------------------------------+
    | 5                                         |
    +-------------------------------------------+
    ```
    """

def list_max(*args: Value) -> Expr:
    """Returns the maximum value in the array.

    Another name of `array_max`.

    In SQL: `array_max(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_max([3,1,4,2]);
    +-----------------------------------------+
    | array_max(List([3,1,4,2]))              |
    +-----------------------------------------+
    | 4                                       |
    +-----------------------------------------+
    ```
    """

def list_ndims(*args: Value) -> Expr:
    """Returns the number of dimensions of the array.

    Another name of `array_ndims`.

    In SQL: `array_ndims(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_ndims([[1, 2, 3], [4, 5, 6]]);
    +----------------------------------+
    | array_ndims(List([1,2,3,4,5,6])) |
    +----------------------------------+
    | 2                                |
    +----------------------------------+
    ```
    """

def list_normalize(*args: Value) -> Expr:
    """Returns the L2-normalized vector for the input numeric array, computed as `array[i] / sqrt(sum(array[i]^2))` per element. Returns NULL if the input is NULL, contains NULL elements, or has zero magnitude (all elements are zero). Returns an empty array for an empty input array.

    Another name of `array_normalize`.

    In SQL: `array_normalize(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_normalize([3.0, 4.0]);
    +-----------------------------+
    | array_normalize(List([3.0,4.0])) |
    +-----------------------------+
    | [0.6, 0.8]                  |
    +-----------------------------+
    ```
    """

def list_pop_back(*args: Value) -> Expr:
    """Returns the array without the last element.

    Another name of `array_pop_back`.

    In SQL: `array_pop_back(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_pop_back([1, 2, 3]);
    +-------------------------------+
    | array_pop_back(List([1,2,3])) |
    +-------------------------------+
    | [1, 2]                        |
    +-------------------------------+
    ```
    """

def list_pop_front(*args: Value) -> Expr:
    """Returns the array without the first element.

    Another name of `array_pop_front`.

    In SQL: `array_pop_front(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_pop_front([1, 2, 3]);
    +-------------------------------+
    | array_pop_front(List([1,2,3])) |
    +-------------------------------+
    | [2, 3]                        |
    +-------------------------------+
    ```
    """

def list_position(*args: Value) -> Expr:
    """Returns the position of the first occurrence of the specified element in the array, or NULL if not found. Comparisons are done using `IS DISTINCT FROM` semantics, so NULL is considered to match NULL.

    Another name of `array_position`.

    In SQL: `array_position(array, element[, index])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.
        index: Index at which to start searching (1-indexed). Defaults to searching from the start

    Example in SQL:

    ```sql
    > select array_position([1, 2, 2, 3, 1, 4], 2);
    +----------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2)) |
    +----------------------------------------------+
    | 2                                            |
    +----------------------------------------------+
    > select array_position([1, 2, 2, 3, 1, 4], 2, 3);
    +----------------------------------------------------+
    | array_position(List([1,2,2,3,1,4]),Int64(2), Int64(3)) |
    +----------------------------------------------------+
    | 3                                                  |
    +----------------------------------------------------+
    ```
    """

def list_positions(*args: Value) -> Expr:
    """Searches for an element in the array, returns all occurrences.

    Another name of `array_positions`.

    In SQL: `array_positions(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to search for in the array.

    Example in SQL:

    ```sql
    > select array_positions([1, 2, 2, 3, 1, 4], 2);
    +-----------------------------------------------+
    | array_positions(List([1,2,2,3,1,4]),Int64(2)) |
    +-----------------------------------------------+
    | [2, 3]                                        |
    +-----------------------------------------------+
    ```
    """

def list_prepend(*args: Value) -> Expr:
    """Prepends an element to the beginning of an array.

    Another name of `array_prepend`.

    In SQL: `array_prepend(element, array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to prepend to the array.

    Example in SQL:

    ```sql
    > select array_prepend(1, [2, 3, 4]);
    +---------------------------------------+
    | array_prepend(Int64(1),List([2,3,4])) |
    +---------------------------------------+
    | [1, 2, 3, 4]                          |
    +---------------------------------------+
    ```
    """

def list_product(*args: Value) -> Expr:
    """Returns the product of the elements in the input numeric array. NULL elements inside the array are skipped (matching SQL aggregate convention). Returns NULL if the input is NULL, every element is  NULL, or the array is empty. The result is always returned as `Float64`.

    Another name of `array_product`.

    In SQL: `array_product(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_product([1.0, 2.0, 3.0]);
    +------------------------------------+
    | array_product(List([1.0,2.0,3.0])) |
    +------------------------------------+
    | 6.0                                |
    +------------------------------------+
    ```
    """

def list_push_back(*args: Value) -> Expr:
    """Appends an element to the end of an array.

    Another name of `array_append`.

    In SQL: `array_append(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to append to the array.

    Example in SQL:

    ```sql
    > select array_append([1, 2, 3], 4);
    +--------------------------------------+
    | array_append(List([1,2,3]),Int64(4)) |
    +--------------------------------------+
    | [1, 2, 3, 4]                         |
    +--------------------------------------+
    ```
    """

def list_push_front(*args: Value) -> Expr:
    """Prepends an element to the beginning of an array.

    Another name of `array_prepend`.

    In SQL: `array_prepend(element, array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to prepend to the array.

    Example in SQL:

    ```sql
    > select array_prepend(1, [2, 3, 4]);
    +---------------------------------------+
    | array_prepend(Int64(1),List([2,3,4])) |
    +---------------------------------------+
    | [1, 2, 3, 4]                          |
    +---------------------------------------+
    ```
    """

def list_remove(*args: Value) -> Expr:
    """Removes the first element from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    Another name of `array_remove`.

    In SQL: `array_remove(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.

    Example in SQL:

    ```sql
    > select array_remove([1, 2, 2, 3, 2, 1, 4], 2);
    +----------------------------------------------+
    | array_remove(List([1,2,2,3,2,1,4]),Int64(2)) |
    +----------------------------------------------+
    | [1, 2, 3, 2, 1, 4]                           |
    +----------------------------------------------+

    > select array_remove([1, 2, NULL, 2, 4], 2);
    +---------------------------------------------------+
    | array_remove(List([1,2,NULL,2,4]),Int64(2)) |
    +---------------------------------------------------+
    | [1, NULL, 2, 4]                              |
    +---------------------------------------------------+
    ```
    """

def list_remove_all(*args: Value) -> Expr:
    """Removes all elements from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    Another name of `array_remove_all`.

    In SQL: `array_remove_all(array, element)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.

    Example in SQL:

    ```sql
    > select array_remove_all([1, 2, 2, 3, 2, 1, 4], 2);
    +--------------------------------------------------+
    | array_remove_all(List([1,2,2,3,2,1,4]),Int64(2)) |
    +--------------------------------------------------+
    | [1, 3, 1, 4]                                     |
    +--------------------------------------------------+

    > select array_remove_all([1, 2, NULL, 2, 4], 2);
    +-----------------------------------------------------+
    | array_remove_all(List([1,2,NULL,2,4]),Int64(2)) |
    +-----------------------------------------------------+
    | [1, NULL, 4]                                     |
    +-----------------------------------------------------+
    ```
    """

def list_remove_n(*args: Value) -> Expr:
    """Removes the first `max` elements from the array equal to the given value. NULL elements already in the array are preserved when removing a non-NULL value. If `element` evaluates to NULL, the result is NULL rather than removing NULL entries.

    Another name of `array_remove_n`.

    In SQL: `array_remove_n(array, element, max)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        element: Element to be removed from the array.
        max: Number of first occurrences to remove.

    Example in SQL:

    ```sql
    > select array_remove_n([1, 2, 2, 3, 2, 1, 4], 2, 2);
    +---------------------------------------------------------+
    | array_remove_n(List([1,2,2,3,2,1,4]),Int64(2),Int64(2)) |
    +---------------------------------------------------------+
    | [1, 3, 2, 1, 4]                                         |
    +---------------------------------------------------------+

    > select array_remove_n([1, 2, NULL, 2, 4], 2, 2);
    +----------------------------------------------------------+
    | array_remove_n(List([1,2,NULL,2,4]),Int64(2),Int64(2)) |
    +----------------------------------------------------------+
    | [1, NULL, 4]                                            |
    +----------------------------------------------------------+
    ```
    """

def list_repeat(*args: Value) -> Expr:
    """Returns an array containing element `count` times.

    Another name of `array_repeat`.

    In SQL: `array_repeat(element, count)`

    Arguments:
        element: Element expression. Can be a constant, column, or function, and any combination of array operators.
        count: Value of how many times to repeat the element.

    Example in SQL:

    ```sql
    > select array_repeat(1, 3);
    +---------------------------------+
    | array_repeat(Int64(1),Int64(3)) |
    +---------------------------------+
    | [1, 1, 1]                       |
    +---------------------------------+
    > select array_repeat([1, 2], 2);
    +------------------------------------+
    | array_repeat(List([1,2]),Int64(2)) |
    +------------------------------------+
    | [[1, 2], [1, 2]]                   |
    +------------------------------------+
    ```
    """

def list_replace(*args: Value) -> Expr:
    """Replaces the first occurrence of the specified element with another specified element.

    Another name of `array_replace`.

    In SQL: `array_replace(array, from, to)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.

    Example in SQL:

    ```sql
    > select array_replace([1, 2, 2, 3, 2, 1, 4], 2, 5);
    +--------------------------------------------------------+
    | array_replace(List([1,2,2,3,2,1,4]),Int64(2),Int64(5)) |
    +--------------------------------------------------------+
    | [1, 5, 2, 3, 2, 1, 4]                                  |
    +--------------------------------------------------------+
    ```
    """

def list_replace_all(*args: Value) -> Expr:
    """Replaces all occurrences of the specified element with another specified element.

    Another name of `array_replace_all`.

    In SQL: `array_replace_all(array, from, to)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.

    Example in SQL:

    ```sql
    > select array_replace_all([1, 2, 2, 3, 2, 1, 4], 2, 5);
    +------------------------------------------------------------+
    | array_replace_all(List([1,2,2,3,2,1,4]),Int64(2),Int64(5)) |
    +------------------------------------------------------------+
    | [1, 5, 5, 3, 5, 1, 4]                                      |
    +------------------------------------------------------------+
    ```
    """

def list_replace_n(*args: Value) -> Expr:
    """Replaces the first `max` occurrences of the specified element with another specified element.

    Another name of `array_replace_n`.

    In SQL: `array_replace_n(array, from, to, max)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        from: Initial element.
        to: Final element.
        max: Number of first occurrences to replace.

    Example in SQL:

    ```sql
    > select array_replace_n([1, 2, 2, 3, 2, 1, 4], 2, 5, 2);
    +-------------------------------------------------------------------+
    | array_replace_n(List([1,2,2,3,2,1,4]),Int64(2),Int64(5),Int64(2)) |
    +-------------------------------------------------------------------+
    | [1, 5, 5, 3, 2, 1, 4]                                             |
    +-------------------------------------------------------------------+
    ```
    """

def list_resize(*args: Value) -> Expr:
    """Resizes the list to contain size elements.

    Another name of `array_resize`.

    In SQL: `array_resize(array, size[, value])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        size: New size of given array.
        value: If expanding the array, defines the values to fill in. Defaults to null.

    Example in SQL:

    ```sql
    > select array_resize([1, 2, 3], 5, 0);
    +-------------------------------------+
    | array_resize(List([1,2,3],5,0))     |
    +-------------------------------------+
    | [1, 2, 3, 0, 0]                     |
    +-------------------------------------+
    ```
    """

def list_reverse(*args: Value) -> Expr:
    """Returns the array with the order of the elements reversed.

    Another name of `array_reverse`.

    In SQL: `array_reverse(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_reverse([1, 2, 3, 4]);
    +------------------------------------------------------------+
    | array_reverse(List([1, 2, 3, 4]))                          |
    +------------------------------------------------------------+
    | [4, 3, 2, 1]                                               |
    +------------------------------------------------------------+
    ```
    """

def list_scale(*args: Value) -> Expr:
    """Returns a new array with each element of the input array multiplied by a scalar value, computed as `array[i] * scalar`. Returns NULL if the input row is NULL or the scalar is NULL. If a NULL element appears in the input array at position `i`, the result element at position `i` is NULL. Returns an empty array for an empty input array.

    Another name of `array_scale`.

    In SQL: `array_scale(array, scalar)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        scalar: Numeric scalar to multiply each element by. Can be a constant or column expression.

    Example in SQL:

    ```sql
    > select array_scale([1.0, 2.0, 3.0], 2.0);
    +----------------------------------+
    | array_scale(List([1.0,2.0,3.0]),Float64(2.0)) |
    +----------------------------------+
    | [2.0, 4.0, 6.0]                  |
    +----------------------------------+
    ```
    """

def list_slice(*args: Value) -> Expr:
    """Returns a slice of the array based on 1-indexed start and end positions.

    Another name of `array_slice`.

    In SQL: `array_slice(array, begin, end[, stride])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        begin: Index of the first element. If negative, it counts backward from the end of the array.
        end: Index of the last element. If negative, it counts backward from the end of the array.
        stride: Stride of the array slice. The default is 1.

    Example in SQL:

    ```sql
    > select array_slice([1, 2, 3, 4, 5, 6, 7, 8], 3, 6);
    +--------------------------------------------------------+
    | array_slice(List([1,2,3,4,5,6,7,8]),Int64(3),Int64(6)) |
    +--------------------------------------------------------+
    | [3, 4, 5, 6]                                           |
    +--------------------------------------------------------+
    ```
    """

def list_sort(*args: Value) -> Expr:
    """Sort array.

    Another name of `array_sort`.

    In SQL: `array_sort(array[, order[, nulls_order]])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        order: Whether to sort in ascending (`ASC`) or descending (`DESC`) order. The default is `ASC`.
        nulls_order: Whether to sort nulls first (`NULLS FIRST`) or last (`NULLS LAST`). The default is `NULLS FIRST`.

    Example in SQL:

    ```sql
    > select array_sort([3, 1, 2]);
    +-----------------------------+
    | array_sort(List([3,1,2]))   |
    +-----------------------------+
    | [1, 2, 3]                   |
    +-----------------------------+
    > select array_sort([3, 1, NULL, 2], 'desc', 'nulls last');
    +--------------------------------------------------+
    | array_sort(List(3,1,NULL,2),'desc','nulls last') |
    +--------------------------------------------------+
    | [3, 2, 1, NULL]                                  |
    +--------------------------------------------------+
    ```
    """

def list_subtract(*args: Value) -> Expr:
    """Returns the element-wise difference of two numeric arrays of equal length, computed as `array1[i] - array2[i]` per position. NULL is propagated per element: if either input element at position `i` is NULL, the corresponding output element is NULL (positions are preserved). Returns NULL if either entire input array is NULL. Errors if the per-row lengths differ. Returns an empty array if both inputs are empty.

    Another name of `array_subtract`.

    In SQL: `array_subtract(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_subtract([10.0, 20.0, 30.0], [1.0, 2.0, 3.0]);
    +--------------------------------------------------------------+
    | array_subtract(List([10.0,20.0,30.0]),List([1.0,2.0,3.0]))   |
    +--------------------------------------------------------------+
    | [9.0, 18.0, 27.0]                                            |
    +--------------------------------------------------------------+
    ```
    """

def list_sum(*args: Value) -> Expr:
    """Returns the sum of the elements of the input array, computed as `array[0] + array[1] + ...`. NULL elements are skipped (per SQL aggregate convention). Returns NULL if the input row is NULL, every element is NULL, or the array is empty.

    Another name of `array_sum`.

    In SQL: `array_sum(array)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_sum([1.0, 2.0, 3.0]);
    +----------------------------+
    | array_sum(List([1.0,2.0,3.0])) |
    +----------------------------+
    | 6.0                        |
    +----------------------------+
    ```
    """

def list_to_string(*args: Value) -> Expr:
    """Converts each element to its text representation.

    Another name of `array_to_string`.

    In SQL: `array_to_string(array, delimiter[, null_string])`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        delimiter: Array element separator.
        null_string: Optional. String to use for null values in the output. If not provided, nulls will be omitted.

    Example in SQL:

    ```sql
    > select array_to_string([[1, 2, 3, 4], [5, 6, 7, 8]], ',');
    +----------------------------------------------------+
    | array_to_string(List([1,2,3,4,5,6,7,8]),Utf8(",")) |
    +----------------------------------------------------+
    | 1,2,3,4,5,6,7,8                                    |
    +----------------------------------------------------+
    ```
    """

def list_transform(*args: Value | Callable[..., Expr]) -> Expr:
    """transforms the values of an array

    Another name of `array_transform`.

    In SQL: `array_transform(array, lambda)`

    Arguments:
        array: Array expression. Can be a constant, column, or function, and any combination of array operators.
        lambda: The lambda function used to transform each value of the array.

    Example in SQL:

    ```sql
    > select array_transform([1, 2, 3, 4, 5], x -> x*2);
    +-------------------------------------------+
    | array_transform([1, 2, 3, 4, 5], x -> x*2)       |
    +-------------------------------------------+
    | [2, 4, 6, 8, 10]                          |
    +-------------------------------------------+
    ```
    """

def list_union(*args: Value) -> Expr:
    """Returns an array of elements that are present in both arrays (all elements from both arrays) without duplicates.

    Another name of `array_union`.

    In SQL: `array_union(array1, array2)`

    Arguments:
        array1: Array expression. Can be a constant, column, or function, and any combination of array operators.
        array2: Array expression. Can be a constant, column, or function, and any combination of array operators.

    Example in SQL:

    ```sql
    > select array_union([1, 2, 3, 4], [5, 6, 3, 4]);
    +----------------------------------------------------+
    | array_union([1, 2, 3, 4], [5, 6, 3, 4]);           |
    +----------------------------------------------------+
    | [1, 2, 3, 4, 5, 6]                                 |
    +----------------------------------------------------+
    > select array_union([1, 2, 3, 4], [5, 6, 7, 8]);
    +----------------------------------------------------+
    | array_union([1, 2, 3, 4], [5, 6, 7, 8]);           |
    +----------------------------------------------------+
    | [1, 2, 3, 4, 5, 6, 7, 8]                           |
    +----------------------------------------------------+
    ```
    """

def list_zip(*args: Value) -> Expr:
    """Returns an array of structs created by combining the elements of each input array at the same index. If the arrays have different lengths, shorter arrays are padded with NULLs.

    Another name of `arrays_zip`.

    In SQL: `arrays_zip(array1[, ..., array_n])`

    Arguments:
        array1: First array expression.
        array_n: Optional additional array expressions.

    Example in SQL:

    ```sql
    > select arrays_zip([1, 2, 3]);
    +---------------------------------------------------+
    | arrays_zip([1, 2, 3])                             |
    +---------------------------------------------------+
    | [{1: 1}, {1: 2}, {1: 3}]                          |
    +---------------------------------------------------+
    > select arrays_zip([1, 2], [3, 4, 5]);
    +---------------------------------------------------+
    | arrays_zip([1, 2], [3, 4, 5])                     |
    +---------------------------------------------------+
    | [{1: 1, 2: 3}, {1: 2, 2: 4}, {1: NULL, 2: 5}]     |
    +---------------------------------------------------+
    ```
    """

def ln(*args: Value) -> Expr:
    """Returns the natural logarithm of a number.

    In SQL: `ln(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT ln(2.71828);
    +-------------+
    | ln(2.71828) |
    +-------------+
    | 1.0         |
    +-------------+
    ```
    """

def log(*args: Value) -> Expr:
    """Returns the base-x logarithm of a number. Can either provide a specified base, or if omitted then takes the base-10 of a number.

    In SQL: `log(base, numeric_expression)
    log(numeric_expression)`

    Arguments:
        base: Base numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT log(10);
    +---------+
    | log(10) |
    +---------+
    | 1.0     |
    +---------+
    ```
    """

def log10(*args: Value) -> Expr:
    """Returns the base-10 logarithm of a number.

    In SQL: `log10(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT log10(100);
    +-------------+
    | log10(100)  |
    +-------------+
    | 2.0         |
    +-------------+
    ```
    """

def log2(*args: Value) -> Expr:
    """Returns the base-2 logarithm of a number.

    In SQL: `log2(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT log2(8);
    +-----------+
    | log2(8)   |
    +-----------+
    | 3.0       |
    +-----------+
    ```
    """

def lower(*args: Value) -> Expr:
    """Converts a string to lower-case.

    In SQL: `lower(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select lower('Ångström');
    +-------------------------+
    | lower(Utf8("Ångström")) |
    +-------------------------+
    | ångström                |
    +-------------------------+
    ```
    """

def lpad(*args: Value) -> Expr:
    """Pads the left side of a string with another string to a specified string length.

    In SQL: `lpad(str, n[, padding_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        n: String length to pad to. If the input string is longer than this length, it is truncated (on the right).
        padding_str: Optional string expression to pad with. Can be a constant, column, or function, and any combination of string operators. _Default is a space._

    Example in SQL:

    ```sql
    > select lpad('Dolly', 10, 'hello');
    +---------------------------------------------+
    | lpad(Utf8("Dolly"),Int64(10),Utf8("hello")) |
    +---------------------------------------------+
    | helloDolly                                  |
    +---------------------------------------------+
    ```
    """

def ltrim(*args: Value) -> Expr:
    """Trims the specified trim string from the beginning of a string. If no trim string is provided, spaces are removed from the start of the input string.

    In SQL: `ltrim(str[, trim_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        trim_str: String expression to trim from the beginning of the input string. Can be a constant, column, or function, and any combination of arithmetic operators. _Default is a space._

    Example in SQL:

    ```sql
    > select ltrim('  datafusion  ');
    +-------------------------------+
    | ltrim(Utf8("  datafusion  ")) |
    +-------------------------------+
    | datafusion                    |
    +-------------------------------+
    > select ltrim('___datafusion___', '_');
    +-------------------------------------------+
    | ltrim(Utf8("___datafusion___"),Utf8("_")) |
    +-------------------------------------------+
    | datafusion___                             |
    +-------------------------------------------+
    ```
    """

def make_array(*args: Value) -> Expr:
    """Returns an array using the specified input expressions.

    In SQL: `make_array([expression1, ..., expression_n])`

    Arguments:
        expression_n: Expression to include in the output array. Can be a constant, column, or function, and any combination of arithmetic or string operators.

    Example in SQL:

    ```sql
    > select make_array(1, 2, 3, 4, 5);
    +----------------------------------------------------------+
    | make_array(Int64(1),Int64(2),Int64(3),Int64(4),Int64(5)) |
    +----------------------------------------------------------+
    | [1, 2, 3, 4, 5]                                          |
    +----------------------------------------------------------+
    ```
    """

def make_date(*args: Value) -> Expr:
    """Make a date from year/month/day component parts.

    In SQL: `make_date(year, month, day)`

    Arguments:
        year: Year to use when making the date. Can be a constant, column or function, and any combination of arithmetic operators.
        month: Month to use when making the date. Can be a constant, column or function, and any combination of arithmetic operators.
        day: Day to use when making the date. Can be a constant, column or function, and any combination of arithmetic operators.

    Example in SQL:

    ```sql
    > select make_date(2023, 1, 31);
    +-------------------------------------------+
    | make_date(Int64(2023),Int64(1),Int64(31)) |
    +-------------------------------------------+
    | 2023-01-31                                |
    +-------------------------------------------+
    > select make_date('2023', '01', '31');
    +-----------------------------------------------+
    | make_date(Utf8("2023"),Utf8("01"),Utf8("31")) |
    +-----------------------------------------------+
    | 2023-01-31                                    |
    +-----------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def make_list(*args: Value) -> Expr:
    """Returns an array using the specified input expressions.

    Another name of `make_array`.

    In SQL: `make_array([expression1, ..., expression_n])`

    Arguments:
        expression_n: Expression to include in the output array. Can be a constant, column, or function, and any combination of arithmetic or string operators.

    Example in SQL:

    ```sql
    > select make_array(1, 2, 3, 4, 5);
    +----------------------------------------------------------+
    | make_array(Int64(1),Int64(2),Int64(3),Int64(4),Int64(5)) |
    +----------------------------------------------------------+
    | [1, 2, 3, 4, 5]                                          |
    +----------------------------------------------------------+
    ```
    """

def make_time(*args: Value) -> Expr:
    """Make a time from hour/minute/second component parts.

    In SQL: `make_time(hour, minute, second)`

    Arguments:
        hour: Hour to use when making the time. Can be a constant, column or function, and any combination of arithmetic operators.
        minute: Minute to use when making the time. Can be a constant, column or function, and any combination of arithmetic operators.
        second: Second to use when making the time. Can be a constant, column or function, and any combination of arithmetic operators.

    Example in SQL:

    ```sql
    > select make_time(13, 23, 1);
    +-------------------------------------------+
    | make_time(Int64(13),Int64(23),Int64(1))   |
    +-------------------------------------------+
    | 13:23:01                                  |
    +-------------------------------------------+
    > select make_time('23', '01', '31');
    +-----------------------------------------------+
    | make_time(Utf8("23"),Utf8("01"),Utf8("31"))   |
    +-----------------------------------------------+
    | 23:01:31                                      |
    +-----------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def map(*args: Value) -> Expr:
    """Returns an Arrow map with the specified key-value pairs.

    The `make_map` function creates a map from two lists: one for keys and one for values. Each key must be unique and non-null.

    In SQL: `map(key, value)
    map {key: value}
    make_map(['key1', 'key2'], ['value1', 'value2'])`

    Arguments:
        key: For `map`: Expression to be used for key. Can be a constant, column, function, or any combination of arithmetic or string operators.
    For `make_map`: The list of keys to be used in the map. Each key must be unique and non-null.
        value: For `map`: Expression to be used for value. Can be a constant, column, function, or any combination of arithmetic or string operators.
    For `make_map`: The list of values to be mapped to the corresponding keys.

    Example in SQL:

    ```sql
    -- Using map function
    SELECT MAP('type', 'test');
    ----
    {type: test}

    SELECT MAP(['POST', 'HEAD', 'PATCH'], [41, 33, null]);
    ----
    {POST: 41, HEAD: 33, PATCH: NULL}

    SELECT MAP([[1,2], [3,4]], ['a', 'b']);
    ----
    {[1, 2]: a, [3, 4]: b}

    SELECT MAP { 'a': 1, 'b': 2 };
    ----
    {a: 1, b: 2}

    -- Using make_map function
    SELECT MAKE_MAP(['POST', 'HEAD'], [41, 33]);
    ----
    {POST: 41, HEAD: 33}

    SELECT MAKE_MAP(['key1', 'key2'], ['value1', null]);
    ----
    {key1: value1, key2: }
    ```
    """

def map_entries(*args: Value) -> Expr:
    """Returns a list of all entries in the map.

    In SQL: `map_entries(map)`

    Arguments:
        map: Map expression. Can be a constant, column, or function, and any combination of map operators.

    Example in SQL:

    ```sql
    SELECT map_entries(MAP {'a': 1, 'b': NULL, 'c': 3});
    ----
    [{'key': a, 'value': 1}, {'key': b, 'value': NULL}, {'key': c, 'value': 3}]

    SELECT map_entries(map([100, 5], [42, 43]));
    ----
    [{'key': 100, 'value': 42}, {'key': 5, 'value': 43}]
    ```
    """

def map_extract(*args: Value) -> Expr:
    """Returns a list containing the value for the given key or an empty list if the key is not present in the map.

    In SQL: `map_extract(map, key)`

    Arguments:
        map: Map expression. Can be a constant, column, or function, and any combination of map operators.
        key: Key to extract from the map. Can be a constant, column, or function, any combination of arithmetic or string operators, or a named expression of the previously listed.

    Example in SQL:

    ```sql
    SELECT map_extract(MAP {'a': 1, 'b': NULL, 'c': 3}, 'a');
    ----
    [1]

    SELECT map_extract(MAP {1: 'one', 2: 'two'}, 2);
    ----
    ['two']

    SELECT map_extract(MAP {'x': 10, 'y': NULL, 'z': 30}, 'y');
    ----
    [NULL]

    -- non-existing key
    SELECT map_extract(MAP {'x': 10, 'y': NULL, 'z': 30}, 'a');
    ----
    []
    ```
    """

def map_keys(*args: Value) -> Expr:
    """Returns a list of all keys in the map.

    In SQL: `map_keys(map)`

    Arguments:
        map: Map expression. Can be a constant, column, or function, and any combination of map operators.

    Example in SQL:

    ```sql
    SELECT map_keys(MAP {'a': 1, 'b': NULL, 'c': 3});
    ----
    [a, b, c]

    SELECT map_keys(map([100, 5], [42, 43]));
    ----
    [100, 5]
    ```
    """

def map_values(*args: Value) -> Expr:
    """Returns a list of all values in the map.

    In SQL: `map_values(map)`

    Arguments:
        map: Map expression. Can be a constant, column, or function, and any combination of map operators.

    Example in SQL:

    ```sql
    SELECT map_values(MAP {'a': 1, 'b': NULL, 'c': 3});
    ----
    [1, , 3]

    SELECT map_values(map([100, 5], [42, 43]));
    ----
    [42, 43]
    ```
    """

def max(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the maximum value in the specified column.

    In SQL: `max(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT max(column_name) FROM table_name;
    +----------------------+
    | max(column_name)      |
    +----------------------+
    | 150                  |
    +----------------------+
    ```
    """

def md5(*args: Value) -> Expr:
    """Computes an MD5 128-bit checksum for a string expression.

    In SQL: `md5(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select md5('foo');
    +----------------------------------+
    | md5(Utf8("foo"))                 |
    +----------------------------------+
    | acbd18db4cc2f85cedef654fccc4a4d8 |
    +----------------------------------+
    ```
    """

def mean(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the average of numeric values in the specified column.

    Another name of `avg`.

    In SQL: `avg(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT avg(column_name) FROM table_name;
    +---------------------------+
    | avg(column_name)           |
    +---------------------------+
    | 42.75                      |
    +---------------------------+
    ```
    """

def median(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the median value in the specified column.

    In SQL: `median(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT median(column_name) FROM table_name;
    +----------------------+
    | median(column_name)   |
    +----------------------+
    | 45.5                 |
    +----------------------+
    ```
    """

def min(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the minimum value in the specified column.

    In SQL: `min(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT min(column_name) FROM table_name;
    +----------------------+
    | min(column_name)      |
    +----------------------+
    | 12                   |
    +----------------------+
    ```
    """

def mode(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The value that occurs most often, and of several the smallest; null of no values.

    In SQL: `mode(expression)`

    Arguments:
        expression: Values of any type; nulls are left out.
    """

def named_struct(*args: Value) -> Expr:
    """Returns an Arrow struct using the specified name and input expressions pairs.
    For information on comparing and ordering struct values (including `NULL` handling),
    see [Comparison and Ordering](struct_coercion.md#comparison-and-ordering).

    In SQL: `named_struct(expression1_name, expression1_input[, ..., expression_n_name, expression_n_input])`

    Arguments:
        expression_n_name: Name of the column field. Must be a constant string.
        expression_n_input: Expression to include in the output struct. Can be a constant, column, or function, and any combination of arithmetic or string operators.

    Example in SQL:

    For example, this query converts two columns `a` and `b` to a single column with
    a struct type of fields `field_a` and `field_b`:
    ```sql
    > select * from t;
    +---+---+
    | a | b |
    +---+---+
    | 1 | 2 |
    | 3 | 4 |
    +---+---+
    > select named_struct('field_a', a, 'field_b', b) from t;
    +-------------------------------------------------------+
    | named_struct(Utf8("field_a"),t.a,Utf8("field_b"),t.b) |
    +-------------------------------------------------------+
    | {field_a: 1, field_b: 2}                              |
    | {field_a: 3, field_b: 4}                              |
    +-------------------------------------------------------+
    ```
    """

def nanvl(*args: Value) -> Expr:
    """Returns the first argument if it's not _NaN_.
    Returns the second argument otherwise.

    In SQL: `nanvl(expression_x, expression_y)`

    Arguments:
        expression_x: Numeric expression to return if it's not _NaN_. Can be a constant, column, or function, and any combination of arithmetic operators.
        expression_y: Numeric expression to return if the first expression is _NaN_. Can be a constant, column, or function, and any combination of arithmetic operators.

    Example in SQL:

    ```sql
    > SELECT nanvl(0, 5);
    +------------+
    | nanvl(0,5) |
    +------------+
    | 0          |
    +------------+
    ```
    """

def now(*args: Value) -> Expr:
    """Returns the current timestamp in the system configured timezone (None by default).

    The `now()` return value is determined at query time and will return the same timestamp, no matter when in the query plan the function executes.

    In SQL: `now()`

    Example in SQL:

    ```sql
    > SELECT now();
    +----------------------------------+
    | now()                            |
    +----------------------------------+
    | 2024-12-23T06:30:00.123456789    |
    +----------------------------------+

    -- The timezone of the returned timestamp depends on the session time zone
    > SET datafusion.execution.time_zone = 'America/New_York';
    > SELECT now();
    +--------------------------------------+
    | now()                                |
    +--------------------------------------+
    | 2024-12-23T01:30:00.123456789-05:00  |
    +--------------------------------------+
    ```
    """

def nth_value(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the nth value in a group of values.

    In SQL: `nth_value(expression, n ORDER BY expression)`

    Arguments:
        expression: The column or expression to retrieve the nth value from.
        n: The position (nth) of the value to retrieve, based on the ordering.

    Example in SQL:

    ```sql
    > SELECT dept_id, salary, NTH_VALUE(salary, 2) OVER (PARTITION BY dept_id ORDER BY salary ASC) AS second_salary_by_dept
      FROM employee;
    +---------+--------+-------------------------+
    | dept_id | salary | second_salary_by_dept   |
    +---------+--------+-------------------------+
    | 1       | 30000  | NULL                    |
    | 1       | 40000  | 40000                   |
    | 1       | 50000  | 40000                   |
    | 2       | 35000  | NULL                    |
    | 2       | 45000  | 45000                   |
    +---------+--------+-------------------------+
    ```
    """

def ntile(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Integer ranging from 1 to the argument value, dividing the partition as equally as possible

    In SQL: `ntile(expression)`

    Arguments:
        expression: An integer describing the number groups the partition should be split into

    Example in SQL:

    ```sql
    -- Example usage of the ntile window function:
    SELECT employee_id,
        salary,
        ntile(4) OVER (ORDER BY salary DESC) AS quartile
    FROM employees;

    +-------------+--------+----------+
    | employee_id | salary | quartile |
    +-------------+--------+----------+
    | 1           | 90000  | 1        |
    | 2           | 85000  | 1        |
    | 3           | 80000  | 2        |
    | 4           | 70000  | 2        |
    | 5           | 60000  | 3        |
    | 6           | 50000  | 3        |
    | 7           | 40000  | 4        |
    | 8           | 30000  | 4        |
    +-------------+--------+----------+
    ```
    """

def null_count(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """How many rows have no value; NaN is a value.

    In SQL: `null_count(expression)`

    Arguments:
        expression: Values of any type.
    """

def nullif(*args: Value) -> Expr:
    """Returns _null_ if _expression1_ equals _expression2_; otherwise it returns _expression1_.
    This can be used to perform the inverse operation of [`coalesce`](#coalesce).

    In SQL: `nullif(expression1, expression2)`

    Arguments:
        expression1: Expression to compare and return if equal to expression2. Can be a constant, column, or function, and any combination of operators.
        expression2: Expression to compare to expression1. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select nullif('datafusion', 'data');
    +-----------------------------------------+
    | nullif(Utf8("datafusion"),Utf8("data")) |
    +-----------------------------------------+
    | datafusion                              |
    +-----------------------------------------+
    > select nullif('datafusion', 'datafusion');
    +-----------------------------------------------+
    | nullif(Utf8("datafusion"),Utf8("datafusion")) |
    +-----------------------------------------------+
    |                                               |
    +-----------------------------------------------+
    ```
    """

def nvl(*args: Value) -> Expr:
    """Returns _expression2_ if _expression1_ is NULL otherwise it returns _expression1_ and _expression2_ is not evaluated. This function can be used to substitute a default value for NULL values.

    In SQL: `nvl(expression1, expression2)`

    Arguments:
        expression1: Expression to return if not null. Can be a constant, column, or function, and any combination of operators.
        expression2: Expression to return if expr1 is null. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select nvl(null, 'a');
    +---------------------+
    | nvl(NULL,Utf8("a")) |
    +---------------------+
    | a                   |
    +---------------------+\\
    > select nvl('b', 'a');
    +--------------------------+
    | nvl(Utf8("b"),Utf8("a")) |
    +--------------------------+
    | b                        |
    +--------------------------+
    ```
    """

def nvl2(*args: Value) -> Expr:
    """Returns _expression2_ if _expression1_ is not NULL; otherwise it returns _expression3_.

    In SQL: `nvl2(expression1, expression2, expression3)`

    Arguments:
        expression1: Expression to test for null. Can be a constant, column, or function, and any combination of operators.
        expression2: Expression to return if expr1 is not null. Can be a constant, column, or function, and any combination of operators.
        expression3: Expression to return if expr1 is null. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select nvl2(null, 'a', 'b');
    +--------------------------------+
    | nvl2(NULL,Utf8("a"),Utf8("b")) |
    +--------------------------------+
    | b                              |
    +--------------------------------+
    > select nvl2('data', 'a', 'b');
    +----------------------------------------+
    | nvl2(Utf8("data"),Utf8("a"),Utf8("b")) |
    +----------------------------------------+
    | a                                      |
    +----------------------------------------+
    ```
    """

def octet_length(*args: Value) -> Expr:
    """Returns the length of a string in bytes.

    In SQL: `octet_length(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select octet_length('Ångström');
    +--------------------------------+
    | octet_length(Utf8("Ångström")) |
    +--------------------------------+
    | 10                             |
    +--------------------------------+
    ```
    """

def overlay(*args: Value) -> Expr:
    """Returns the string which is replaced by another string from the specified position and specified count length.

    In SQL: `overlay(str PLACING substr FROM pos [FOR count])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring to replace in str.
        pos: The start position to start the replace in str.
        count: The count of characters to be replaced from start position of str. If not specified, will use substr length instead.

    Example in SQL:

    ```sql
    > select overlay('Txxxxas' placing 'hom' from 2 for 4);
    +--------------------------------------------------------+
    | overlay(Utf8("Txxxxas"),Utf8("hom"),Int64(2),Int64(4)) |
    +--------------------------------------------------------+
    | Thomas                                                 |
    +--------------------------------------------------------+
    ```
    """

def percent_rank(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the percentage rank of the current row within its partition. The value ranges from 0 to 1 and is computed as `(rank - 1) / (total_rows - 1)`.

    In SQL: `percent_rank()`

    Example in SQL:

    ```sql
        -- Example usage of the percent_rank window function:
    SELECT employee_id,
        salary,
        percent_rank() OVER (ORDER BY salary) AS percent_rank
    FROM employees;

    +-------------+--------+---------------+
    | employee_id | salary | percent_rank  |
    +-------------+--------+---------------+
    | 1           | 30000  | 0.00          |
    | 2           | 50000  | 0.50          |
    | 3           | 70000  | 1.00          |
    +-------------+--------+---------------+
    ```
    """

def percentile_cont(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the exact percentile of input values, interpolating between values if needed.

    In SQL: `percentile_cont(percentile) WITHIN GROUP (ORDER BY expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.
        percentile: Percentile to compute. Must be a float value between 0 and 1 (inclusive).

    Example in SQL:

    ```sql
    > SELECT percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +----------------------------------------------------------+
    | percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) |
    +----------------------------------------------------------+
    | 45.5                                                     |
    +----------------------------------------------------------+
    ```

    An alternate syntax is also supported:
    ```sql
    > SELECT percentile_cont(column_name, 0.75) FROM table_name;
    +---------------------------------------+
    | percentile_cont(column_name, 0.75)    |
    +---------------------------------------+
    | 45.5                                  |
    +---------------------------------------+
    ```
    """

def pi(*args: Value) -> Expr:
    """Returns an approximate value of π.

    In SQL: `pi()`
    """

def position(*args: Value) -> Expr:
    """Returns the starting position of a specified substring in a string. Positions begin at 1. If the substring does not exist in the string, the function returns 0.

    Another name of `strpos`.

    In SQL: `strpos(str, substr)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring expression to search for.

    Example in SQL:

    ```sql
    > select strpos('datafusion', 'fus');
    +----------------------------------------+
    | strpos(Utf8("datafusion"),Utf8("fus")) |
    +----------------------------------------+
    | 5                                      |
    +----------------------------------------+
    ```
    """

def pow(*args: Value) -> Expr:
    """Returns a base expression raised to the power of an exponent.

    Another name of `power`.

    In SQL: `power(base, exponent)`

    Arguments:
        base: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        exponent: Exponent numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT power(2, 3);
    +-------------+
    | power(2,3)  |
    +-------------+
    | 8           |
    +-------------+
    ```
    """

def power(*args: Value) -> Expr:
    """Returns a base expression raised to the power of an exponent.

    In SQL: `power(base, exponent)`

    Arguments:
        base: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        exponent: Exponent numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT power(2, 3);
    +-------------+
    | power(2,3)  |
    +-------------+
    | 8           |
    +-------------+
    ```
    """

def product(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The product of the values: of whole numbers a 64-bit whole number (an error where it overflows), else a 64-bit float. Null of no values.

    In SQL: `product(expression)`

    Arguments:
        expression: Numbers; nulls are left out.
    """

def quantile_cont(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the exact percentile of input values, interpolating between values if needed.

    Another name of `percentile_cont`.

    In SQL: `percentile_cont(percentile) WITHIN GROUP (ORDER BY expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.
        percentile: Percentile to compute. Must be a float value between 0 and 1 (inclusive).

    Example in SQL:

    ```sql
    > SELECT percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) FROM table_name;
    +----------------------------------------------------------+
    | percentile_cont(0.75) WITHIN GROUP (ORDER BY column_name) |
    +----------------------------------------------------------+
    | 45.5                                                     |
    +----------------------------------------------------------+
    ```

    An alternate syntax is also supported:
    ```sql
    > SELECT percentile_cont(column_name, 0.75) FROM table_name;
    +---------------------------------------+
    | percentile_cont(column_name, 0.75)    |
    +---------------------------------------+
    | 45.5                                  |
    +---------------------------------------+
    ```
    """

def radians(*args: Value) -> Expr:
    """Converts degrees to radians.

    In SQL: `radians(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT radians(180);
    +----------------+
    | radians(180)   |
    +----------------+
    | 3.14159265359  |
    +----------------+
    ```
    """

def rand(*args: Value) -> Expr:
    """Returns a random float value in the range [0, 1).
    The random seed is unique to each row.

    Another name of `random`.

    In SQL: `random()`

    Example in SQL:

    ```sql
    > SELECT random();
    +------------------+
    | random()         |
    +------------------+
    | 0.7389238902938  |
    +------------------+
    ```
    """

def random(*args: Value) -> Expr:
    """Returns a random float value in the range [0, 1).
    The random seed is unique to each row.

    In SQL: `random()`

    Example in SQL:

    ```sql
    > SELECT random();
    +------------------+
    | random()         |
    +------------------+
    | 0.7389238902938  |
    +------------------+
    ```
    """

def range(*args: Value) -> Expr:
    """Returns an Arrow array between start and stop with step. The range start..end contains all values with start <= x < end. It is empty if start >= end. Step cannot be 0.

    In SQL: `range(stop)
    range(start, stop[, step])`

    Arguments:
        start: Start of the range. Ints, timestamps, dates or string types that can be coerced to Date32 are supported.
        end: End of the range (not included). Type must be the same as start.
        step: Increase by step (cannot be 0). Steps less than a day are supported only for timestamp ranges.

    Example in SQL:

    ```sql
    > select range(2, 10, 3);
    +-----------------------------------+
    | range(Int64(2),Int64(10),Int64(3))|
    +-----------------------------------+
    | [2, 5, 8]                         |
    +-----------------------------------+

    > select range(DATE '1992-09-01', DATE '1993-03-01', INTERVAL '1' MONTH);
    +--------------------------------------------------------------------------+
    | range(DATE '1992-09-01', DATE '1993-03-01', INTERVAL '1' MONTH)          |
    +--------------------------------------------------------------------------+
    | [1992-09-01, 1992-10-01, 1992-11-01, 1992-12-01, 1993-01-01, 1993-02-01] |
    +--------------------------------------------------------------------------+
    ```
    """

def rank(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the rank of the current row within its partition, allowing gaps between ranks. This function provides a ranking similar to `row_number`, but skips ranks for identical values.

    In SQL: `rank()`

    Example in SQL:

    ```sql
    -- Example usage of the rank window function:
    SELECT department,
        salary,
        rank() OVER (PARTITION BY department ORDER BY salary DESC) AS rank
    FROM employees;

    +-------------+--------+------+
    | department  | salary | rank |
    +-------------+--------+------+
    | Sales       | 70000  | 1    |
    | Sales       | 50000  | 2    |
    | Sales       | 50000  | 2    |
    | Sales       | 30000  | 4    |
    | Engineering | 90000  | 1    |
    | Engineering | 80000  | 2    |
    +-------------+--------+------+
    ```
    """

def regexp_count(*args: Value) -> Expr:
    """Returns the number of matches that a [regular expression](https://docs.rs/regex/latest/regex/#syntax) has in a string.

    In SQL: `regexp_count(str, regexp[, start[, flags]])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        regexp: Regular expression to operate on. Can be a constant, column, or function, and any combination of operators.
        start: Optional start position (the first position is 1) to search for the regular expression. Can be a constant, column, or function.
        flags: Optional regular expression flags that control the behavior of the regular expression. Refer to the flags reference above for supported flags.

    Example in SQL:

    ```sql
    > select regexp_count('abcAbAbc', 'abc', 2, 'i');
    +---------------------------------------------------------------+
    | regexp_count(Utf8("abcAbAbc"),Utf8("abc"),Int64(2),Utf8("i")) |
    +---------------------------------------------------------------+
    | 1                                                             |
    +---------------------------------------------------------------+
    ```
    """

def regexp_instr(*args: Value) -> Expr:
    """Returns the position in a string where the specified occurrence of a POSIX regular expression is located.

    In SQL: `regexp_instr(str, regexp[, start[, N[, flags[, subexpr]]]])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        regexp: Regular expression to operate on. Can be a constant, column, or function, and any combination of operators.
        start: Optional start position (the first position is 1) to search for the regular expression. Can be a constant, column, or function. Defaults to 1
        N: Optional The N-th occurrence of pattern to find. Defaults to 1 (first match). Can be a constant, column, or function.
        flags: Optional regular expression flags that control the behavior of the regular expression. Refer to the flags reference above for supported flags.
        subexpr: Optional Specifies which capture group (subexpression) to return the position for. Defaults to 0, which returns the position of the entire match.

    Example in SQL:

    ```sql
    > SELECT regexp_instr('ABCDEF', 'C(.)(..)');
    +---------------------------------------------------------------+
    | regexp_instr(Utf8("ABCDEF"),Utf8("C(.)(..)"))                 |
    +---------------------------------------------------------------+
    | 3                                                             |
    +---------------------------------------------------------------+
    ```
    """

def regexp_like(*args: Value) -> Expr:
    """Returns true if a [regular expression](https://docs.rs/regex/latest/regex/#syntax) has at least one match in a string, false otherwise.

    In SQL: `regexp_like(str, regexp[, flags])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        regexp: Regular expression to operate on. Can be a constant, column, or function, and any combination of operators.
        flags: Optional regular expression flags that control the behavior of the regular expression. Refer to the flags reference above for supported flags.

    Example in SQL:

    ```sql
    select regexp_like('Köln', '[a-zA-Z]ö[a-zA-Z]{2}');
    +--------------------------------------------------------+
    | regexp_like(Utf8("Köln"),Utf8("[a-zA-Z]ö[a-zA-Z]{2}")) |
    +--------------------------------------------------------+
    | true                                                   |
    +--------------------------------------------------------+
    SELECT regexp_like('aBc', '(b|d)', 'i');
    +--------------------------------------------------+
    | regexp_like(Utf8("aBc"),Utf8("(b|d)"),Utf8("i")) |
    +--------------------------------------------------+
    | true                                             |
    +--------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/regexp.rs)
    """

def regexp_match(*args: Value) -> Expr:
    """Returns the first [regular expression](https://docs.rs/regex/latest/regex/#syntax) matches in a string.

    In SQL: `regexp_match(str, regexp[, flags])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        regexp: Regular expression to match against.
                Can be a constant, column, or function.
        flags: Optional regular expression flags that control the behavior of the regular expression. Refer to the flags reference above for supported flags.

    Example in SQL:

    ```sql
                > select regexp_match('Köln', '[a-zA-Z]ö[a-zA-Z]{2}');
                +---------------------------------------------------------+
                | regexp_match(Utf8("Köln"),Utf8("[a-zA-Z]ö[a-zA-Z]{2}")) |
                +---------------------------------------------------------+
                | [Köln]                                                  |
                +---------------------------------------------------------+
                SELECT regexp_match('aBc', '(b|d)', 'i');
                +---------------------------------------------------+
                | regexp_match(Utf8("aBc"),Utf8("(b|d)"),Utf8("i")) |
                +---------------------------------------------------+
                | [B]                                               |
                +---------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/regexp.rs)
    """

def regexp_replace(*args: Value) -> Expr:
    """Replaces substrings in a string that match a [regular expression](https://docs.rs/regex/latest/regex/#syntax).

    In SQL: `regexp_replace(str, regexp, replacement[, flags])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        regexp: Regular expression to match against.
      Can be a constant, column, or function.
        replacement: Replacement string expression to operate on. Can be a constant, column, or function, and any combination of operators.
        flags: Optional regular expression flags that control the behavior of the regular expression. Refer to the flags reference above for supported flags.

    Example in SQL:

    ```sql
    > select regexp_replace('foobarbaz', 'b(..)', 'X\\\\1Y', 'g');
    +------------------------------------------------------------------------+
    | regexp_replace(Utf8("foobarbaz"),Utf8("b(..)"),Utf8("X\\1Y"),Utf8("g")) |
    +------------------------------------------------------------------------+
    | fooXarYXazY                                                            |
    +------------------------------------------------------------------------+
    SELECT regexp_replace('aBc', '(b|d)', 'Ab\\\\1a', 'i');
    +-------------------------------------------------------------------+
    | regexp_replace(Utf8("aBc"),Utf8("(b|d)"),Utf8("Ab\\1a"),Utf8("i")) |
    +-------------------------------------------------------------------+
    | aAbBac                                                            |
    +-------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/regexp.rs)
    """

def regr_avgx(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the average of the independent variable (input) expression_x for the non-null paired data points.

    In SQL: `regr_avgx(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table daily_sales(day int, total_sales int) as values (1,100), (2,150), (3,200), (4,NULL), (5,250);
    select * from daily_sales;
    +-----+-------------+
    | day | total_sales |
    | --- | ----------- |
    | 1   | 100         |
    | 2   | 150         |
    | 3   | 200         |
    | 4   | NULL        |
    | 5   | 250         |
    +-----+-------------+

    SELECT regr_avgx(total_sales, day) AS avg_day FROM daily_sales;
    +----------+
    | avg_day  |
    +----------+
    |   2.75   |
    +----------+
    ```
    """

def regr_avgy(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the average of the dependent variable (output) expression_y for the non-null paired data points.

    In SQL: `regr_avgy(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table daily_temperature(day int, temperature int) as values (1,30), (2,32), (3, NULL), (4,35), (5,36);
    select * from daily_temperature;
    +-----+-------------+
    | day | temperature |
    | --- | ----------- |
    | 1   | 30          |
    | 2   | 32          |
    | 3   | NULL        |
    | 4   | 35          |
    | 5   | 36          |
    +-----+-------------+

    -- temperature as Dependent Variable(Y), day as Independent Variable(X)
    SELECT regr_avgy(temperature, day) AS avg_temperature FROM daily_temperature;
    +-----------------+
    | avg_temperature |
    +-----------------+
    | 33.25           |
    +-----------------+
    ```
    """

def regr_count(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Counts the number of non-null paired data points.

    In SQL: `regr_count(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table daily_metrics(day int, user_signups int) as values (1,100), (2,120), (3, NULL), (4,110), (5,NULL);
    select * from daily_metrics;
    +-----+---------------+
    | day | user_signups  |
    | --- | ------------- |
    | 1   | 100           |
    | 2   | 120           |
    | 3   | NULL          |
    | 4   | 110           |
    | 5   | NULL          |
    +-----+---------------+

    SELECT regr_count(user_signups, day) AS valid_pairs FROM daily_metrics;
    +-------------+
    | valid_pairs |
    +-------------+
    | 3           |
    +-------------+
    ```
    """

def regr_intercept(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the y-intercept of the linear regression line. For the equation (y = kx + b), this function returns b.

    In SQL: `regr_intercept(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table weekly_performance(week int, productivity_score int) as values (1,60), (2,65), (3, 70), (4,75), (5,80);
    select * from weekly_performance;
    +------+---------------------+
    | week | productivity_score  |
    | ---- | ------------------- |
    | 1    | 60                  |
    | 2    | 65                  |
    | 3    | 70                  |
    | 4    | 75                  |
    | 5    | 80                  |
    +------+---------------------+

    SELECT regr_intercept(productivity_score, week) AS intercept FROM weekly_performance;
    +----------+
    |intercept|
    |intercept |
    +----------+
    |  55      |
    +----------+
    ```
    """

def regr_r2(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the square of the correlation coefficient between the independent and dependent variables.

    In SQL: `regr_r2(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table weekly_performance(day int ,user_signups int) as values (1,60), (2,65), (3, 70), (4,75), (5,80);
    select * from weekly_performance;
    +-----+--------------+
    | day | user_signups |
    +-----+--------------+
    | 1   | 60           |
    | 2   | 65           |
    | 3   | 70           |
    | 4   | 75           |
    | 5   | 80           |
    +-----+--------------+

    SELECT regr_r2(user_signups, day) AS r_squared FROM weekly_performance;
    +---------+
    |r_squared|
    +---------+
    | 1.0     |
    +---------+
    ```
    """

def regr_slope(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the slope of the linear regression line for non-null pairs in aggregate columns. Given input column Y and X: regr_slope(Y, X) returns the slope (k in Y = k*X + b) using minimal RSS fitting.

    In SQL: `regr_slope(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table weekly_performance(day int, user_signups int) as values (1,60), (2,65), (3, 70), (4,75), (5,80);
    select * from weekly_performance;
    +-----+--------------+
    | day | user_signups |
    +-----+--------------+
    | 1   | 60           |
    | 2   | 65           |
    | 3   | 70           |
    | 4   | 75           |
    | 5   | 80           |
    +-----+--------------+

    SELECT regr_slope(user_signups, day) AS slope FROM weekly_performance;
    +--------+
    | slope  |
    +--------+
    | 5.0    |
    +--------+
    ```
    """

def regr_sxx(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the sum of squares of the independent variable.

    In SQL: `regr_sxx(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table study_hours(student_id int, hours int, test_score int) as values (1,2,55), (2,4,65), (3,6,75), (4,8,85), (5,10,95);
    select * from study_hours;
    +------------+-------+------------+
    | student_id | hours | test_score |
    +------------+-------+------------+
    | 1          | 2     | 55         |
    | 2          | 4     | 65         |
    | 3          | 6     | 75         |
    | 4          | 8     | 85         |
    | 5          | 10    | 95         |
    +------------+-------+------------+

    SELECT regr_sxx(test_score, hours) AS sxx FROM study_hours;
    +------+
    | sxx  |
    +------+
    | 40.0 |
    +------+
    ```
    """

def regr_sxy(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the sum of products of paired data points.

    In SQL: `regr_sxy(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table employee_productivity(week int, productivity_score int) as values(1,60), (2,65), (3,70);
    select * from employee_productivity;
    +------+--------------------+
    | week | productivity_score |
    +------+--------------------+
    | 1    | 60                 |
    | 2    | 65                 |
    | 3    | 70                 |
    +------+--------------------+

    SELECT regr_sxy(productivity_score, week) AS sum_product_deviations FROM employee_productivity;
    +------------------------+
    | sum_product_deviations |
    +------------------------+
    |       10.0             |
    +------------------------+
    ```
    """

def regr_syy(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Computes the sum of squares of the dependent variable.

    In SQL: `regr_syy(expression_y, expression_x)`

    Arguments:
        expression_y: Dependent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.
        expression_x: Independent variable expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    create table employee_productivity(week int, productivity_score int) as values (1,60), (2,65), (3,70);
    select * from employee_productivity;
    +------+--------------------+
    | week | productivity_score |
    +------+--------------------+
    | 1    | 60                 |
    | 2    | 65                 |
    | 3    | 70                 |
    +------+--------------------+

    SELECT regr_syy(productivity_score, week) AS sum_squares_y FROM employee_productivity;
    +---------------+
    | sum_squares_y |
    +---------------+
    |    50.0       |
    +---------------+
    ```
    """

def repeat(*args: Value) -> Expr:
    """Returns a string with an input string repeated a specified number.

    In SQL: `repeat(str, n)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        n: Number of times to repeat the input string.

    Example in SQL:

    ```sql
    > select repeat('data', 3);
    +-------------------------------+
    | repeat(Utf8("data"),Int64(3)) |
    +-------------------------------+
    | datadatadata                  |
    +-------------------------------+
    ```
    """

def replace(*args: Value) -> Expr:
    """Replaces all occurrences of a specified substring in a string with a new substring.

    In SQL: `replace(str, substr, replacement)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring expression to replace in the input string. Substring expression to operate on. Can be a constant, column, or function, and any combination of operators.
        replacement: Replacement substring expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select replace('ABabbaBA', 'ab', 'cd');
    +-------------------------------------------------+
    | replace(Utf8("ABabbaBA"),Utf8("ab"),Utf8("cd")) |
    +-------------------------------------------------+
    | ABcdbaBA                                        |
    +-------------------------------------------------+
    ```
    """

def reverse(*args: Value) -> Expr:
    """Reverses the character order of a string.

    In SQL: `reverse(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select reverse('datafusion');
    +-----------------------------+
    | reverse(Utf8("datafusion")) |
    +-----------------------------+
    | noisufatad                  |
    +-----------------------------+
    ```
    """

def right(*args: Value) -> Expr:
    """Returns a specified number of characters from the right side of a string.

    In SQL: `right(str, n)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        n: Number of characters to return.

    Example in SQL:

    ```sql
    > select right('datafusion', 6);
    +------------------------------------+
    | right(Utf8("datafusion"),Int64(6)) |
    +------------------------------------+
    | fusion                             |
    +------------------------------------+
    ```
    """

def round(*args: Value) -> Expr:
    """Rounds a number to the nearest integer.

    In SQL: `round(numeric_expression[, decimal_places])`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        decimal_places: Optional. The number of decimal places to round to. Defaults to 0.

    Example in SQL:

    ```sql
    > SELECT round(3.14159);
    +--------------+
    | round(3.14159)|
    +--------------+
    | 3.0          |
    +--------------+
    ```
    """

def row(*args: Value) -> Expr:
    """Returns an Arrow struct using the specified input expressions optionally named.
    Fields in the returned struct use the optional name or the `cN` naming convention.
    For example: `c0`, `c1`, `c2`, etc.
    For information on comparing and ordering struct values (including `NULL` handling),
    see [Comparison and Ordering](struct_coercion.md#comparison-and-ordering).

    Another name of `struct`.

    In SQL: `struct(expression1[, ..., expression_n])`

    Arguments:
        expression1, expression_n: Expression to include in the output struct. Can be a constant, column, or function, any combination of arithmetic or string operators.

    Example in SQL:

    For example, this query converts two columns `a` and `b` to a single column with
    a struct type of fields `field_a` and `c1`:
    ```sql
    > select * from t;
    +---+---+
    | a | b |
    +---+---+
    | 1 | 2 |
    | 3 | 4 |
    +---+---+

    -- use default names `c0`, `c1`
    > select struct(a, b) from t;
    +-----------------+
    | struct(t.a,t.b) |
    +-----------------+
    | {c0: 1, c1: 2}  |
    | {c0: 3, c1: 4}  |
    +-----------------+

    -- name the first field `field_a`
    select struct(a as field_a, b) from t;
    +--------------------------------------------------+
    | named_struct(Utf8("field_a"),t.a,Utf8("c1"),t.b) |
    +--------------------------------------------------+
    | {field_a: 1, c1: 2}                              |
    | {field_a: 3, c1: 4}                              |
    +--------------------------------------------------+
    ```
    """

def row_number(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Number of the current row within its partition, counting from 1.

    In SQL: `row_number()`

    Example in SQL:

    ```sql
    -- Example usage of the row_number window function:
    SELECT department,
      salary,
      row_number() OVER (PARTITION BY department ORDER BY salary DESC) AS row_num
    FROM employees;

    +-------------+--------+---------+
    | department  | salary | row_num |
    +-------------+--------+---------+
    | Sales       | 70000  | 1       |
    | Sales       | 50000  | 2       |
    | Sales       | 50000  | 3       |
    | Sales       | 30000  | 4       |
    | Engineering | 90000  | 1       |
    | Engineering | 80000  | 2       |
    +-------------+--------+---------+
    ```
    """

def rpad(*args: Value) -> Expr:
    """Pads the right side of a string with another string to a specified string length.

    In SQL: `rpad(str, n[, padding_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        n: String length to pad to. If the input string is longer than this length, it is truncated.
        padding_str: String expression to pad with. Can be a constant, column, or function, and any combination of string operators. _Default is a space._

    Example in SQL:

    ```sql
    >  select rpad('datafusion', 20, '_-');
    +-----------------------------------------------+
    | rpad(Utf8("datafusion"),Int64(20),Utf8("_-")) |
    +-----------------------------------------------+
    | datafusion_-_-_-_-_-                          |
    +-----------------------------------------------+
    ```
    """

def rtrim(*args: Value) -> Expr:
    """Trims the specified trim string from the end of a string. If no trim string is provided, all spaces are removed from the end of the input string.

    In SQL: `rtrim(str[, trim_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        trim_str: String expression to trim from the end of the input string. Can be a constant, column, or function, and any combination of arithmetic operators. _Default is a space._

    Example in SQL:

    ```sql
    > select rtrim('  datafusion  ');
    +-------------------------------+
    | rtrim(Utf8("  datafusion  ")) |
    +-------------------------------+
    |   datafusion                  |
    +-------------------------------+
    > select rtrim('___datafusion___', '_');
    +-------------------------------------------+
    | rtrim(Utf8("___datafusion___"),Utf8("_")) |
    +-------------------------------------------+
    | ___datafusion                             |
    +-------------------------------------------+
    ```
    """

def sha224(*args: Value) -> Expr:
    """Computes the SHA-224 hash of a binary string.

    In SQL: `sha224(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select sha224('foo');
    +----------------------------------------------------------+
    | sha224(Utf8("foo"))                                      |
    +----------------------------------------------------------+
    | 0808f64e60d58979fcb676c96ec938270dea42445aeefcd3a4e6f8db |
    +----------------------------------------------------------+
    ```
    """

def sha256(*args: Value) -> Expr:
    """Computes the SHA-256 hash of a binary string.

    In SQL: `sha256(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select sha256('foo');
    +------------------------------------------------------------------+
    | sha256(Utf8("foo"))                                              |
    +------------------------------------------------------------------+
    | 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae |
    +------------------------------------------------------------------+
    ```
    """

def sha384(*args: Value) -> Expr:
    """Computes the SHA-384 hash of a binary string.

    In SQL: `sha384(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select sha384('foo');
    +--------------------------------------------------------------------------------------------------+
    | sha384(Utf8("foo"))                                                                              |
    +--------------------------------------------------------------------------------------------------+
    | 98c11ffdfdd540676b1a137cb1a22b2a70350c9a44171d6b1180c6be5cbb2ee3f79d532c8a1dd9ef2e8e08e752a3babb |
    +--------------------------------------------------------------------------------------------------+
    ```
    """

def sha512(*args: Value) -> Expr:
    """Computes the SHA-512 hash of a binary string.

    In SQL: `sha512(expression)`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select sha512('foo');
    +----------------------------------------------------------------------------------------------------------------------------------+
    | sha512(Utf8("foo"))                                                                                                              |
    +----------------------------------------------------------------------------------------------------------------------------------+
    | f7fbba6e0636f890e56fbbf3283e524c6fa3204ae298382d624741d0dc6638326e282c41be5e4254d8820772c5518a2c5a8c0c7f7eda19594a7eb539453e1ed7 |
    +----------------------------------------------------------------------------------------------------------------------------------+
    ```
    """

def signum(*args: Value) -> Expr:
    """Returns the sign of a number.
    Negative numbers return `-1`.
    Zero and positive numbers return `1`.

    In SQL: `signum(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT signum(-42);
    +-------------+
    | signum(-42) |
    +-------------+
    | -1          |
    +-------------+
    ```
    """

def sin(*args: Value) -> Expr:
    """Returns the sine of a number.

    In SQL: `sin(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT sin(0);
    +----------+
    | sin(0)   |
    +----------+
    | 0.0      |
    +----------+
    ```
    """

def single_value(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The value of the only row; null when there is none, and an error when there are more.

    In SQL: `single_value(expression)`

    Arguments:
        expression: Values of any type.
    """

def sinh(*args: Value) -> Expr:
    """Returns the hyperbolic sine of a number.

    In SQL: `sinh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT sinh(1);
    +-----------+
    | sinh(1)   |
    +-----------+
    | 1.1752012 |
    +-----------+
    ```
    """

def skew(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The skewness of a sample, corrected for bias as pandas has it: null of fewer than three values, 0 of values that are all equal.

    In SQL: `skew(expression)`

    Arguments:
        expression: Numbers; nulls are left out.
    """

def skew_pop(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The skewness of all there is, as scipy.stats.skew has it: NaN of values that are all equal.

    In SQL: `skew_pop(expression)`

    Arguments:
        expression: Numbers; nulls are left out.
    """

def split_part(*args: Value) -> Expr:
    """Splits a string based on a specified delimiter and returns the substring in the specified position.

    In SQL: `split_part(str, delimiter, pos)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        delimiter: String or character to split on.
        pos: Position of the part to return (counting from 1). Negative values count backward from the end of the string.

    Example in SQL:

    ```sql
    > select split_part('1.2.3.4.5', '.', 3);
    +--------------------------------------------------+
    | split_part(Utf8("1.2.3.4.5"),Utf8("."),Int64(3)) |
    +--------------------------------------------------+
    | 3                                                |
    +--------------------------------------------------+
    ```
    """

def sqrt(*args: Value) -> Expr:
    """Returns the square root of a number.

    In SQL: `sqrt(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def stable_hash(*args: Value) -> Expr:
    """XXH64 of a value: the same in every run, process and version. Text and binary values are hashed as their bytes; whole numbers and booleans as 8 bytes, little-endian, whatever their width; floating-point numbers as those of a double, with one zero and one NaN; dates as their days, timestamps as their nanoseconds since 1970 in 16 bytes. Null has no hash.

    In SQL: `stable_hash(expression[, seed])`

    Arguments:
        expression: The value.
        seed: The seed of XXH64, a constant; 0 by default.
    """

def starts_with(*args: Value) -> Expr:
    """Tests if a string starts with a substring.

    In SQL: `starts_with(str, substr)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring to test for.

    Example in SQL:

    ```sql
    > select starts_with('datafusion','data');
    +----------------------------------------------+
    | starts_with(Utf8("datafusion"),Utf8("data")) |
    +----------------------------------------------+
    | true                                         |
    +----------------------------------------------+
    ```
    """

def stddev(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the standard deviation of a set of numbers.

    In SQL: `stddev(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT stddev(column_name) FROM table_name;
    +----------------------+
    | stddev(column_name)   |
    +----------------------+
    | 12.34                |
    +----------------------+
    ```
    """

def stddev_pop(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the population standard deviation of a set of numbers.

    In SQL: `stddev_pop(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT stddev_pop(column_name) FROM table_name;
    +--------------------------+
    | stddev_pop(column_name)   |
    +--------------------------+
    | 10.56                    |
    +--------------------------+
    ```
    """

def stddev_samp(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the standard deviation of a set of numbers.

    Another name of `stddev`.

    In SQL: `stddev(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT stddev(column_name) FROM table_name;
    +----------------------+
    | stddev(column_name)   |
    +----------------------+
    | 12.34                |
    +----------------------+
    ```
    """

def string_agg(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Concatenates the values of string expressions and places separator values between them. If ordering is required, strings are concatenated in the specified order. This aggregation function can only mix DISTINCT and ORDER BY if the ordering expression is exactly the same as the first argument expression.

    In SQL: `string_agg([DISTINCT] expression, delimiter [ORDER BY expression])`

    Arguments:
        expression: The string expression to concatenate. Can be a column or any valid string expression.
        delimiter: A literal string used as a separator between the concatenated values.

    Example in SQL:

    ```sql
    > SELECT string_agg(name, ', ') AS names_list
      FROM employee;
    +--------------------------+
    | names_list               |
    +--------------------------+
    | Alice, Bob, Bob, Charlie |
    +--------------------------+
    > SELECT string_agg(name, ', ' ORDER BY name DESC) AS names_list
      FROM employee;
    +--------------------------+
    | names_list               |
    +--------------------------+
    | Charlie, Bob, Bob, Alice |
    +--------------------------+
    > SELECT string_agg(DISTINCT name, ', ' ORDER BY name DESC) AS names_list
      FROM employee;
    +--------------------------+
    | names_list               |
    +--------------------------+
    | Charlie, Bob, Alice |
    +--------------------------+
    ```
    """

def string_to_array(*args: Value) -> Expr:
    """Splits a string into an array of substrings based on a delimiter. Any substrings matching the optional `null_str` argument are replaced with NULL.

    In SQL: `string_to_array(str, delimiter[, null_str])`

    Arguments:
        str: String expression to split.
        delimiter: Delimiter string to split on.
        null_str: Substring values to be replaced with `NULL`.

    Example in SQL:

    ```sql
    > select string_to_array('abc##def', '##');
    +-----------------------------------+
    | string_to_array(Utf8('abc##def'))  |
    +-----------------------------------+
    | ['abc', 'def']                    |
    +-----------------------------------+
    > select string_to_array('abc def', ' ', 'def');
    +---------------------------------------------+
    | string_to_array(Utf8('abc def'), Utf8(' '), Utf8('def')) |
    +---------------------------------------------+
    | ['abc', NULL]                               |
    +---------------------------------------------+
    ```
    """

def string_to_list(*args: Value) -> Expr:
    """Splits a string into an array of substrings based on a delimiter. Any substrings matching the optional `null_str` argument are replaced with NULL.

    Another name of `string_to_array`.

    In SQL: `string_to_array(str, delimiter[, null_str])`

    Arguments:
        str: String expression to split.
        delimiter: Delimiter string to split on.
        null_str: Substring values to be replaced with `NULL`.

    Example in SQL:

    ```sql
    > select string_to_array('abc##def', '##');
    +-----------------------------------+
    | string_to_array(Utf8('abc##def'))  |
    +-----------------------------------+
    | ['abc', 'def']                    |
    +-----------------------------------+
    > select string_to_array('abc def', ' ', 'def');
    +---------------------------------------------+
    | string_to_array(Utf8('abc def'), Utf8(' '), Utf8('def')) |
    +---------------------------------------------+
    | ['abc', NULL]                               |
    +---------------------------------------------+
    ```
    """

def strpos(*args: Value) -> Expr:
    """Returns the starting position of a specified substring in a string. Positions begin at 1. If the substring does not exist in the string, the function returns 0.

    In SQL: `strpos(str, substr)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        substr: Substring expression to search for.

    Example in SQL:

    ```sql
    > select strpos('datafusion', 'fus');
    +----------------------------------------+
    | strpos(Utf8("datafusion"),Utf8("fus")) |
    +----------------------------------------+
    | 5                                      |
    +----------------------------------------+
    ```
    """

def struct(*args: Value) -> Expr:
    """Returns an Arrow struct using the specified input expressions optionally named.
    Fields in the returned struct use the optional name or the `cN` naming convention.
    For example: `c0`, `c1`, `c2`, etc.
    For information on comparing and ordering struct values (including `NULL` handling),
    see [Comparison and Ordering](struct_coercion.md#comparison-and-ordering).

    In SQL: `struct(expression1[, ..., expression_n])`

    Arguments:
        expression1, expression_n: Expression to include in the output struct. Can be a constant, column, or function, any combination of arithmetic or string operators.

    Example in SQL:

    For example, this query converts two columns `a` and `b` to a single column with
    a struct type of fields `field_a` and `c1`:
    ```sql
    > select * from t;
    +---+---+
    | a | b |
    +---+---+
    | 1 | 2 |
    | 3 | 4 |
    +---+---+

    -- use default names `c0`, `c1`
    > select struct(a, b) from t;
    +-----------------+
    | struct(t.a,t.b) |
    +-----------------+
    | {c0: 1, c1: 2}  |
    | {c0: 3, c1: 4}  |
    +-----------------+

    -- name the first field `field_a`
    select struct(a as field_a, b) from t;
    +--------------------------------------------------+
    | named_struct(Utf8("field_a"),t.a,Utf8("c1"),t.b) |
    +--------------------------------------------------+
    | {field_a: 1, c1: 2}                              |
    | {field_a: 3, c1: 4}                              |
    +--------------------------------------------------+
    ```
    """

def substr(*args: Value) -> Expr:
    """Extracts a substring of a specified number of characters from a specific starting position in a string.

    In SQL: `substr(str, start_pos[, length])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        start_pos: Character position to start the substring at. The first character in the string has a position of 1. If the start position is less than 1, it is treated as if it is before the start of the string and the (absolute) number of characters before position 1 is subtracted from `length` (if given). For example, `substr('abc', -3, 6)` returns `'ab'`.
        length: Number of characters to extract. If not specified, returns the rest of the string after the start position.

    Example in SQL:

    ```sql
    > select substr('datafusion', 5, 3);
    +----------------------------------------------+
    | substr(Utf8("datafusion"),Int64(5),Int64(3)) |
    +----------------------------------------------+
    | fus                                          |
    +----------------------------------------------+
    ```
    """

def substr_index(*args: Value) -> Expr:
    """Returns the substring from str before count occurrences of the delimiter delim.
    If count is positive, everything to the left of the final delimiter (counting from the left) is returned.
    If count is negative, everything to the right of the final delimiter (counting from the right) is returned.

    In SQL: `substr_index(str, delim, count)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        delim: The string to find in str to split str.
        count: The number of times to search for the delimiter. Can be either a positive or negative number.

    Example in SQL:

    ```sql
    > select substr_index('www.apache.org', '.', 1);
    +---------------------------------------------------------+
    | substr_index(Utf8("www.apache.org"),Utf8("."),Int64(1)) |
    +---------------------------------------------------------+
    | www                                                     |
    +---------------------------------------------------------+
    > select substr_index('www.apache.org', '.', -1);
    +----------------------------------------------------------+
    | substr_index(Utf8("www.apache.org"),Utf8("."),Int64(-1)) |
    +----------------------------------------------------------+
    | org                                                      |
    +----------------------------------------------------------+
    ```
    """

def substring(*args: Value) -> Expr:
    """Extracts a substring of a specified number of characters from a specific starting position in a string.

    Another name of `substr`.

    In SQL: `substr(str, start_pos[, length])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        start_pos: Character position to start the substring at. The first character in the string has a position of 1. If the start position is less than 1, it is treated as if it is before the start of the string and the (absolute) number of characters before position 1 is subtracted from `length` (if given). For example, `substr('abc', -3, 6)` returns `'ab'`.
        length: Number of characters to extract. If not specified, returns the rest of the string after the start position.

    Example in SQL:

    ```sql
    > select substr('datafusion', 5, 3);
    +----------------------------------------------+
    | substr(Utf8("datafusion"),Int64(5),Int64(3)) |
    +----------------------------------------------+
    | fus                                          |
    +----------------------------------------------+
    ```
    """

def substring_index(*args: Value) -> Expr:
    """Returns the substring from str before count occurrences of the delimiter delim.
    If count is positive, everything to the left of the final delimiter (counting from the left) is returned.
    If count is negative, everything to the right of the final delimiter (counting from the right) is returned.

    Another name of `substr_index`.

    In SQL: `substr_index(str, delim, count)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        delim: The string to find in str to split str.
        count: The number of times to search for the delimiter. Can be either a positive or negative number.

    Example in SQL:

    ```sql
    > select substr_index('www.apache.org', '.', 1);
    +---------------------------------------------------------+
    | substr_index(Utf8("www.apache.org"),Utf8("."),Int64(1)) |
    +---------------------------------------------------------+
    | www                                                     |
    +---------------------------------------------------------+
    > select substr_index('www.apache.org', '.', -1);
    +----------------------------------------------------------+
    | substr_index(Utf8("www.apache.org"),Utf8("."),Int64(-1)) |
    +----------------------------------------------------------+
    | org                                                      |
    +----------------------------------------------------------+
    ```
    """

def sum(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the sum of all values in the specified column.

    In SQL: `sum(expression)`

    Arguments:
        expression: The expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT sum(column_name) FROM table_name;
    +-----------------------+
    | sum(column_name)       |
    +-----------------------+
    | 12345                 |
    +-----------------------+
    ```
    """

def tan(*args: Value) -> Expr:
    """Returns the tangent of a number.

    In SQL: `tan(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT tan(pi()/4);
    +--------------+
    | tan(PI()/4)  |
    +--------------+
    | 1.0          |
    +--------------+
    ```
    """

def tanh(*args: Value) -> Expr:
    """Returns the hyperbolic tangent of a number.

    In SQL: `tanh(numeric_expression)`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > SELECT tanh(20);
    +----------+
    | tanh(20) |
    +----------+
    | 1.0      |
    +----------+
      ```
    """

def to_char(*args: Value) -> Expr:
    """Returns a string representation of a date, time, timestamp or duration based on a [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html). Unlike the PostgreSQL equivalent of this function numerical formatting is not supported.

    In SQL: `to_char(expression, format)`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function that results in a date, time, timestamp or duration.
        format: A [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) string to use to convert the expression.

    Example in SQL:

    ```sql
    > select to_char('2023-03-01'::date, '%d-%m-%Y');
    +----------------------------------------------+
    | to_char(Utf8("2023-03-01"),Utf8("%d-%m-%Y")) |
    +----------------------------------------------+
    | 01-03-2023                                   |
    +----------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_date(*args: Value) -> Expr:
    """Converts a value to a date (`YYYY-MM-DD`).
    Supports strings, numeric and timestamp types as input.
    Strings are parsed as YYYY-MM-DD (e.g. '2023-07-20') if no [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html)s are provided.
    Integers and doubles are interpreted as days since the unix epoch (`1970-01-01T00:00:00Z`).
    Returns the corresponding date.

    Note: `to_date` returns Date32, which represents its values as the number of days since unix epoch(`1970-01-01`) stored as signed 32 bit value. The largest supported date value is `9999-12-31`.

    In SQL: `to_date(expression[, format1, ..., format_n])`

    Arguments:
        expression: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        format_n: Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression. Formats will be tried in the order
      they appear with the first successful one being returned. If none of the formats successfully parse the expression
      an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.

    Example in SQL:

    ```sql
    > select to_date('2023-01-31');
    +-------------------------------+
    | to_date(Utf8("2023-01-31")) |
    +-------------------------------+
    | 2023-01-31                    |
    +-------------------------------+
    > select to_date('2023/01/31', '%Y-%m-%d', '%Y/%m/%d');
    +---------------------------------------------------------------------+
    | to_date(Utf8("2023/01/31"),Utf8("%Y-%m-%d"),Utf8("%Y/%m/%d")) |
    +---------------------------------------------------------------------+
    | 2023-01-31                                                          |
    +---------------------------------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_hex(*args: Value) -> Expr:
    """Converts an integer to a hexadecimal string.

    In SQL: `to_hex(int)`

    Arguments:
        int: Integer expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select to_hex(12345689);
    +-------------------------+
    | to_hex(Int64(12345689)) |
    +-------------------------+
    | bc6159                  |
    +-------------------------+
    ```
    """

def to_local_time(*args: Value) -> Expr:
    """Converts a timestamp with a timezone to a timestamp without a timezone (with no offset or timezone information). This function handles daylight saving time changes.

    In SQL: `to_local_time(expression)`

    Arguments:
        expression: Time expression to operate on. Can be a constant, column, or function.

    Example in SQL:

    ```sql
    > SELECT to_local_time('2024-04-01T00:00:20Z'::timestamp);
    +---------------------------------------------+
    | to_local_time(Utf8("2024-04-01T00:00:20Z")) |
    +---------------------------------------------+
    | 2024-04-01T00:00:20                         |
    +---------------------------------------------+

    > SELECT to_local_time('2024-04-01T00:00:20Z'::timestamp AT TIME ZONE 'Europe/Brussels');
    +---------------------------------------------+
    | to_local_time(Utf8("2024-04-01T00:00:20Z")) |
    +---------------------------------------------+
    | 2024-04-01T00:00:20                         |
    +---------------------------------------------+

    > SELECT
      time,
      arrow_typeof(time) as type,
      to_local_time(time) as to_local_time,
      arrow_typeof(to_local_time(time)) as to_local_time_type
    FROM (
      SELECT '2024-04-01T00:00:20Z'::timestamp AT TIME ZONE 'Europe/Brussels' AS time
    );
    +---------------------------+----------------------------------+---------------------+--------------------+
    | time                      | type                             | to_local_time       | to_local_time_type |
    +---------------------------+----------------------------------+---------------------+--------------------+
    | 2024-04-01T00:00:20+02:00 | Timestamp(ns, "Europe/Brussels") | 2024-04-01T00:00:20 | Timestamp(ns)      |
    +---------------------------+----------------------------------+---------------------+--------------------+

    # combine `to_local_time()` with `date_bin()` to bin on boundaries in the timezone rather
    # than UTC boundaries

    > SELECT date_bin(interval '1 day', to_local_time('2024-04-01T00:00:20Z'::timestamp AT TIME ZONE 'Europe/Brussels')) AS date_bin;
    +---------------------+
    | date_bin            |
    +---------------------+
    | 2024-04-01T00:00:00 |
    +---------------------+

    > SELECT date_bin(interval '1 day', to_local_time('2024-04-01T00:00:20Z'::timestamp AT TIME ZONE 'Europe/Brussels')) AT TIME ZONE 'Europe/Brussels' AS date_bin_with_timezone;
    +---------------------------+
    | date_bin_with_timezone    |
    +---------------------------+
    | 2024-04-01T00:00:00+02:00 |
    +---------------------------+
    ```
    """

def to_time(*args: Value) -> Expr:
    """Converts a value to a time (`HH:MM:SS.nnnnnnnnn`).
    Supports strings and timestamps as input.
    Strings are parsed as `HH:MM:SS`, `HH:MM:SS.nnnnnnnnn`, or `HH:MM` if no [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html)s are provided.
    Timestamps will have the time portion extracted.
    Returns the corresponding time.

    Note: `to_time` returns Time64(Nanosecond), which represents the time of day in nanoseconds since midnight.

    In SQL: `to_time(expression[, format1, ..., format_n])`

    Arguments:
        expression: String or Timestamp expression to operate on. Can be a constant, column, or function, and any combination of operators.
        format_n: Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression. Formats will be tried in the order
      they appear with the first successful one being returned. If none of the formats successfully parse the expression
      an error will be returned.

    Example in SQL:

    ```sql
    > select to_time('12:30:45');
    +---------------------------+
    | to_time(Utf8("12:30:45")) |
    +---------------------------+
    | 12:30:45                  |
    +---------------------------+
    > select to_time('12-30-45', '%H-%M-%S');
    +--------------------------------------------+
    | to_time(Utf8("12-30-45"),Utf8("%H-%M-%S")) |
    +--------------------------------------------+
    | 12:30:45                                   |
    +--------------------------------------------+
    > select to_time('2024-01-15 14:30:45'::timestamp);
    +--------------------------------------------------+
    | to_time(Utf8("2024-01-15 14:30:45"))             |
    +--------------------------------------------------+
    | 14:30:45                                         |
    +--------------------------------------------------+
    ```

    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_timestamp(*args: Value) -> Expr:
    """Converts a value to a timestamp (`YYYY-MM-DDT00:00:00.000000<TZ>`) in the session time zone. Supports strings,
    integer, unsigned integer, and double types as input. Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Strings that parse without a time zone are treated as if they are in the
    session time zone, or UTC if no session time zone is set.
    Integers, unsigned integers, and doubles are interpreted as seconds since the unix epoch (`1970-01-01T00:00:00Z`).

    Note: `to_timestamp` returns `Timestamp(ns, TimeZone)` where the time zone is the session time zone. The supported range
    for integer input is between`-9223372037` and `9223372036`. Supported range for string input is between
    `1677-09-21T00:12:44.0` and `2262-04-11T23:47:16.0`. Please use `to_timestamp_seconds`
    for the input outside of supported bounds.

    The session time zone can be set using the statement `SET TIMEZONE = 'desired time zone'`.
    The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `to_timestamp(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n:
    Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression.
    Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully
    parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.
    Note: parsing of named timezones (e.g. 'America/New_York') using %Z is
    only supported at the end of the string preceded by a space.


    Example in SQL:

    ```sql
    > select to_timestamp('2023-01-31T09:26:56.123456789-05:00');
    +-----------------------------------------------------------+
    | to_timestamp(Utf8("2023-01-31T09:26:56.123456789-05:00")) |
    +-----------------------------------------------------------+
    | 2023-01-31T14:26:56.123456789                             |
    +-----------------------------------------------------------+
    > select to_timestamp('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y');
    +--------------------------------------------------------------------------------------------------------+
    | to_timestamp(Utf8("03:59:00.123456789 05-17-2023"),Utf8("%c"),Utf8("%+"),Utf8("%H:%M:%S%.f %m-%d-%Y")) |
    +--------------------------------------------------------------------------------------------------------+
    | 2023-05-17T03:59:00.123456789                                                                          |
    +--------------------------------------------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_timestamp_micros(*args: Value) -> Expr:
    """Converts a value to a timestamp (`YYYY-MM-DDT00:00:00.000000<TZ>`) in the session time zone. Supports strings,
    integer, unsigned integer, and double types as input. Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Strings that parse without a time zone are treated as if they are in the
    session time zone, or UTC if no session time zone is set.
    Integers, unsigned integers, and doubles are interpreted as microseconds since the unix epoch (`1970-01-01T00:00:00Z`).

    The session time zone can be set using the statement `SET TIMEZONE = 'desired time zone'`.
    The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `to_timestamp_micros(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n:
    Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression.
    Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully
    parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.
    Note: parsing of named timezones (e.g. 'America/New_York') using %Z is
    only supported at the end of the string preceded by a space.


    Example in SQL:

    ```sql
    > select to_timestamp_micros('2023-01-31T09:26:56.123456789-05:00');
    +------------------------------------------------------------------+
    | to_timestamp_micros(Utf8("2023-01-31T09:26:56.123456789-05:00")) |
    +------------------------------------------------------------------+
    | 2023-01-31T14:26:56.123456                                       |
    +------------------------------------------------------------------+
    > select to_timestamp_micros('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y');
    +---------------------------------------------------------------------------------------------------------------+
    | to_timestamp_micros(Utf8("03:59:00.123456789 05-17-2023"),Utf8("%c"),Utf8("%+"),Utf8("%H:%M:%S%.f %m-%d-%Y")) |
    +---------------------------------------------------------------------------------------------------------------+
    | 2023-05-17T03:59:00.123456                                                                                    |
    +---------------------------------------------------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_timestamp_millis(*args: Value) -> Expr:
    """Converts a value to a timestamp (`YYYY-MM-DDT00:00:00.000<TZ>`) in the session time zone. Supports strings,
    integer, unsigned integer, and double types as input. Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Strings that parse without a time zone are treated as if they are in the
    session time zone, or UTC if no session time zone is set.
    Integers, unsigned integers, and doubles are interpreted as milliseconds since the unix epoch (`1970-01-01T00:00:00Z`).

    The session time zone can be set using the statement `SET TIMEZONE = 'desired time zone'`.
    The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `to_timestamp_millis(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n:
    Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression.
    Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully
    parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.
    Note: parsing of named timezones (e.g. 'America/New_York') using %Z is
    only supported at the end of the string preceded by a space.


    Example in SQL:

    ```sql
    > select to_timestamp_millis('2023-01-31T09:26:56.123456789-05:00');
    +------------------------------------------------------------------+
    | to_timestamp_millis(Utf8("2023-01-31T09:26:56.123456789-05:00")) |
    +------------------------------------------------------------------+
    | 2023-01-31T14:26:56.123                                          |
    +------------------------------------------------------------------+
    > select to_timestamp_millis('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y');
    +---------------------------------------------------------------------------------------------------------------+
    | to_timestamp_millis(Utf8("03:59:00.123456789 05-17-2023"),Utf8("%c"),Utf8("%+"),Utf8("%H:%M:%S%.f %m-%d-%Y")) |
    +---------------------------------------------------------------------------------------------------------------+
    | 2023-05-17T03:59:00.123                                                                                       |
    +---------------------------------------------------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_timestamp_nanos(*args: Value) -> Expr:
    """Converts a value to a timestamp (`YYYY-MM-DDT00:00:00.000000000<TZ>`) in the session time zone. Supports strings,
    integer, unsigned integer, and double types as input. Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Strings that parse without a time zone are treated as if they are in the
    session time zone. Integers, unsigned integers, and doubles are interpreted as nanoseconds since the unix epoch (`1970-01-01T00:00:00Z`).

    The session time zone can be set using the statement `SET TIMEZONE = 'desired time zone'`.
    The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `to_timestamp_nanos(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n:
    Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression.
    Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully
    parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.
    Note: parsing of named timezones (e.g. 'America/New_York') using %Z is
    only supported at the end of the string preceded by a space.


    Example in SQL:

    ```sql
    > select to_timestamp_nanos('2023-01-31T09:26:56.123456789-05:00');
    +-----------------------------------------------------------------+
    | to_timestamp_nanos(Utf8("2023-01-31T09:26:56.123456789-05:00")) |
    +-----------------------------------------------------------------+
    | 2023-01-31T14:26:56.123456789                                   |
    +-----------------------------------------------------------------+
    > select to_timestamp_nanos('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y');
    +--------------------------------------------------------------------------------------------------------------+
    | to_timestamp_nanos(Utf8("03:59:00.123456789 05-17-2023"),Utf8("%c"),Utf8("%+"),Utf8("%H:%M:%S%.f %m-%d-%Y")) |
    +--------------------------------------------------------------------------------------------------------------+
    | 2023-05-17T03:59:00.123456789                                                                                |
    +---------------------------------------------------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_timestamp_seconds(*args: Value) -> Expr:
    """Converts a value to a timestamp (`YYYY-MM-DDT00:00:00<TZ>`) in the session time zone. Supports strings,
    integer, unsigned integer, and double types as input. Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Strings that parse without a time zone are treated as if they are in the
    session time zone, or UTC if no session time zone is set.
    Integers, unsigned integers, and doubles are interpreted as seconds since the unix epoch (`1970-01-01T00:00:00Z`).

    The session time zone can be set using the statement `SET TIMEZONE = 'desired time zone'`.
    The time zone can be a value like +00:00, 'Europe/London' etc.

    In SQL: `to_timestamp_seconds(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n:
    Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression.
    Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully
    parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.
    Note: parsing of named timezones (e.g. 'America/New_York') using %Z is
    only supported at the end of the string preceded by a space.


    Example in SQL:

    ```sql
    > select to_timestamp_seconds('2023-01-31T09:26:56.123456789-05:00');
    +-------------------------------------------------------------------+
    | to_timestamp_seconds(Utf8("2023-01-31T09:26:56.123456789-05:00")) |
    +-------------------------------------------------------------------+
    | 2023-01-31T14:26:56                                               |
    +-------------------------------------------------------------------+
    > select to_timestamp_seconds('03:59:00.123456789 05-17-2023', '%c', '%+', '%H:%M:%S%.f %m-%d-%Y');
    +----------------------------------------------------------------------------------------------------------------+
    | to_timestamp_seconds(Utf8("03:59:00.123456789 05-17-2023"),Utf8("%c"),Utf8("%+"),Utf8("%H:%M:%S%.f %m-%d-%Y")) |
    +----------------------------------------------------------------------------------------------------------------+
    | 2023-05-17T03:59:00                                                                                            |
    +----------------------------------------------------------------------------------------------------------------+
    ```
    Additional examples can be found [here](https://github.com/apache/datafusion/blob/main/datafusion-examples/examples/builtin_functions/date_time.rs)
    """

def to_unixtime(*args: Value) -> Expr:
    """Converts a value to seconds since the unix epoch (`1970-01-01T00:00:00`).
    Supports strings, dates, timestamps, integer, unsigned integer, and float types as input.
    Strings are parsed as RFC3339 (e.g. '2023-07-20T05:44:00')
    if no [Chrono formats](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) are provided.
    Integers, unsigned integers, and floats are interpreted as seconds since the unix epoch (`1970-01-01T00:00:00`).

    In SQL: `to_unixtime(expression[, ..., format_n])`

    Arguments:
        expression: Expression to operate on. Can be a constant, column, or function, and any combination of arithmetic operators.
        format_n: Optional [Chrono format](https://docs.rs/chrono/latest/chrono/format/strftime/index.html) strings to use to parse the expression. Formats will be tried in the order they appear with the first successful one being returned. If none of the formats successfully parse the expression an error will be returned. NULL formats are skipped. If every format is NULL the result is NULL.

    Example in SQL:

    ```sql
    > select to_unixtime('2020-09-08T12:00:00+00:00');
    +------------------------------------------------+
    | to_unixtime(Utf8("2020-09-08T12:00:00+00:00")) |
    +------------------------------------------------+
    | 1599566400                                     |
    +------------------------------------------------+
    > select to_unixtime('01-14-2023 01:01:30+05:30', '%q', '%d-%m-%Y %H/%M/%S', '%+', '%m-%d-%Y %H:%M:%S%#z');
    +-----------------------------------------------------------------------------------------------------------------------------+
    | to_unixtime(Utf8("01-14-2023 01:01:30+05:30"),Utf8("%q"),Utf8("%d-%m-%Y %H/%M/%S"),Utf8("%+"),Utf8("%m-%d-%Y %H:%M:%S%#z")) |
    +-----------------------------------------------------------------------------------------------------------------------------+
    | 1673638290                                                                                                                  |
    +-----------------------------------------------------------------------------------------------------------------------------+
    ```
    """

def today(*args: Value) -> Expr:
    """Returns the current date in the session time zone.

    The `current_date()` return value is determined at query time and will return the same date, no matter when in the query plan the function executes.

    Another name of `current_date`.

    In SQL: `current_date()`

    Example in SQL:

    ```sql
    > SELECT current_date();
    +----------------+
    | current_date() |
    +----------------+
    | 2024-12-23     |
    +----------------+

    -- The current date is based on the session time zone (UTC by default)
    > SET datafusion.execution.time_zone = 'Asia/Tokyo';
    > SELECT current_date();
    +----------------+
    | current_date() |
    +----------------+
    | 2024-12-24     |
    +----------------+
    ```
    """

def top_k(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """The k values that occur most often with their counts, as a list of structs {value, count}; of equally frequent ones the smaller first.

    In SQL: `top_k(expression, k)`

    Arguments:
        expression: Values of any type; nulls are left out.
        k: How many values, a constant.
    """

def translate(*args: Value) -> Expr:
    """Performs character-wise substitution based on a mapping.

    In SQL: `translate(str, from, to)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        from: The characters to be replaced.
        to: The characters to replace them with. Each character in **from** that is found in **str** is replaced by the character at the same index in **to**. Any characters in **from** that don't have a corresponding character in **to** are removed. If a character appears more than once in **from**, the first occurrence determines the mapping.

    Example in SQL:

    ```sql
    > select translate('twice', 'wic', 'her');
    +--------------------------------------------------+
    | translate(Utf8("twice"),Utf8("wic"),Utf8("her")) |
    +--------------------------------------------------+
    | there                                            |
    +--------------------------------------------------+
    ```
    """

def trim(*args: Value) -> Expr:
    """Trims the specified trim string from the start and end of a string. If no trim string is provided, all spaces are removed from the start and end of the input string.

    Another name of `btrim`.

    In SQL: `btrim(str[, trim_str])`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.
        trim_str: String expression to operate on. Can be a constant, column, or function, and any combination of operators. _Default is a space._

    Example in SQL:

    ```sql
    > select btrim('__datafusion____', '_');
    +-------------------------------------------+
    | btrim(Utf8("__datafusion____"),Utf8("_")) |
    +-------------------------------------------+
    | datafusion                                |
    +-------------------------------------------+
    ```
    """

def trunc(*args: Value) -> Expr:
    """Truncates a number to a whole number or truncated to the specified decimal places.

    In SQL: `trunc(numeric_expression[, decimal_places])`

    Arguments:
        numeric_expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
        decimal_places: Optional. The number of decimal places to
      truncate to. Defaults to 0 (truncate to a whole number). If
      `decimal_places` is a positive integer, truncates digits to the
      right of the decimal point. If `decimal_places` is a negative
      integer, replaces digits to the left of the decimal point with `0`.

    Example in SQL:

    ```sql
      > SELECT trunc(42.738);
      +----------------+
      | trunc(42.738)  |
      +----------------+
      | 42             |
      +----------------+
      ```
    """

def try_cast_to_type(*args: Value) -> Expr:
    """Casts the first argument to the data type of the second argument, returning NULL if the cast fails. Only the type of the second argument is used; its value is ignored.

    In SQL: `try_cast_to_type(expression, reference)`

    Arguments:
        expression: The expression to cast. It can be a constant, column, or function, and any combination of operators.
        reference: Reference expression whose data type determines the target cast type. The value is ignored.

    Example in SQL:

    ```sql
    > select try_cast_to_type('123', NULL::INTEGER) as a,
             try_cast_to_type('not_a_number', NULL::INTEGER) as b;

    +-----+------+
    | a   | b    |
    +-----+------+
    | 123 | NULL |
    +-----+------+
    ```
    """

def union_extract(*args: Value) -> Expr:
    """Returns the value of the given field in the union when selected, or NULL otherwise.

    In SQL: `union_extract(union, field_name)`

    Arguments:
        union: Union expression to operate on. Can be a constant, column, or function, and any combination of operators.
        field_name: String expression to operate on. Must be a constant.

    Example in SQL:

    ```sql
    ❯ select union_column, union_extract(union_column, 'a'), union_extract(union_column, 'b') from table_with_union;
    +--------------+----------------------------------+----------------------------------+
    | union_column | union_extract(union_column, 'a') | union_extract(union_column, 'b') |
    +--------------+----------------------------------+----------------------------------+
    | {a=1}        | 1                                |                                  |
    | {b=3.0}      |                                  | 3.0                              |
    | {a=4}        | 4                                |                                  |
    | {b=}         |                                  |                                  |
    | {a=}         |                                  |                                  |
    +--------------+----------------------------------+----------------------------------+
    ```
    """

def union_tag(*args: Value) -> Expr:
    """Returns the name of the currently selected field in the union

    In SQL: `union_tag(union_expression)`

    Arguments:
        union: Union expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    ❯ select union_column, union_tag(union_column) from table_with_union;
    +--------------+-------------------------+
    | union_column | union_tag(union_column) |
    +--------------+-------------------------+
    | {a=1}        | a                       |
    | {b=3.0}      | b                       |
    | {a=4}        | a                       |
    | {b=}         | b                       |
    | {a=}         | a                       |
    +--------------+-------------------------+
    ```
    """

def upper(*args: Value) -> Expr:
    """Converts a string to upper-case.

    In SQL: `upper(str)`

    Arguments:
        str: String expression to operate on. Can be a constant, column, or function, and any combination of operators.

    Example in SQL:

    ```sql
    > select upper('dataFusion');
    +---------------------------+
    | upper(Utf8("dataFusion")) |
    +---------------------------+
    | DATAFUSION                |
    +---------------------------+
    ```
    """

def uuid(*args: Value) -> Expr:
    """Returns [`UUID v4`](https://en.wikipedia.org/wiki/Universally_unique_identifier#Version_4_%28random%29) string value which is unique per row.

    In SQL: `uuid()`

    Example in SQL:

    ```sql
    > select uuid();
    +--------------------------------------+
    | uuid()                               |
    +--------------------------------------+
    | 6ec17ef8-1934-41cc-8d59-d0c8f9eea1f0 |
    +--------------------------------------+
    ```
    """

def var(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the statistical sample variance of a set of numbers.

    In SQL: `var(expression)`

    Arguments:
        expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def var_pop(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the statistical population variance of a set of numbers.

    In SQL: `var_pop(expression)`

    Arguments:
        expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def var_population(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the statistical population variance of a set of numbers.

    Another name of `var_pop`.

    In SQL: `var_pop(expression)`

    Arguments:
        expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def var_samp(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the statistical sample variance of a set of numbers.

    Another name of `var`.

    In SQL: `var(expression)`

    Arguments:
        expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def var_sample(
    *args: Value,
    distinct: bool = False,
    filter: Expr | None = None,
    order_by: SortKeys | None = None,
    ignore_nulls: bool | None = None,
) -> Expr:
    """Returns the statistical sample variance of a set of numbers.

    Another name of `var`.

    In SQL: `var(expression)`

    Arguments:
        expression: Numeric expression to operate on. Can be a constant, column, or function, and any combination of operators.
    """

def version(*args: Value) -> Expr:
    """Returns the version of DataFusion.

    In SQL: `version()`

    Example in SQL:

    ```sql
    > select version();
    +--------------------------------------------+
    | version()                                  |
    +--------------------------------------------+
    | Apache DataFusion 42.0.0, aarch64 on macos |
    +--------------------------------------------+
    ```
    """

def with_metadata(*args: Value) -> Expr:
    """Attaches Arrow field metadata (key/value pairs) to the input expression. Keys must be non-empty constant strings and values must be constant strings (empty values are allowed). Existing metadata on the input field is preserved; new keys overwrite on collision. This is the inverse of `arrow_metadata`.

    In SQL: `with_metadata(expression, key1, value1[, key2, value2, ...])`

    Arguments:
        expression: The expression whose output Arrow field should be annotated. Values flow through unchanged.
        key: Metadata key. Must be a non-empty constant string literal.
        value: Metadata value. Must be a constant string literal (may be empty).

    Example in SQL:

    ```sql
    > select arrow_metadata(with_metadata(column1, 'unit', 'ms'), 'unit') from (values (1));
    +---------------------------------------------------------------+
    | arrow_metadata(with_metadata(column1,Utf8("unit"),Utf8("ms")),Utf8("unit")) |
    +---------------------------------------------------------------+
    | ms                                                            |
    +---------------------------------------------------------------+
    > select arrow_metadata(with_metadata(column1, 'unit', 'ms', 'source', 'sensor')) from (values (1));
    +--------------------------+
    | {source: sensor, unit: ms} |
    +--------------------------+
    ```
    """

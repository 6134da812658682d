"""Joins."""

from .calls import case, ordered


def sides(data):
    left = data.from_items([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}, {"id": 3, "v": "c"}])
    right = data.from_items([{"id": 2, "w": 20}, {"id": 3, "w": 30}, {"id": 4, "w": 40}])
    return left, right


@case
def join_inner(data):
    left, right = sides(data)
    return ordered(left.join(right, "inner", 2), "id")


@case
def join_left_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "left_outer", 2, on=("id",)), "id")


@case
def join_right_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "right_outer", 2, on=("id",)), "id")


@case
def join_full_outer(data):
    left, right = sides(data)
    return ordered(left.join(right, "full_outer", 2, on=("id",)), "id")


@case
def join_left_semi(data):
    left, right = sides(data)
    return ordered(left.join(right, "left_semi", 2, on=("id",)), "id")


@case
def join_right_anti(data):
    left, right = sides(data)
    return ordered(left.join(right, "right_anti", 2, on=("id",)), "id")


@case
def join_other_names(data):
    left, right = sides(data)
    right = right.rename_columns({"id": "rid"})
    return ordered(left.join(right, "inner", 2, on=("id",), right_on=("rid",)), "id")


@case
def join_other_names_full(data):
    left, right = sides(data)
    right = right.rename_columns({"id": "rid"})
    return ordered(left.join(right, "full_outer", 2, on=("id",), right_on=("rid",)), "id")


@case
def join_suffixes(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",), left_suffix="_l", right_suffix="_r"), "id")


@case
def join_same_names_without_suffix(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",)), "id")


@case
def join_right_suffix_alone(data):
    left, right = sides(data)
    right = right.rename_columns({"w": "v"})
    return ordered(left.join(right, "inner", 2, on=("id",), right_suffix="_r"), "id")

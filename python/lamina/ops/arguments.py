"""Checks of the arguments of ops that are not tensors: axes, sizes, numbers. Ranges are checked by the core."""

from __future__ import annotations

import re

from ..tensor import Tensor

_FAR = 2**31


def under(op, f, *args):
    """f(*args), whose errors name the op that was called and not the one that does its work."""
    try:
        return f(*args)
    except (IndexError, TypeError, ValueError) as error:
        raise type(error)(re.sub(r"^\[\w+\] ", f"[{op}] ", str(error))) from None


def integer(op, name, value):
    """An int of 64 bits from any integer: Python's, NumPy's, or an integer tensor of one element.

    Raises:
        TypeError: for anything else; floats and bools among them.
        ValueError: if it does not fit.
    """
    try:
        if not isinstance(value, bool):
            value = value.__index__()
            if -(2**63) <= value < 2**63:
                return value
            raise ValueError(f"[{op}] {name} must fit 64 bits. Received: {name}={value}.")
    except (AttributeError, TypeError):
        pass
    raise TypeError(f"[{op}] {name} must be an integer. Received: {name}={value!r}.")


def integers(op, name, values, unknown=False):
    """A tuple of ints from one integer or a sequence of them; with `unknown`, None may stand for a size.

    Raises:
        TypeError: for anything else.
    """
    if not isinstance(values, (str, bytes, dict, set)):
        try:
            if hasattr(values, "__index__") and not getattr(values, "ndim", 0):
                return (integer(op, name, values),)
            return tuple([v if unknown and v is None else integer(op, name, v) for v in values])
        except TypeError:
            pass
    raise TypeError(f"[{op}] {name} must be an integer or a tuple of integers. Received: {name}={values!r}.")


def one_axis(op, axis):
    """The number of an axis, small enough for the core; it checks the range that x has.

    Raises:
        TypeError: for anything but an integer.
        IndexError: for one that no tensor has.
    """
    axis = integer(op, "axis", axis)
    if not -_FAR < axis < _FAR:
        raise IndexError(f"[{op}] axis is out of range. Received: axis={axis}.")
    return axis


def axes(op, axis):
    """What a reduction works along: None for all axes, or a tuple of ints."""
    return None if axis is None else integers(op, "axis", axis)


def in_range(op, axes, ndim):
    """Checks a tuple of axes (None: all) for ops that are composed of others: the core knows those by their own names.

    Raises:
        IndexError: for an axis that a tensor of ndim axes does not have.
        ValueError: for an axis named twice.
    """
    for axis in axes or ():
        if not -ndim <= axis < ndim:
            expected = f"expected {-ndim} <= axis < {ndim}"
            raise IndexError(
                f"[{op}] axis is out of range; {expected}. Received: axis={axis} for a tensor of {ndim} axes."
            )
    if axes is not None and len({a % ndim for a in axes}) < len(axes):
        raise ValueError(f"[{op}] an axis is named twice. Received: axis={axes}.")


def flag(op, name, value):
    """A bool from anything that has one truth value: bools, numbers, None.

    Raises:
        TypeError: for arrays, lists and text.
    """
    if value is True or value is False:
        return value
    if value is None or (hasattr(value, "__bool__") and not getattr(value, "ndim", 0)):
        return bool(value)
    raise TypeError(f"[{op}] {name} must be True or False. Received: {name}={value!r}.")


def number(op, name, value):
    """A float from any real number: Python's, NumPy's, or a tensor of one element.

    Raises:
        TypeError: for anything else; strings among them.
    """
    if type(value) is float:
        return value
    try:
        if not isinstance(value, (str, bytes)) and (isinstance(value, Tensor) or not getattr(value, "ndim", 0)):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(f"[{op}] {name} must be a number. Received: {name}={value!r}.")


def real(op, name, value):
    """An int where the value is one, else a float.

    Raises:
        TypeError: for anything that is neither.
    """
    try:
        return integer(op, name, value)
    except TypeError:
        return number(op, name, value)


def choice(op, name, value, choices):
    """One of a few names.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, (str, type(None))) and value in choices:
        return value
    listed = " or ".join([f'"{c}"' for c in choices if c is not None])
    raise ValueError(f"[{op}] {name} must be {listed}. Received: {name}={value!r}.")

"""What the digits of a number tell about the precision it was computed in."""

import math
import struct
from decimal import Decimal

FLOAT32_DIGITS = 9
"""Significant decimal digits that write any float32 number without loss (IEEE 754-2019, section 5.12.2)."""


def is_float32(value: float) -> bool:
    """Whether a finite number is exactly a float32 number.

    A float64 result is one by chance once in 2^29, its significand being 29 bits longer. Whole numbers and
    short binary fractions are float32 numbers too: the caller decides what they tell.
    """
    if not math.isfinite(value):
        return False
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    except OverflowError:
        return False
    return bool(rounded == value)


def significant_digits(value: float) -> int:
    """Decimal digits in the shortest text that reads back as this finite number, without trailing zeros."""
    return len(Decimal(repr(value)).normalize().as_tuple().digits)

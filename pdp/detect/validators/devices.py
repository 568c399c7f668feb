"""Validators for numbers of devices and vehicles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import stdnum.imei

from pdp.detect.validators.common import MAX_LENGTH, digits_of, is_valid, letters_and_digits_of

if TYPE_CHECKING:
    from pdp.detect.validators.common import Validator

_VIN_VALUES: Final = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))
_VIN_WEIGHTS: Final = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_VIN_CHECK_POSITION: Final = 8


def imei(text: str) -> bool:
    """Whether `text` is the IMEI of a device with a valid check digit. Source: 3GPP TS 23.003."""
    return is_valid(stdnum.imei.validate, text, digits_of)


def vin(text: str) -> bool:
    """Whether `text` is a vehicle identification number. Source: 49 CFR 565, the check digit."""
    number = letters_and_digits_of(text[:MAX_LENGTH])
    if len(number) != len(_VIN_WEIGHTS) or number.isdigit():
        return False
    values = [_VIN_VALUES.get(each, each) for each in number]
    if not all(value.isdigit() for value in values):
        return False
    total = sum(int(value) * weight for value, weight in zip(values, _VIN_WEIGHTS, strict=True))
    return "0123456789X"[total % 11] == number[_VIN_CHECK_POSITION]


VALIDATORS: Final[tuple[Validator, ...]] = (imei, vin)

"""Validators: check whether a matched text is a genuine identifier of its kind.

A pattern finds the form of an identifier. Check digits and issuing rules distinguish, for example,
a card number from an order number. The scan runs a validator only on text that its pattern matched,
and the match counts only if the validator accepts it.

This module is the registry, `VALIDATORS`. The validators are in a module for each kind of data:

* `financial`: payment cards, bank accounts, wallets, securities.
* `national`: national identity, social security and tax numbers.
* `asia_pacific`: such numbers of Asia and the Pacific.
* `tax`: tax numbers of persons and businesses, VAT numbers.
* `documents`: passports, driving licences, identity cards, accounts.
* `medical`: numbers and codes of health systems.
* `personal`: phone numbers, e-mail addresses, coordinates.
* `dates`: dates of birth.
* `network`: IP and MAC addresses.
* `devices`: numbers of devices and vehicles.
* `secret`: keys, passwords and tokens.
* `instruction`: orders to a model, and mentions of them.

To add a validator, write a function `(text: str) -> bool` in one of these modules and add it to the
module's `VALIDATORS`. The docstring of the function names the source of the rule. If python-stdnum
has the rule, it does the arithmetic. A validator never raises. It rejects a text
that is longer than any identifier without further checks.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pdp.detect.validators import (
    asia_pacific,
    dates,
    devices,
    documents,
    financial,
    instruction,
    medical,
    national,
    network,
    personal,
    secret,
    tax,
)
from pdp.detect.validators.common import MAX_LENGTH, Validator

__all__ = ["MAX_LENGTH", "VALIDATORS", "Validator"]

VALIDATORS: Final[Mapping[str, Validator]] = MappingProxyType(
    {
        validator.__name__: validator
        for validator in (
            *financial.VALIDATORS,
            *national.VALIDATORS,
            *asia_pacific.VALIDATORS,
            *tax.VALIDATORS,
            *documents.VALIDATORS,
            *medical.VALIDATORS,
            *personal.VALIDATORS,
            *dates.VALIDATORS,
            *network.VALIDATORS,
            *devices.VALIDATORS,
            *secret.VALIDATORS,
            *instruction.VALIDATORS,
        )
    }
)
"""All validators by name. Policies and detectors refer to a validator by this name."""

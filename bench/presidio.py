"""Presidio's own pattern recognisers, for comparison; without a model and without a network."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.spans import EntitySpan

MIN_SCORE: Final = 0.4
"""The lowest score that counts: the only score of Presidio's telephone recogniser."""

RECOGNISERS: Final = (
    *("CreditCardRecognizer", "EmailRecognizer", "IbanRecognizer", "UsSsnRecognizer"),
    *("PhoneRecognizer", "IpRecognizer", "UsLicenseRecognizer", "UsItinRecognizer"),
    *("CryptoRecognizer", "UsPassportRecognizer", "NhsRecognizer", "MedicalLicenseRecognizer"),
)

OUR_TYPES: Final = frozenset(
    {
        *("CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "US_SSN", "PHONE_NUMBER", "IP_ADDRESS"),
        *("US_DRIVER_LICENSE", "US_ITIN", "CRYPTO", "PASSPORT", "UK_NHS", "US_DEA"),
    }
)
"""What our rules call the types of `RECOGNISERS`."""


def installed() -> bool:
    """Whether the extra that Presidio comes with is installed."""
    return importlib.util.find_spec("presidio_analyzer") is not None


def finder() -> Callable[[str], list[EntitySpan]]:
    """Returns a function that finds entities with Presidio's pattern recognisers.

    Raises:
        ImportError: Presidio is not installed.
    """
    recognisers = _recognisers()

    def find(text: str) -> list[EntitySpan]:
        return [
            (each.entity_type, each.start, each.end)
            for recogniser in recognisers
            for each in recogniser.analyze(text, recogniser.supported_entities, None)
            if each.score >= MIN_SCORE
        ]

    return find


def analyser() -> Callable[[str], object]:
    """Returns a function that runs Presidio with a blank model instead of a trained one."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry  # noqa: PLC0415 - an extra
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415 - an extra
    from spacy import blank  # noqa: PLC0415 - an extra

    engine: Any = SpacyNlpEngine()
    engine.nlp = {"en": blank("en")}
    registry = RecognizerRegistry(recognizers=_recognisers(), supported_languages=["en"])
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    return lambda text: analyzer.analyze(text, language="en")


def analyser_as_it_ships(model: str) -> Callable[[str], object]:
    """Returns a function that runs Presidio with its defaults and a model of spaCy.

    Args:
        model: the name of an installed model, in place of Presidio's default, the large one.
    """
    from presidio_analyzer import AnalyzerEngine  # noqa: PLC0415 - an extra
    from presidio_analyzer.nlp_engine import SpacyNlpEngine  # noqa: PLC0415 - an extra
    from spacy import load  # noqa: PLC0415 - an extra

    _recognisers()  # logs and downloads are off
    engine: Any = SpacyNlpEngine()
    engine.nlp = {"en": load(model)}
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])
    return lambda text: analyzer.analyze(text, language="en")


def _recognisers() -> list[Any]:
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    predefined = importlib.import_module("presidio_analyzer.predefined_recognizers")
    tldextract: Any = importlib.import_module("tldextract")
    # Otherwise it would download a list of public suffixes; the list that it ships with is enough.
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=())
    return [getattr(predefined, name)() for name in RECOGNISERS]

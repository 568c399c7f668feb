"""Measures how well labelled values are found: every kind of data, by label, spelling and language.

The values are made up by a seeded generator, with the check digits of their kind. A value counts as
found if the findings of the enabled rules cover it. The negatives have the form of a label or of a
value, but no personal data; a finding in one is a false one.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from bench.labels import LABELS, SENTENCES
from bench.made_up import VALUES, number
from bench.spans import findings_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SEED: Final = 20
VALUES_PER_LABEL: Final = 3

MIN_FOUND: Final = 0.92
"""The share of labelled values that must be found, over all kinds."""

MAX_FALSE: Final = 0.01
"""The share of negatives in which something may be found."""


class Row(NamedTuple):
    """A text with a value; for a negative, `entity_type` and `value` are empty."""

    text: str
    entity_type: str = ""
    value: str = ""


def _camel(words: Sequence[str]) -> str:
    return words[0] + "".join(word.title() for word in words[1:])


# Each entry: a name in code, and the value.
_CODE_FORMS: Final[Sequence[Callable[[Sequence[str], str], str]]] = (
    lambda words, value: f"{'_'.join(words)}={value}",
    lambda words, value: f"{'_'.join(words)}: {value}",
    lambda words, value: f"{'_'.join(words).upper()}={value}",
    lambda words, value: f"{'-'.join(words)}: {value}",
    lambda words, value: f'{{"{_camel(words)}": "{value}"}}',
    lambda words, value: f'{{"{"_".join(words)}":"{value}","page":2}}',
    lambda words, value: f"<{_camel(words)}>{value}</{_camel(words)}>",
    lambda words, value: f"{' '.join(words)};{value}",
    lambda words, value: f'customer.{_camel(words)}: "{value}"',
    lambda words, value: f"{'_'.join(words)} = '{value}'",
)
_PROSE_FORMS: Final = (
    "{label}: {value}",
    "{label} {value}",
    "{label} is {value}",
    "Hello, my {label} is {value}, please update it.",
    "my {label} is: {value}",
    "The {label} on file is {value}.",
    "{label} - {value}",
    "{label}\n{value}",
    "Please check the {label} ({value}).",
    "my {label} is {value} and that is all",
    "{label} {value} for the file",
)
_FOREIGN_FORMS: Final = (
    "{label}: {value}",
    "{label} {value}",
    "{label}\uff1a{value}",
    "{label} = {value}",
    "{label}: {value} ok",
)


def positives(seed: int = SEED) -> Iterator[Row]:
    """Yields rows with a value each: all kinds, labels, spellings and languages."""
    generator = random.Random(seed)  # noqa: S311 - made-up values
    for entity_type, languages in LABELS.items():
        make = VALUES[entity_type]
        for language, labels in languages.items():
            for label in labels:
                for _ in range(VALUES_PER_LABEL):
                    value = make(generator, language)
                    yield Row(_text(generator, language, label, value), entity_type, value)


def _text(generator: random.Random, language: str, label: str, value: str) -> str:
    if language == "en":
        if generator.random() < 0.5 and label.replace(" ", "").isalpha():
            return generator.choice(_CODE_FORMS)(label.lower().split(), value)
        return generator.choice(_PROSE_FORMS).format(label=label, value=value)
    form = generator.choice((*_FOREIGN_FORMS, SENTENCES.get(language, "{label}: {value}")))
    return form.format(label=label, value=value)


def negatives(seed: int = SEED) -> Iterator[Row]:
    """Yields rows without personal data."""
    generator = random.Random(seed)  # noqa: S311 - made-up values
    for label in _NUMBER_LABELS:
        for form in ("######", "##########", "############", "#### ####", "20######", "###-######"):
            yield Row(f"{label} {number(generator, form)}")
    for text in _QUIET:
        yield Row(text)
    for _ in range(120):
        yield Row(generator.choice(_NOISE)(generator))


_NUMBER_LABELS: Final = (
    *("order", "Order number:", "order_id:", "invoice", "Rechnung Nr.", "commande n°", "pedido nº"),
    *(
        "ordine n.",
        "bestelnummer",
        "numer zamówienia",
        "ordernummer",
        "encomenda",
        "注文番号",
        "订单号",
    ),
    *(
        "주문번호",
        "ticket",
        "build",
        "sku",
        "part no.",
        "batch",
        "serial",
        "revision",
        "Artikelnummer",
    ),
    *("tracking", "quantity:", "rows:", "bytes:", '"channel_id":', '"message_id":', "offset="),
)
_NOISE: Final[Sequence[Callable[[random.Random], str]]] = (
    lambda g: f"timestamp {1_700_000_000_000 + g.randrange(10**11)}",
    lambda g: f"ts={1_700_000_000_000_000 + g.randrange(10**14)}",
    lambda g: f"sha1 {g.randbytes(20).hex()}",
    lambda g: f"sha256:{g.randbytes(32).hex()}",
    lambda g: f"commit {g.randbytes(4).hex()} of build {g.randrange(10**6)}",
    lambda g: f"ratio 0.{g.randrange(10**16):016}",
    lambda g: f"version {g.randrange(30)}.{g.randrange(30)}.{g.randrange(30)}",
    lambda g: f"ISBN 978-{g.randrange(10)}-{g.randrange(10**4):04}-{g.randrange(10**4):04}-0",
    lambda g: f"released on {g.randrange(1, 28):02}.{g.randrange(1, 13):02}.2026",
    lambda g: f'{{"created_at": "2026-{g.randrange(1, 13):02}-{g.randrange(1, 28):02}"}}',
    lambda g: f"request {g.randbytes(4).hex()}-{g.randbytes(2).hex()}-4{g.randbytes(2).hex()[:3]}",
    lambda g: f"price {g.randrange(10**5)}.{g.randrange(100):02} EUR, total {g.randrange(10**6)}",
    lambda g: f"{g.randrange(1000, 9999)} {g.randrange(1000, 9999)} items in stock",
    lambda g: f"seed {g.randrange(10**9)} after {g.randrange(10**4)} steps",
)
_QUIET: Final = (
    "date format DD.MM.YYYY",
    "dob_format: YYYY-MM-DD",
    "date_of_birth is required",
    '{"dateOfBirth": null, "createdAt": "2026-01-01"}',
    "born to run, released 25.08.1975",
    "Geburtsdatum fehlt",
    "Lieferdatum: 12.03.2026",
    "date de livraison : 14/07/2026",
    "fecha de entrega: 14/07/2026",
    "発売日 2026-02-01",
    "有效期 2031-01-01",
    "account_type: savings",
    "account_status=active",
    "account balance: 1,234.50",
    "account number has 10 digits",
    "Kontostand: 1.234,50 EUR",
    "Konto wurde am 12.03.2026 eröffnet",
    "the account was opened on 2024-05-01",
    "numéro de compte invalide",
    "passportRequired: true",
    "passport_expiry=2031-05-01",
    "passport photo 35x45 mm",
    "passport.js 0.7.0",
    "Reisepass gültig bis 01.02.2031",
    "driving licence renewal costs 14",
    "driverLicenseClass: B",
    "license: Apache-2.0",
    "software license 2026.1.4",
    "patente B",
    "member_since: 2019-04-01",
    "memberCount: 1200345",
    "insurance_premium: 1234.56",
    "patient_count=123",
    "cvv_length: 3",
    "the CVV is on the back of the card",
    "security code review 2026",
    "phone: unknown",
    "telephone_format: E.164",
    "Telefon: siehe unten",
    "phone_model=SM-G991",
    "tax rate 19 percent",
    "tax_year: 2025",
    "Steuernummer fehlt",
    "TVA 20 %",
    "VAT: 20.00",
    "identity card required",
    "id_token_lifetime: 3600",
    "national_id_required=false",
    "SSN must have 9 digits",
    "ssn_last_updated: 2026-01-01",
    "nhs_trust: Leeds",
    "inn at 12 Main Street",
    "a fine of 500 for parking",
    "sin and cos of 0.123456789",
    "port 8080 on 127.0.0.1",
    "std::vector<int>::iterator",
    "10:20:30 to 11:20:30",
    "email_format: user@host",
    "npm i left-pad@1.3.0",
    "icon@2x.png",
    "pages 1234-5678-9012-3456",
    "4111 1111 1111 1112",
    "0.4111111111111111",
    "[4000, 5200, 6011, 3782]",
    "x1=4111, x2=1111, x3=1111",
)


class Result(NamedTuple):
    """The outcome of a measurement.

    Attributes:
        total, hits: the labelled values of each entity type, and those that were found.
        misses: the rows whose value was not found.
        quiet: the number of negatives.
        false_finds: the negatives in which something was found, each with the detectors.
    """

    total: Counter[str]
    hits: Counter[str]
    misses: list[Row]
    quiet: int
    false_finds: list[tuple[Row, list[str]]]

    @property
    def recall(self) -> float:
        """The share of labelled values that were found."""
        return self.hits.total() / self.total.total()

    @property
    def false_share(self) -> float:
        """The share of negatives in which something was found."""
        return len(self.false_finds) / self.quiet

    @property
    def reached(self) -> bool:
        """Whether both targets are reached."""
        return self.recall >= MIN_FOUND and self.false_share <= MAX_FALSE


def finder() -> Callable[[str], list[tuple[str, int, int]]]:
    """Returns a function that returns the detector and the span of each finding."""
    find = findings_of(lambda rule: rule.enabled)
    return lambda text: [
        (each.detector_id, each.location.start, each.location.end) for each in find(text)
    ]


def measure(seed: int = SEED) -> Result:
    """Returns what the enabled rules find in the positives and in the negatives."""
    find = finder()
    total: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    misses: list[Row] = []
    for row in positives(seed):
        total[row.entity_type] += 1
        if _covered(row, find(row.text)):
            hits[row.entity_type] += 1
        else:
            misses.append(row)
    quiet = list(negatives(seed))
    false_finds = [(row, [each[0] for each in spans]) for row in quiet if (spans := find(row.text))]
    return Result(total, hits, misses, len(quiet), false_finds)


def as_json(result: Result) -> dict[str, object]:
    """Returns the figures for JSON."""
    return {
        "labelled_values": {
            "recall": round(result.recall, 4),
            "false_share": round(result.false_share, 4),
            "types": {
                entity_type: {"total": total, "found": result.hits[entity_type]}
                for entity_type, total in sorted(result.total.items())
            },
        }
    }


def _covered(row: Row, spans: Sequence[tuple[str, int, int]]) -> bool:
    start = row.text.rindex(row.value)
    places = {at for _, begin, end in spans for at in range(begin, end)}
    return all(at in places for at in range(start, start + len(row.value)))


def report(*, rows: bool = False) -> bool:
    """Prints the table, and returns whether the targets are reached."""
    result = measure()
    print(f"\n{'labelled values':<28}{'total':>8}{'found':>8}{'%':>8}")
    for entity_type, total in sorted(result.total.items()):
        hits = result.hits[entity_type]
        print(f"{entity_type:<28}{total:>8}{hits:>8}{100 * hits / total:>8.1f}")
    if rows:
        for row in result.misses:
            print(f"  missed {row.entity_type}: {row.text!r}")
        for row, detectors in result.false_finds:
            print(f"  false {detectors}: {row.text!r}")
    for title, share, target in (
        ("labelled values found", result.recall, f">= {100 * MIN_FOUND:g} %"),
        ("false, of texts without", result.false_share, f"<= {100 * MAX_FALSE:g} %"),
    ):
        print(f"{title:<28}{100 * share:>24.2f}   target {target}")
    return result.reached

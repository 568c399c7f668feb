"""What the spool holds: the state of deliveries, dead letters, and alerts."""

from __future__ import annotations

from typing import NamedTuple


class DeliveryStatus(NamedTuple):
    """The status of the deliveries to a connector.

    Attributes:
        waiting: events that are not delivered yet.
        oldest_at: when the oldest of them was queued; None if there is none.
        delivered, dropped: events so far; dropped because the spool was full.
        failing_since: when deliveries began to fail; None if they succeed.
        last_error: why they fail.
        dead: dead letters of the connector.
    """

    waiting: int = 0
    oldest_at: float | None = None
    delivered: int = 0
    dropped: int = 0
    failing_since: float | None = None
    last_error: str = ""
    dead: int = 0


class DeadLetter(NamedTuple):
    """An event or an alert that could not be delivered.

    Attributes:
        id: identifies it.
        kind: `siem` or `alert`.
        destination: the connector; for an alert, the tenant and the name of the alert rule.
        uid: of the event, or of the decision.
        at: when the event happened or the alert was queued.
        died_at: when the delivery was given up.
        reason: why it was given up.
        body: the content to deliver.
    """

    id: int
    kind: str
    destination: str
    uid: str
    at: float
    died_at: float
    reason: str
    body: bytes


class DeadLetterFilter(NamedTuple):
    """Selects dead letters. A letter must meet all conditions; empty fields set no condition."""

    kind: str = ""
    destination: str = ""
    reason: str = ""


class DeadLetterGroup(NamedTuple):
    """The dead letters of a destination that were given up for the same reason.

    Attributes:
        kind, destination, reason: see `DeadLetter`.
        letters: how many there are.
        size: the bytes of their bodies.
        first_at, last_at: when the first and the last of them were given up.
    """

    kind: str
    destination: str
    reason: str
    letters: int
    size: int
    first_at: float
    last_at: float


class AlertDelivery(NamedTuple):
    """The deliveries of an alert rule. Alerts that were delivered are not kept.

    Attributes:
        queued: alerts that wait.
        attempts: the failed attempts of the alert that has most.
        queued_since: when the oldest of them was queued; None if none waits.
        dead: alerts that were given up.
        last_error: why the last of them was given up.
        last_error_at: when; None if there is none.
    """

    queued: int = 0
    attempts: int = 0
    queued_since: float | None = None
    dead: int = 0
    last_error: str = ""
    last_error_at: float | None = None


class Alert(NamedTuple):
    """A queued alert.

    Attributes:
        attempts: the number of failed deliveries.
        at: when it was queued.
        destination: the tenant and the name of the rule.
        address: the webhook.
        uid: of the decision; empty for a summary.
        body: the message.
    """

    id: int
    attempts: int
    at: float
    destination: str
    address: str
    uid: str
    body: bytes


class AlertWindow(NamedTuple):
    """A time window in which only the first of several similar alerts is sent.

    Attributes:
        key: what the alerts have in common.
        suppressed: how many alerts were not sent.
        destination, address: see `Alert`.
    """

    key: str
    suppressed: int
    destination: str
    address: str

"""Approvals: requests that wait for a second person (docs/approvals.md)."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdp.domain.access import ADMIN, APPROVER
from pdp.domain.group_resolver import normalize_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KIND: Final = "approval"
"""The kind of the stored entity. No kind of `ENTITY_CLASSES`: an approval is no policy."""

CONFIRMATION_KIND: Final = "confirmation"
"""The kind of the entity that a used confirmation token leaves. Its id is that of the token."""

KINDS: Final = frozenset({KIND, CONFIRMATION_KIND})

PENDING: Final = "pending"
APPROVED: Final = "approved"
USED: Final = "used"
DENIED: Final = "denied"
CANCELLED: Final = "cancelled"
EXPIRED: Final = "expired"

OPEN_STATES: Final = frozenset({PENDING, APPROVED})

DEFAULT_EXPIRY_S: Final = 3_600
MAX_EXPIRY_S: Final = 7 * 86_400

CONFIRMATION_EXPIRY_S: Final = 600
"""How long a confirmation token can be used."""

MAX_APPROVERS: Final = 20
"""Groups and roles that a rule names."""

MAX_INPUTS: Final = 32
"""Parts of a payload that one approval or confirmation can be about."""

MAX_HOLDS: Final = 16
"""Rules that one approval or confirmation can be about."""

MAX_OPEN_OF_TENANT: Final = 1_000
MAX_OPEN_OF_SUBJECT: Final = 20
"""Approvals that are open at once. A subject cannot flood the approvers."""

MAX_KEPT_OF_TENANT: Final = 10_000
"""Approvals of a tenant that are stored. Beyond them, the oldest closed ones are removed."""

KEEP_CLOSED_S: Final = 30 * 86_400
"""How long an approval is stored after it has expired."""

ROLE_PREFIX: Final = "role:"
GROUP_PREFIX: Final = "group:"

APPROVER_ROLES: Final = (APPROVER, ADMIN)
"""The roles that may answer approvals."""

DEFAULT_APPROVERS: Final = (f"{ROLE_PREFIX}{APPROVER}",)


class ApprovalProblem(NamedTuple):
    """Why a request that is held, or that has a token, is a BLOCK instead.

    Attributes:
        reason_code, message, status_hint: of the decision.
    """

    reason_code: str
    message: str
    status_hint: int = 403


TOKEN_INVALID: Final = ApprovalProblem(
    "TOKEN_INVALID", "A token of the request is not one that this server has given."
)
TOKEN_EXPIRED: Final = ApprovalProblem("TOKEN_EXPIRED", "A token of the request has expired.")
TOKEN_FOREIGN: Final = ApprovalProblem(
    "TOKEN_FOREIGN", "A token of the request was given to another tenant or subject."
)
TOKEN_MISMATCH: Final = ApprovalProblem(
    "TOKEN_MISMATCH", "A token of the request was given for another request: something has changed."
)
TOKEN_USED: Final = ApprovalProblem("TOKEN_USED", "A token of the request has been used already.")
APPROVAL_DENIED: Final = ApprovalProblem("APPROVAL_DENIED", "The approval was denied.")
APPROVAL_CANCELLED: Final = ApprovalProblem("APPROVAL_CANCELLED", "The approval was cancelled.")
APPROVAL_LIMIT: Final = ApprovalProblem(
    "APPROVAL_LIMIT_EXCEEDED",
    "Too many requests wait for an approval already, so this one is blocked.",
    429,
)
APPROVAL_TOO_LARGE: Final = ApprovalProblem(
    "APPROVAL_TOO_LARGE",
    "Too many parts or rules of the request would need an approval at once; split the request.",
)
APPROVAL_UNAVAILABLE: Final = ApprovalProblem(
    "APPROVAL_UNAVAILABLE",
    "The approval could not be opened or used, so the request is blocked to be safe.",
    503,
)


PROBLEM_CODES: Final = frozenset(
    each.reason_code
    for each in (
        TOKEN_INVALID,
        TOKEN_EXPIRED,
        TOKEN_FOREIGN,
        TOKEN_MISMATCH,
        TOKEN_USED,
        APPROVAL_DENIED,
        APPROVAL_CANCELLED,
        APPROVAL_LIMIT,
        APPROVAL_TOO_LARGE,
        APPROVAL_UNAVAILABLE,
    )
)
"""The reason codes of all problems."""


class ApprovalFailed(Exception):
    """A request cannot be held, or a token cannot be used: the decision is a BLOCK."""

    def __init__(self, problem: ApprovalProblem) -> None:
        super().__init__(problem.reason_code)
        self.problem = problem


class EscalatedRule(NamedTuple):
    """A rule that demands an approval.

    Attributes:
        key: the rule, as `Hold.key` has it.
        layer, policy_id, name: the rule.
        message: what it asks.
        approvers: the groups and roles that may answer.
        approved_by: the person who has approved for this rule; empty if it waits.
    """

    key: str
    layer: str
    policy_id: str
    name: str
    message: str
    approvers: tuple[str, ...]
    approved_by: str = ""


class ApprovalDraft(NamedTuple):
    """An approval to open.

    Attributes:
        tenant_id: the tenant.
        caller: who asked, as in the change log. The same request of another caller is another
            approval.
        message, input_hash, inputs, rules, subject, barred, record: see `Approval`.
        expires_s: after how many seconds it expires.
    """

    tenant_id: str
    caller: str
    message: str
    input_hash: str
    inputs: tuple[str, ...]
    rules: tuple[EscalatedRule, ...]
    subject: str
    barred: tuple[str, ...]
    record: Mapping[str, Any]
    expires_s: int


class TokenStates(NamedTuple):
    """What the store says of tokens.

    Attributes:
        approvals: the approvals that exist, by id.
        used: the ids of the confirmations that have been used.
    """

    approvals: Mapping[str, Approval]
    used: frozenset[str]


class TokenUse(NamedTuple):
    """A token to use, once.

    Attributes:
        kind: `KIND` or `CONFIRMATION_KIND`.
        id: the id of the approval or of the confirmation.
        input_hash: the input that it is used for.
        expires_at: when it expires, in seconds since the epoch.
        actor: who uses it, as in the change log.
    """

    kind: str
    id: str
    input_hash: str
    expires_at: float
    actor: str


class Answerer(NamedTuple):
    """A person who answers approvals.

    Attributes:
        person: who it is; empty if the credential names no person.
        actor: the caller's name in the change log.
        roles: the roles of the credential, with those that they include.
        groups: the groups of the person, by `normalize_group`.
    """

    person: str
    actor: str
    roles: frozenset[str]
    groups: frozenset[str] = frozenset()

    def is_among(self, approvers: Iterable[str]) -> bool:
        """Whether one of the groups and roles is the person's."""
        return any(
            name in self.roles if is_role else normalize_group(name) in self.groups
            for is_role, name in map(_read_approver, approvers)
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that waits, or has waited, for a second person. It has nothing raw.

    Attributes:
        id: sorts by time.
        state: one of the states of this module. An open one may have expired: see `state_at`.
        message: what the approver is asked.
        input_hash: the input that it fits, the only one.
        inputs: the hashes of the parts of a payload that it is about, shortened; empty for others.
        rules: the rules that escalated the request.
        subject: the digest of the subject, whose open approvals are counted.
        barred: the digests of the identities that may not answer; see `identity`.
        asked_by: the caller that asked, as in the change log.
        record: the record of the decision that opened it, as JSON.
        created_at, expires_at, answered_at, used_at: seconds since the epoch; 0 for never.
        answered_by: the person who gave the last answer.
        answer_reason: the reason of the last answer.
    """

    id: str
    state: str
    message: str
    input_hash: str
    inputs: tuple[str, ...]
    rules: tuple[EscalatedRule, ...]
    subject: str
    barred: tuple[str, ...]
    asked_by: str
    record: Mapping[str, Any]
    created_at: float
    expires_at: float
    answered_by: str = ""
    answered_at: float = 0.0
    answer_reason: str = ""
    used_at: float = 0.0

    def __post_init__(self) -> None:
        stored: tuple[EscalatedRule | dict[str, Any], ...] = self.rules  # objects in the store
        rules = tuple(
            each if isinstance(each, EscalatedRule) else EscalatedRule(**each) for each in stored
        )
        rules = tuple(each._replace(approvers=tuple(each.approvers)) for each in rules)
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "inputs", tuple(self.inputs))
        object.__setattr__(self, "barred", tuple(self.barred))

    def state_at(self, now: float) -> str:
        """Returns the state at a time: an open approval expires by itself."""
        return EXPIRED if self.state in OPEN_STATES and now >= self.expires_at else self.state

    def approved_for(self, answerer: Answerer, reason: str, now: float) -> Approval:
        """Returns the approval with the yes of a person to each rule that the person may answer."""
        rules = tuple(
            each._replace(approved_by=each.approved_by or answerer.person)
            if answerer.is_among(each.approvers)
            else each
            for each in self.rules
        )
        state = APPROVED if all(each.approved_by for each in rules) else PENDING
        return replace(
            self,
            state=state,
            rules=rules,
            answered_by=answerer.person,
            answered_at=now,
            answer_reason=reason,
        )

    def denied_by(self, answerer: Answerer, reason: str, now: float) -> Approval:
        """Returns the approval with the no of a person."""
        return replace(
            self,
            state=DENIED,
            answered_by=answerer.person,
            answered_at=now,
            answer_reason=reason,
        )


def body_of(approval: Approval) -> dict[str, Any]:
    """Returns the fields of `approval` as the store keeps them."""
    body = asdict(approval)
    body["rules"] = [each._asdict() for each in approval.rules]
    return body


def denial(approval: Approval) -> ApprovalProblem:
    """Returns why a request is a BLOCK whose approval was denied."""
    return APPROVAL_DENIED._replace(message=f"The approval was denied: {approval.answer_reason}")


def identity(name: str) -> str:
    """Returns the digest of the name of a person or a program: `Ann ` and `ann` have the same."""
    plain = unicodedata.normalize("NFKC", name).strip().casefold()
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def find_approver_problem(approver: str) -> str:
    """Returns what is wrong with an entry of a list of approvers; empty if nothing is."""
    is_role, name = _read_approver(approver)
    if not name.strip():
        return "must name a group or a role"
    if is_role and name not in APPROVER_ROLES:
        return f"{ROLE_PREFIX}{name} cannot approve; use {' or '.join(APPROVER_ROLES)}, or a group"
    return ""


def _read_approver(approver: str) -> tuple[bool, str]:
    """Returns whether an entry names a role, and the name of the role or group."""
    if approver.startswith(ROLE_PREFIX):
        return True, approver.removeprefix(ROLE_PREFIX)
    if approver.startswith(GROUP_PREFIX):
        return False, approver.removeprefix(GROUP_PREFIX)
    return approver in APPROVER_ROLES, approver

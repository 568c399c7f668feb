"""Secrets are redacted whole, in any spelling, and harmless texts stay; bench/secrets.py has the
figures.
"""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest

from bench import secrets
from bench.secrets import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS: Final = secrets.read_rows(Path(__file__).parents[1] / "corpora" / "secrets.jsonl")
REDACT: Final = secrets.redactor()

ALPHANUMERIC: Final = string.ascii_letters + string.digits
LOWER: Final = string.ascii_lowercase + string.digits
UPPER: Final = string.ascii_uppercase + string.digits
HEX: Final = "0123456789abcdef"
URL: Final = ALPHANUMERIC + "-_"
BASE64: Final = ALPHANUMERIC + "+/"


class TestCorpus:
    @pytest.mark.parametrize("blind", [False, True])
    def test_most_kinds_are_redacted_in_both_parts(self, blind: bool) -> None:
        result = secrets.score([row for row in ROWS if row.blind is blind], REDACT)
        assert result.rules >= 40
        assert result.handled_percent >= secrets.MIN_RULES, result.missed

    def test_few_harmless_texts_are_redacted(self) -> None:
        result = secrets.score(ROWS, REDACT)
        assert result.harmless >= 100
        assert result.false_percent <= secrets.MAX_FALSE, result.flagged
        assert result.reached


class TestScore:
    def test_a_rule_is_missed_if_half_of_its_rows_are_left(self) -> None:
        rows = [Row("a", "x 123456789", ("123456789",)), Row("a", "987654321", ("987654321",))]
        result = secrets.score(rows, lambda text: text.replace("123456789", ""))
        assert (result.rules, result.missed, len(result.left)) == (1, ["a"], 1)
        assert not result.reached

    def test_a_part_of_a_secret_counts_as_left(self) -> None:
        row = Row("a", "0123456789", ("0123456789",))
        assert secrets.score([row], lambda _: "01234567").missed == ["a"]
        assert secrets.score([row], lambda _: "0123456 123456").missed == []

    def test_a_harmless_row_is_flagged_if_it_changes(self) -> None:
        result = secrets.score([Row("a", "x", ())], lambda _: "y")
        assert (result.harmless, result.false_percent, result.handled_percent) == (1, 100, 100)


def drawn(alphabet: str, size: int) -> str:
    """Returns the same characters in every run; no real token."""
    generator = random.Random(f"{alphabet}{size}")  # noqa: S311 - a test value
    return "".join(generator.choice(alphabet) for _ in range(size))


UUID_VALUE: Final = str(UUID(drawn(HEX, 32)))

TOKENS: Final = {
    "GitHub app": f"ghs_123456_eyJ{drawn(URL, 40)}.eyJ{drawn(URL, 80)}.{drawn(URL, 86)}",
    "GitHub": f"github_pat_{drawn(ALPHANUMERIC, 22)}_{drawn(ALPHANUMERIC, 59)}",
    "GitLab routable": f"glpat-{drawn(LOWER, 27)}.01.{drawn(LOWER, 9)}",
    "Grafana": f"glc_{drawn(BASE64, 120)}=",
    "Azure": f"{drawn(ALPHANUMERIC, 3)}8Q~{drawn(URL, 34)}",
    "Bedrock": f"ABSK{drawn(ALPHANUMERIC, 128)}=",
    "Google": f"AQ.Ab8RN6{drawn(URL, 44)}",
    "Atlassian": f"ATATT3xFfGF0{drawn(URL, 170)}={drawn(UPPER, 8)}",
    "Sentry": f"sntryu_{drawn(HEX, 64)}",
    "NVIDIA": f"nvapi-{drawn(URL, 64)}",
    "LangSmith": f"lsv2_pt_{drawn(HEX, 32)}_{drawn(HEX, 10)}",
    "Langfuse": f"sk-lf-{UUID_VALUE}",
    "Pinecone": f"pcsk_{drawn(ALPHANUMERIC, 6)}_{drawn(ALPHANUMERIC, 63)}",
    "Hugging Face": f"api_org_{drawn(string.ascii_letters, 34)}",
    "OpenAI": f"sk-svcacct-{drawn(URL, 74)}",
    "Anthropic": f"sk-ant-api03-{drawn(URL, 93)}AA",
    "Vault": f"hvb.{drawn(URL, 138)}",
    "Terraform": f"{drawn(ALPHANUMERIC, 14)}.atlasv1.{drawn(URL, 67)}",
    "Discord": f"M{drawn(ALPHANUMERIC, 23)}.{drawn(URL, 6)}.{drawn(URL, 38)}",
    "Fly.io": f"fm2_{drawn(BASE64, 200)}==,fm2_{drawn(BASE64, 200)}=",
    "Airtable": f"pat{drawn(ALPHANUMERIC, 14)}.{drawn(HEX, 64)}",
    "AWS session": f"IQoJb3JpZ2luX2Vj{drawn(BASE64, 3000)}",
}

SENTENCES: Final = ("{}", "why is {} refused?", 'I pasted "{}", sorry', "({})")


@pytest.mark.parametrize("name", TOKENS)
def test_a_bare_token_is_redacted_to_its_end(name: str) -> None:
    for sentence in SENTENCES:
        assert REDACT(sentence.format(TOKENS[name])) == sentence.format("[REDACTED]")


ASSIGNMENTS: Final = (
    'acme_token = "{}"',
    "acmeToken: {}",
    "export ACME_API_KEY={}",
    '{{"clientSecret": "{}"}}',
    '{{\\"api_key\\": \\"{}\\"}}',
    "client-secret: {}",
    "<apiToken>{}</apiToken>",
    "<apiToken>\n    {}\n</apiToken>",
    'System.setProperty("X_TOKEN", "{}")',
    'var acmeToken string = "{}"',
    'let token: &str = "{}";',
    "acme_secret := `{}`",
    "'api_token' => '{}',",
    "ACME_TOKEN ?= {}",
    'ACME_TOKEN ::= "{}"',
    'os.environ["ACME_TOKEN"] = "{}"',
    "deploy --token {} -v",
    "ENV API_TOKEN {}",
    '- name: API_TOKEN\n  value: "{}"',
    "X-Api-Key: {}",
    "token={}&x=1",
    "Authorization: Bearer {}",
    "the API key is {}",
)

VALUES: Final = (
    drawn(HEX, 32),
    drawn(LOWER, 24),
    drawn(ALPHANUMERIC, 40),
    drawn(URL, 36),
    UUID_VALUE,
)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_a_random_value_beside_a_label_is_redacted(assignment: str) -> None:
    for value in VALUES:
        assert REDACT(assignment.format(value)) == assignment.format("[REDACTED]")


@pytest.mark.parametrize(
    "text",
    [
        f'"nextPageToken": "{VALUES[2]}"',
        f"csrf_token: {VALUES[2]}",
        f'<input name="authenticity_token" value="{VALUES[2]}">',
        f"public_key = {VALUES[2]}",
        f"PublicKeyToken={VALUES[0][:16]}",
        f"key: {VALUES[0]}",
        f'"key": "{UUID_VALUE}"',
        f"cache_key = {VALUES[2]}",
        f"secret_arn: {VALUES[1]}",
        f"idempotency_key: {UUID_VALUE}",
        f"commit {drawn(HEX, 40)}",
        f"integrity sha512-{drawn(BASE64, 86)}==",
        f"data:image/png;base64,{drawn(BASE64, 400)}",
        "order 01ARZ3NDEKTSV4RRFFQ69G5FAV of ORD-2026-0011-88431",
        "max_tokens: 128000, token_count = 512",
        "token expires: 2026-11-28T09:30:00.123Z",
        'token = "gpt-4o-mini-2024-07-18"',
        "client_secret = os.environ['CLIENT_SECRET_2']",
        "api_key = client.get_key_2(name)",
        "secret: projects/123456789012/secrets/db/versions/3",
        'api_key = "[REDACTED]", token: ***, secret = ${SECRET_2}, key: {{ key_2 }}',
        "Authorization: Bearer <token>",
        "curl -u user:password https://acme.test",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL9fQ2mT7xLwR4vKzB8cNdE3hJ6sYp me@host",
    ],
)
def test_other_values_stay(text: str) -> None:
    assert REDACT(text) == text


def lines_of_key(width: int = 64) -> list[str]:
    return [drawn(BASE64, width + index)[index:] for index in range(4)] + [f"{drawn(BASE64, 38)}=="]


WRITTEN: Final = {
    "as it is": "{}",
    "quoted mail": "> {}",
    "log": "2026-11-28T09:30:00Z app[12] INFO {}",
    "log of a container": "web_1  | {}",
    "comment": "# {}",
    "indented": "    {}",
    "difference": "+{}",
    "source code": '"{}\\n" +',
    "list": '  "{}",',
    "search result": "certs/server.key:{}",
    "table": "| {} |",
}

JOINED: Final = {
    "line feeds": "\n",
    "carriage returns": "\r\n",
    "escapes": "\\n",
    "escapes twice": "\\\\n",
    "spaces": " ",
    "HTML": "<br>",
}


def keys(kind: str, *, ends: bool) -> Iterator[tuple[str, list[str]]]:
    """Yields a private key in each spelling, with the parts of it that must be gone."""
    body = lines_of_key()
    lines = [f"-----BEGIN {kind}-----", *body]
    if ends:
        lines.append(f"-----END {kind}-----")
    for pattern in WRITTEN.values():
        yield "\n".join(pattern.format(line) for line in lines), body
    for separator in JOINED.values():
        yield f'key = "{separator.join(lines)}"', body


@pytest.mark.parametrize("ends", [True, False], ids=["with end", "cut off"])
@pytest.mark.parametrize(
    "kind",
    ["RSA PRIVATE KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"],
)
def test_a_private_key_is_redacted_whole(kind: str, ends: bool) -> None:
    for text, body in keys(kind, ends=ends):
        redacted = REDACT(f"{text}\n...(truncated)\nPlease help me with this.")
        assert redacted.endswith("Please help me with this.")
        assert not [line for line in body if line[:8] in redacted or line[-8:] in redacted], text


@pytest.mark.parametrize(
    "kind",
    ["CERTIFICATE", "CERTIFICATE REQUEST", "PUBLIC KEY", "PGP PUBLIC KEY BLOCK", "PGP MESSAGE"],
)
def test_certificates_and_public_keys_stay(kind: str) -> None:
    for text, _ in keys(kind, ends=True):
        assert REDACT(text) == text


class TestOtherFormsOfPrivateKeys:
    BODY = "\n".join(lines_of_key(70))

    def left(self, text: str) -> list[str]:
        redacted = REDACT(text)
        return [line for line in self.BODY.split("\n") if line[:8] in redacted]

    def test_headers_of_pgp_and_pem_are_no_end(self) -> None:
        for headers in (
            "Version: GnuPG v2\nComment: bob <bob@corp-mail.com>\n\n",
            "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B2C3D4E5F60718293A4B5C6D7E8F9\n\n",
        ):
            text = f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{headers}{self.BODY}\n=8xQN"
            assert self.left(text) == []
            assert "=8xQN" not in REDACT(text)

    def test_ssh2(self) -> None:
        mark = "SSH2 ENCRYPTED PRIVATE KEY ----"
        assert self.left(f'---- BEGIN {mark}\nComment: "x"\n{self.BODY}\n---- END {mark}') == []

    def test_putty(self) -> None:
        head = f"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 1\n{'A' * 64}\n"
        text = f"{head}Private-Lines: 5\n{self.BODY}\nPrivate-MAC: 4b7e1f9c\nand more"
        assert REDACT(text) == "[REDACTED]\nand more"

    def test_a_public_part_of_putty_alone_stays(self) -> None:
        text = f"PuTTY-User-Key-File-3: ssh-rsa\nPublic-Lines: 4\n{self.BODY}"
        assert REDACT(text) == text

    def test_a_header_in_prose_stays(self) -> None:
        for text in (
            "It begins with -----BEGIN PRIVATE KEY----- and then there is base64.",
            'if line == "-----BEGIN RSA PRIVATE KEY-----": return parse_private_key(line)',
            "-----BEGIN PRIVATE KEY-----\nanything\n-----END PRIVATE KEY-----",
        ):
            assert REDACT(text) == text

    def test_a_header_in_prose_does_not_hide_a_key_after_it(self) -> None:
        header = "-----BEGIN PRIVATE KEY-----"
        text = f"After {header} comes the body.\n{header}\n{self.BODY}\n-----END PRIVATE KEY-----"
        assert REDACT(text) == f"After {header} comes the body.\n[REDACTED]"

    def test_two_keys(self) -> None:
        key = f"-----BEGIN PRIVATE KEY-----\n{self.BODY}\n-----END PRIVATE KEY-----"
        assert REDACT(f"{key}\nand\n{key}") == "[REDACTED]\nand\n[REDACTED]"

    def test_a_member_after_a_cut_key_stays(self) -> None:
        escaped = self.BODY.replace("\n", "\\n")
        text = f'{{"key": "-----BEGIN PRIVATE KEY-----\\n{escaped}", "username": "bob"}}'
        assert json.loads(REDACT(text)) == {"key": "[REDACTED]", "username": "bob"}

    def test_a_key_of_any_length_is_redacted(self) -> None:
        body = "\n".join(drawn(BASE64, 64 + index)[index:] for index in range(900))
        assert REDACT(f"-----BEGIN PRIVATE KEY-----\n{body}") == "[REDACTED]"


def test_a_redacted_text_has_no_more_secrets() -> None:
    for row in ROWS:
        redacted = REDACT(row.text)
        assert REDACT(redacted) == redacted

"""Card numbers and secrets in any part of a request are never written anywhere.

A real server runs with every logging level and with a SIEM connector that writes files. The test
searches every byte that the server has written: databases with their write-ahead logs, spools, the
SIEM's file and the server log. It also searches what the server returns for record queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from pdp._gen.pdp.v1 import decide_pb2, decide_pb2_grpc
from pdp.client.remote import open_channel
from tests.support import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

CARD: Final = "4539578763621486"
GROUPED: Final = "5425 2334 3010 9903"
EXAMPLE_CARD: Final = "4111-1111-1111-1111"
IBAN: Final = "DE89370400440532013000"
SSN: Final = "536-22-8726"
EMAIL: Final = "jane.roe@bigco-payroll.com"
AWS_KEY: Final = "AKIAQ7Z3LKJH5MNBV2XC"
GITHUB: Final = "ghp_1B4a2e77838347a7E420ce178F2E7c6912E1"
PASSWORD: Final = "hunter2-correct-horse"
PEM_LINE: Final = "MIIEowIBAAKCAQEAu1SU1LfVLPHCozMxH2Mo4lgOEePzNm0tRgeLezV6ffAt0gun"

PLANTED: Final = (
    CARD, GROUPED, EXAMPLE_CARD, IBAN, SSN, EMAIL, AWS_KEY, GITHUB, PASSWORD, PEM_LINE,
)  # fmt: skip

TEXT: Final = (
    f"Charge {CARD}, {GROUPED} or {EXAMPLE_CARD}, IBAN {IBAN}, my ssn is {SSN}; write to {EMAIL}. "
    f'Use {AWS_KEY} and {GITHUB}, password = "{PASSWORD}".\n'
    f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_LINE}\n-----END RSA PRIVATE KEY-----\n"
)
ARGUMENTS: Final[dict[str, Any]] = {
    "body": TEXT,
    "nested": [{"deep": f"card {CARD}"}, GROUPED],
    "number": int(CARD),
    f"key {CARD}": {EMAIL: [AWS_KEY]},
}
NAMES: Final = {
    "request_id": f"r {CARD}",
    "customer_id": f"c-{AWS_KEY}",
    "tool": f"tool {GITHUB}",
}
"""Names in a request are scanned for secrets and card numbers. A subject can be an address."""

LEVELS: Final = ("minimal", "standard", "full", "paranoid")


def body(**fields: Any) -> dict[str, Any]:
    return {
        **NAMES,
        "content": {"text": TEXT},
        "arguments": ARGUMENTS,
        "context": {"note": TEXT},
        "subject": {
            "user_id": f"user {CARD}",
            "groups": [f"group {CARD}"],
            "agent_id": f"agent {AWS_KEY}",
            "attributes": {"note": TEXT},
        },
        "model": {"provider": "openai", "model": f"gpt {CARD}"},
        "target": {"resource_id": f"row {CARD}", "fields": [f"field {CARD}"]},
        **fields,
    }


def ask_everywhere(server: servers.Server, client: httpx2.Client, tenant: str) -> None:
    """Sends requests one by one, in a batch, in a stream and in chunks."""
    headers = {"X-Tenant-ID": tenant}
    one = body()
    assert client.post("/v1/decide", json=one, headers=headers).status_code == 200
    assert client.post("/v1/decide", json=body(direction="output"), headers=headers).is_success
    batch = {"requests": [one, {**one, "action": f"Bad:{CARD}"}]}
    assert client.post("/v1/decide/batch", json=batch, headers=headers).status_code == 200
    request = decide_pb2.DecideRequest(tenant_id=tenant, content=decide_pb2.Content(text=TEXT))
    chunks = [
        decide_pb2.DecideStreamRequest(
            request=decide_pb2.DecideRequest(tenant_id=tenant),
            chunk=decide_pb2.StreamChunk(stream_id="s", text=TEXT[:20]),
        ),
        decide_pb2.DecideStreamRequest(
            chunk=decide_pb2.StreamChunk(stream_id="s", text=TEXT[20:], last=True)
        ),
    ]
    with open_channel(server.grpc_address) as channel:
        stub = decide_pb2_grpc.DecideServiceStub(channel)
        messages = iter([decide_pb2.DecideStreamRequest(request=request), *chunks])
        assert len(list(stub.DecideStream(messages, timeout=servers.TIMEOUT_S))) == 3


def read_everything(client: httpx2.Client, tenant: str) -> Iterator[str]:
    """Yields every response that shows records."""
    headers = {"X-Tenant-ID": tenant}
    for path in ("records?limit=1000", "export", "export?format=csv", "changes"):
        answer = client.get(f"/api/admin/audit/{path}", headers=headers)
        assert answer.status_code == 200
        yield answer.text


def findings(name: str, data: bytes) -> list[str]:
    """Returns the planted values that occur in `data`, in any notation or encoding."""
    hits = []
    for planted in PLANTED:
        for form in {planted, planted.replace(" ", ""), planted.replace("-", "")}:
            encodings = {form.encode(), form.encode("utf-16-le")}
            if any(each in data for each in encodings):
                hits.append(f"{form} in {name}")
    return hits


@pytest.mark.parametrize("mode", ["durable", "async"])
def test_no_raw_text_is_written_to_a_disk_a_log_or_a_siem(tmp_path: Path, mode: str) -> None:
    data, siem = tmp_path / "data", tmp_path / "siem"
    siem.mkdir()
    settings = {"PDP_AUDIT_MODE": mode, "SIEM_FILE_PATH": str(siem / "events.ndjson")}
    read: list[str] = []
    with servers.start(data, "--log-level", "debug", **settings) as server:
        with server.client() as client:
            for level in LEVELS:
                client.put(
                    "/v1/org/policy", json={"logging_level": level}, headers={"X-Tenant-ID": level}
                ).raise_for_status()
                ask_everywhere(server, client, level)
            for level in LEVELS:
                read += read_everything(client, level)
            read.append(client.get("/metrics").text)
        # Also read the open files: a database removes its write-ahead log when it is closed.
        written = contents(tmp_path)
    written |= contents(tmp_path)
    assert any(b"decision_id" in each for name, each in written.items() if "audit.db" in name)
    assert written[str(siem / "events.ndjson")], "the SIEM received no event"
    hits = [hit for name, each in written.items() for hit in findings(name, each)]
    hits += [hit for text in read for hit in findings("an answer", text.encode())]
    hits += [hit for line in server.lines for hit in findings("the log", line.encode())]
    assert hits == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

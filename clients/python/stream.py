"""Sends standard input as it arrives, and writes what of it may go out: `… | python stream.py`."""

import sys
from collections.abc import Iterator

import pdp_client as pdp


def messages() -> Iterator[pdp.DecideStreamRequest]:
    """One text in chunks; the first message says for whom it is."""
    request = pdp.DecideRequest(subject=pdp.Subject(user_id="u1"), direction="output")
    yield pdp.DecideStreamRequest(request=request, chunk=pdp.StreamChunk())
    for piece in iter(lambda: sys.stdin.read(16), ""):
        yield pdp.DecideStreamRequest(chunk=pdp.StreamChunk(text=piece))
    yield pdp.DecideStreamRequest(chunk=pdp.StreamChunk(last=True))


with pdp.connect("127.0.0.1:50051") as channel:
    for answer in pdp.DecideServiceStub(channel).DecideStream(messages()):
        print(answer.release.released_text, end="", flush=True)
        if not answer.response.allowed:
            sys.exit(f"\n{answer.response.message}")

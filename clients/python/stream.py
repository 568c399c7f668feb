"""Streams standard input to a PDP and prints what it releases: `… | python stream.py`."""

import sys
from collections.abc import Iterator

import pdp_client as pdp


def messages() -> Iterator[pdp.DecideStreamRequest]:
    """Yields one text in chunks. The first message holds the subject and the direction."""
    request = pdp.DecideRequest(subject=pdp.Subject(user_id="u1"), direction="output")
    yield pdp.DecideStreamRequest(request=request, chunk=pdp.StreamChunk())
    for text in iter(lambda: sys.stdin.read(16), ""):
        yield pdp.DecideStreamRequest(chunk=pdp.StreamChunk(text=text))
    yield pdp.DecideStreamRequest(chunk=pdp.StreamChunk(last=True))


with pdp.connect("127.0.0.1:50051") as channel:
    for message in pdp.DecideServiceStub(channel).DecideStream(messages()):
        print(message.release.released_text, end="", flush=True)
        if not message.response.allowed:
            sys.exit(f"\n{message.response.message}")

"""Requests a decision from a PDP: `python clients/python/decide.py "some text"`."""

import sys

import pdp_client as pdp

with pdp.connect("127.0.0.1:50051") as channel:
    request = pdp.DecideRequest(content=pdp.Content(text=sys.argv[1]))
    response = pdp.DecideServiceStub(channel).Decide(request, timeout=1)
    print(pdp.Outcome.Name(response.outcome), response.message)
    sys.exit(0 if response.allowed else 1)

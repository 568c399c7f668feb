"""Asks a PDP for a decision: `python clients/python/decide.py "some text"`."""

import sys

import pdp_client as pdp

with pdp.connect("127.0.0.1:50051") as channel:
    request = pdp.DecideRequest(content=pdp.Content(text=sys.argv[1]))
    answer = pdp.DecideServiceStub(channel).Decide(request, timeout=1)
    print(pdp.Outcome.Name(answer.outcome), answer.message)
    sys.exit(0 if answer.allowed else 1)

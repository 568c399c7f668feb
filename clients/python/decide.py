"""Prints what may go out of a text, by a PDP: `python clients/python/decide.py "some text"`."""

import sys

import pdp_client as pdp

with pdp.connect("127.0.0.1:50051") as channel:
    request = pdp.DecideRequest(content=pdp.Content(text=sys.argv[1]))
    response = pdp.DecideServiceStub(channel).Decide(request, timeout=1)
    try:
        permit = pdp.enforce(response, request)
    except pdp.NotPermitted as refusal:
        print(pdp.Outcome.Name(response.outcome), refusal.reason)
        sys.exit(1)
    print(permit.text)

"""What of a change an auditor is not shown."""

from __future__ import annotations

from typing import Any

import pytest

from pdp.admin.change_log import MASKED, masked


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"slack_webhook_url": "https://x"}, {"slack_webhook_url": MASKED}),
        ({"a": [{"notify": {"webhook": "x"}}]}, {"a": [{"notify": {"webhook": MASKED}}]}),
        ({"secrets": [{"sha256": "x"}], "name": "n"}, {"secrets": MASKED, "name": "n"}),
        ({"client_secret": "x", "password": "y"}, {"client_secret": MASKED, "password": MASKED}),
        ({"daily_token_limit": 5, "pattern": "x"}, {"daily_token_limit": 5, "pattern": "x"}),
        ({"api_key": "", "token": None}, {"api_key": "", "token": None}),
    ],
)
def test_secrets_are_masked(body: dict[str, Any], shown: dict[str, Any]) -> None:
    assert masked(body) == shown

"""Secrets in changes are masked."""

from __future__ import annotations

from typing import Any

import pytest

from pdp.admin.change_log import MASK, mask_secrets


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ({"slack_webhook_url": "https://x"}, {"slack_webhook_url": MASK}),
        ({"a": [{"notify": {"webhook": "x"}}]}, {"a": [{"notify": {"webhook": MASK}}]}),
        ({"secrets": [{"sha256": "x"}], "name": "n"}, {"secrets": MASK, "name": "n"}),
        ({"client_secret": "x", "password": "y"}, {"client_secret": MASK, "password": MASK}),
        ({"daily_token_limit": 5, "pattern": "x"}, {"daily_token_limit": 5, "pattern": "x"}),
        ({"api_key": "", "token": None}, {"api_key": "", "token": None}),
    ],
)
def test_secrets_are_masked(body: dict[str, Any], masked: dict[str, Any]) -> None:
    assert mask_secrets(body) == masked

package pdp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// TokensHeader is the header, and in lower case the metadata, in which a client of the middleware or
// of the server interceptors sends the confirmations of its user, separated by commas.
const TokensHeader = "X-PDP-Tokens"

const (
	maxTokens     = 8
	maxTokenBytes = 8192
)

// permitFor returns what may go out by the decision on a request. If the request waits for an approval
// that is given already, it is decided again with the token of the approval.
func (c *Client) permitFor(
	ctx context.Context, message *pdpv1.DecideRequest, s callSettings,
) (*Permit, *Decision, error) {
	decision, err := c.decide(ctx, message, s)
	if err != nil {
		return nil, nil, err
	}
	permit, err := decision.Enforce()
	var held *HeldError
	if !errors.As(err, &held) || held.Approval == nil || !held.Approval.Given() {
		return permit, decision, err
	}
	again, err := Resume(Request{Message: message}, held, false)
	if err != nil {
		return nil, decision, err
	}
	again.Message.RequestId = newRequestID()
	if decision, err = c.decide(ctx, again.Message, s); err != nil {
		return nil, nil, err
	}
	permit, err = decision.Enforce()
	return permit, decision, err
}

// tokensOf returns the tokens of header values; false if they are no list of tokens.
func tokensOf(values []string) ([]string, bool) {
	if len(values) == 0 {
		return nil, true
	}
	tokens := strings.Split(strings.Join(values, ","), ",")
	if len(tokens) > maxTokens {
		return nil, false
	}
	for index, each := range tokens {
		tokens[index] = strings.TrimSpace(each)
		if tokens[index] == "" || len(tokens[index]) > maxTokenBytes {
			return nil, false
		}
	}
	return tokens, true
}

// facts returns what the caller must know to send a held request again.
func (e *HeldError) facts() map[string]string {
	facts := map[string]string{}
	var expires time.Time
	if e.Approval != nil {
		facts["approval_id"], facts["approval_state"] = e.Approval.ID, e.Approval.State
		expires = e.Approval.ExpiresAt
	} else {
		var confirmations []string
		for _, each := range e.Prompts {
			if each.Confirmation != "" {
				confirmations = append(confirmations, string(each.Confirmation))
			}
			if expires.IsZero() || each.ExpiresAt.Before(expires) {
				expires = each.ExpiresAt
			}
		}
		if len(confirmations) > 0 {
			facts["confirmation"] = strings.Join(confirmations, ",")
		}
	}
	if !expires.IsZero() {
		facts["expires_at"] = expires.UTC().Format(time.RFC3339)
	}
	return facts
}

// statusOf returns the HTTP status of a decision that stops a request.
func statusOf(decision *Decision) int {
	if decision != nil && decision.StatusHint >= 400 && decision.StatusHint < 600 {
		return decision.StatusHint
	}
	return http.StatusForbidden
}

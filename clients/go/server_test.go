package pdp_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pdp "pdp.dev/client-go"
	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
	"pdp.dev/client-go/internal/servertest"
)

const policies = `tenant: acme
policies:
  packs:
    - name: Money
      rules:
        - name: wires
          conditions: {actions: ["bank:own:wire"]}
          action: {type: PROMPT, prompt_message: "Wire the money?"}
        - name: deleting
          conditions: {actions: ["db:prod:delete"]}
          action: {type: ESCALATE, message: "May it be deleted?"}
  chain:
    packs: [Money]
`

// startServer returns a client of a real server with policies.
func startServer(t *testing.T) (*servertest.Server, *pdp.Client) {
	t.Helper()
	server := servertest.Start(t)
	file := filepath.Join(t.TempDir(), "acme.yaml")
	if err := os.WriteFile(file, []byte(policies), 0o600); err != nil {
		t.Fatal(err)
	}
	server.Run(t, "policies", "import", "--server", server.Address, file)
	client, err := pdp.NewClient(server.Address, pdp.WithTenant("acme"),
		pdp.WithDefaultTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return server, client
}

func TestARealServer(t *testing.T) {
	server, client := startServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(*testing.T, *pdp.Client){
		"decide":  decides,
		"payload": decidesPayloads, "batch": decidesBatches, "stream": streams, "events": streamsEvents,
		"simulate": simulates, "prompt": resumesPrompts, "approval": asksForApproval,
		"refused": explainsErrors,
	} {
		t.Run(name, func(t *testing.T) { test(t, client) })
	}
	t.Run("README", func(t *testing.T) { runsTheReadme(t, server) })
	t.Run("example", func(t *testing.T) { runsTheExample(t, server) })
	t.Run("cases", func(t *testing.T) { runsCases(t, server) })
}

func decide(t *testing.T, client *pdp.Client, request pdp.Request) *pdp.Decision {
	t.Helper()
	decision, err := client.Decide(t.Context(), request, pdp.WithUnavailableError())
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

func decides(t *testing.T, client *pdp.Client) {
	decision := decide(t, client, pdp.Request{
		Text: "😀 My card is 4111 1111 1111 1111.", WantInputHash: true,
		Tool: "pay", Arguments: map[string]any{"n": json.Number("1234567890123456789")},
	})
	if decision.Outcome != pdp.Redact || !decision.Allowed || !decision.Redacted() ||
		decision.DecisionID == "" || decision.InputHash == "" || decision.Revision == 0 ||
		len(decision.Matches) == 0 {
		t.Errorf("got %+v", decision)
	}
	permit, err := decision.Enforce()
	if err != nil || permit.Text != "😀 My card is [REDACTED]." ||
		permit.Arguments["n"] != json.Number("1234567890123456789") {
		t.Errorf("got %+v, %v", permit, err)
	}
	own := pdp.RedactText("😀 My card is 4111 1111 1111 1111.", decision.Obligations.Redact)
	if own != permit.Text {
		t.Errorf("RedactText: got %q, want %q", own, permit.Text)
	}
	decision = decide(t, client, pdp.Request{Text: "1 UNION SELECT password FROM users"})
	if _, err := decision.Enforce(); !errors.Is(err, pdp.ErrDenied) || decision.Failure != nil {
		t.Errorf("got %+v, %v", decision, err)
	}
}

func decidesPayloads(t *testing.T, client *pdp.Client) {
	body := `{"model":"gpt-4o","messages":[{"role":"user","content":"Card 4111 1111 1111 1111"}]}`
	decision, err := client.DecidePayload(t.Context(), "openai.chat_completions", []byte(body),
		pdp.WithRequest(pdp.Request{Subject: pdp.Subject{UserID: "ann"}}), pdp.WithUnavailableError())
	if err != nil {
		t.Fatal(err)
	}
	permit, err := decision.Enforce()
	if err != nil || strings.Contains(string(permit.Payload), "4111") ||
		!strings.Contains(string(permit.Payload), "[REDACTED]") {
		t.Errorf("got %+v, %v", permit, err)
	}
	own, err := pdp.RedactJSON([]byte(body), decision.Obligations.Redact)
	if err != nil || !json.Valid(permit.Payload) || string(own) != string(permit.Payload) {
		t.Errorf("RedactJSON: got %s, want %s", own, permit.Payload)
	}
}

func decidesBatches(t *testing.T, client *pdp.Client) {
	decisions, err := client.DecideBatch(t.Context(), []pdp.Request{
		{Text: "Hello"}, {Text: "1 UNION SELECT password FROM users"}, {Action: "bad action"},
	}, pdp.WithUnavailableError())
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []pdp.Outcome
	for _, each := range decisions {
		outcomes = append(outcomes, each.Outcome)
	}
	if !slices.Equal(outcomes, []pdp.Outcome{pdp.Allow, pdp.Block, pdp.Block}) {
		t.Errorf("got %v", outcomes)
	}
}

func streams(t *testing.T, client *pdp.Client) {
	chunks := []string{"My card is 4111 11", "11 1111 1", "111, and more. ", "Bye."}
	var text strings.Builder
	for part, err := range client.Release(t.Context(), pdp.Request{}, slices.Values(chunks)) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(part)
	}
	if got := text.String(); got != "My card is [REDACTED], and more. Bye." {
		t.Errorf("got %q", got)
	}
	stream, err := client.Stream(t.Context(), pdp.Request{Direction: pdp.Input})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	released, err := stream.Feed("1 UNION SELECT ")
	if err == nil {
		var rest string
		rest, err = stream.Feed("password FROM users")
		released += rest
	}
	if err == nil {
		_, err = stream.End()
	}
	if !errors.Is(err, pdp.ErrDenied) || strings.Contains(released, "password") {
		t.Errorf("got %q, %v", released, err)
	}
	if stream.Decision().Outcome != pdp.Block {
		t.Errorf("got %+v", stream.Decision())
	}
}

func streamsEvents(t *testing.T, client *pdp.Client) {
	request := pdp.Request{Payload: &pdp.Payload{Format: "openai.chat_completions"}}
	events := []string{
		`data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":` +
			`{"content":"Card 4111 1111 "}}]}` + "\n\n",
		`data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":` +
			`{"content":"1111 1111 ok"}}]}` + "\n\n",
		"data: [DONE]\n\n",
	}
	var text strings.Builder
	for part, err := range client.Release(t.Context(), request, slices.Values(events)) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(part)
	}
	if got := text.String(); strings.Contains(got, "4111") || !strings.Contains(got, "[DONE]") {
		t.Errorf("got %q", got)
	}
}

func simulates(t *testing.T, client *pdp.Client) {
	overlay := &pdpv1.Overlay{StaticPolicies: []*pdpv1.OverlayStaticPolicy{{
		Name: "No bananas", Pattern: "banana", Action: "block", Severity: "high",
	}}}
	simulation, err := client.Simulate(t.Context(), pdp.Request{Text: "a banana"}, overlay,
		pdp.WithUnavailableError())
	if err != nil || simulation.Decision.Outcome != pdp.Block || len(simulation.Layers) == 0 {
		t.Errorf("got %+v, %v", simulation, err)
	}
	if decision := decide(t, client, pdp.Request{Text: "a banana"}); !decision.Allowed {
		t.Errorf("the simulation had an effect: %+v", decision)
	}
}

func resumesPrompts(t *testing.T, client *pdp.Client) {
	request := pdp.Request{Action: "bank:own:wire", Subject: pdp.Subject{UserID: "ann"}}
	decision := decide(t, client, request)
	_, err := decision.Enforce()
	var held *pdp.HeldError
	if !errors.As(err, &held) || !errors.Is(err, pdp.ErrHeld) || !decision.Held() {
		t.Fatalf("got %v", err)
	}
	if held.Prompts[0].Message != "Wire the money?" || held.Prompts[0].ExpiresAt.IsZero() {
		t.Errorf("got %+v", held.Prompts)
	}
	again, err := pdp.Resume(request, held, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decide(t, client, again).Enforce(); err != nil {
		t.Errorf("got %v after the confirmation", err)
	}
	if got := decide(t, client, again); got.ReasonCode != "TOKEN_USED" || got.Allowed {
		t.Errorf("got %+v the second time", got)
	}
	other, err := decision.Resume(true)
	if err != nil || len(other.Message.GetTokens()) != 1 {
		t.Errorf("got %v, %v", other.Message, err)
	}
}

func asksForApproval(t *testing.T, client *pdp.Client) {
	request := pdp.Request{Action: "db:prod:delete", Subject: pdp.Subject{UserID: "ann"}}
	decision := decide(t, client, request)
	_, err := decision.Enforce()
	var held *pdp.HeldError
	if !errors.As(err, &held) || held.Approval == nil || held.Approval.Given() {
		t.Fatalf("got %v", err)
	}
	again, err := pdp.Resume(request, held, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decide(t, client, again).Enforce(); !errors.Is(err, pdp.ErrHeld) {
		t.Errorf("got %v before the approval", err)
	}
}

func explainsErrors(t *testing.T, client *pdp.Client) {
	_, err := client.Decide(t.Context(), pdp.Request{Action: "DROP TABLE"})
	var refused *pdp.CallError
	if !errors.As(err, &refused) || refused.Reason != "INVALID_ARGUMENT" ||
		len(refused.Violations) != 1 || refused.Violations[0].Field != "action" {
		t.Errorf("got %+v", err)
	}
}

package pdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

func obligation(kind string, change func(*pdpv1.Obligation)) *pdpv1.Obligation {
	each := &pdpv1.Obligation{
		Type: pdpv1.ObligationType(pdpv1.ObligationType_value["OBLIGATION_TYPE_"+kind]),
	}
	if change != nil {
		change(each)
	}
	return each
}

func redactObligation(path *string) *pdpv1.Obligation {
	return obligation("REDACT", func(o *pdpv1.Obligation) {
		o.Replacement = proto.String("[REDACTED]")
		o.Spans = []*pdpv1.Span{{Path: path, Start: 0, End: 1}}
	})
}

func promptObligation() *pdpv1.Obligation {
	return obligation("PROMPT", func(o *pdpv1.Obligation) {
		o.Message, o.Confirmation = proto.String("Really?"), "confirmation-1"
	})
}

func approvalObligation(state string) *pdpv1.Obligation {
	return obligation("APPROVAL", func(o *pdpv1.Obligation) {
		o.ApprovalId, o.Token, o.ApprovalState = "a-1", "token-1", state
		o.Message = proto.String("May it?")
		o.ExpiresAt = timestamppb.Now()
	})
}

func routeObligation(model string) *pdpv1.Obligation {
	return obligation("ROUTE_TO", func(o *pdpv1.Obligation) {
		o.Model, o.Provider = proto.String(model), "openai"
	})
}

func maskObligation(fields ...string) *pdpv1.Obligation {
	return obligation("MASK_FIELDS", func(o *pdpv1.Obligation) { o.Fields = fields })
}

const (
	allow    = pdpv1.Outcome_OUTCOME_ALLOW
	redact   = pdpv1.Outcome_OUTCOME_REDACT
	routeTo  = pdpv1.Outcome_OUTCOME_ROUTE_TO
	prompt   = pdpv1.Outcome_OUTCOME_PROMPT
	escalate = pdpv1.Outcome_OUTCOME_ESCALATE
	block    = pdpv1.Outcome_OUTCOME_BLOCK
)

// judged returns a decision without the checks of an answer.
func judged(response *pdpv1.DecideResponse) *Decision { return newDecision(response, nil) }

func withUnknownField[M proto.Message](message M) M {
	message.ProtoReflect().SetUnknown([]byte{0xfa, 0x3e, 0x01, 'x'})
	return message
}

func TestEnforceDenies(t *testing.T) {
	path := "/a"
	request := Request{Text: "hello", Arguments: map[string]any{"a": "b"}}
	span := redactObligation(nil)
	withUnknownField(span.Spans[0])
	for name, test := range map[string]struct {
		request  Request
		response *pdpv1.DecideResponse
	}{
		"a block":               {request, answer(nil, block, false)},
		"an unknown outcome":    {request, answer(nil, 77, true)},
		"no outcome":            {request, answer(nil, 0, true)},
		"allowed with a prompt": {request, answer(nil, prompt, true, promptObligation())},
		"allowed with a block":  {request, answer(nil, block, true)},
		"ALLOW, not allowed":    {request, answer(nil, allow, false)},
		"another request":       {Request{RequestID: "mine"}, answer(nil, allow, true)},
		"an unknown obligation": {request, answer(nil, allow, true, &pdpv1.Obligation{Type: 99})},
		"no type":               {request, answer(nil, allow, true, &pdpv1.Obligation{})},
		"an unknown field of an obligation": {
			request, answer(nil, routeTo, true, withUnknownField(routeObligation("m"))),
		},
		"an unknown field of a span": {request, answer(nil, redact, true, span)},
		"a redaction without a span": {request, answer(nil, redact, true, obligation("REDACT", nil))},
		"REDACT without an obligation": {
			request, answer(nil, redact, true, routeObligation("m")),
		},
		"ROUTE_TO without an obligation": {request, answer(nil, routeTo, true)},
		"ESCALATE without an approval":   {request, answer(nil, escalate, false)},
		"an approval without a token": {
			request, answer(nil, escalate, false, obligation("APPROVAL", func(o *pdpv1.Obligation) {
				o.ApprovalId, o.ExpiresAt = "a", timestamppb.Now()
			})),
		},
		"an approval without an end": {
			request, answer(nil, escalate, false, obligation("APPROVAL", func(o *pdpv1.Obligation) {
				o.ApprovalId, o.Token = "a", "t"
			})),
		},
		"several approvals": {
			request,
			answer(nil, escalate, false, approvalObligation("pending"), approvalObligation("pending")),
		},
		"several models": {
			request, answer(nil, routeTo, true, routeObligation("a"), routeObligation("b")),
		},
		"a text without its redaction": {request, answer(nil, redact, true, redactObligation(nil))},
		"arguments without their redaction": {
			request, answer(nil, redact, true, redactObligation(&path)),
		},
		"a payload without its redaction": {
			Request{Payload: &Payload{Format: "json", Body: []byte("{}")}},
			&pdpv1.DecideResponse{
				Outcome: redact, Allowed: true, PayloadFormat: "json",
				Obligations: []*pdpv1.Obligation{redactObligation(&path)},
			},
		},
		"a server without payloads": {
			Request{Payload: &Payload{Format: "json", Body: []byte("{}")}}, answer(nil, allow, true),
		},
		"a field that is nowhere": {request, answer(nil, redact, true, maskObligation("ssn"))},
	} {
		t.Run(name, func(t *testing.T) {
			permit, err := Enforce(test.request, judged(test.response))
			var denied *DeniedError
			if !errors.Is(err, ErrDenied) || !errors.As(err, &denied) || denied.Reason == "" {
				t.Errorf("got %+v, %v, want a denial", permit, err)
			}
			if errors.Is(err, ErrHeld) || errors.Is(err, ErrUnavailable) {
				t.Errorf("%v is an error of another kind, too", err)
			}
		})
	}
	if _, err := Enforce(request, nil); !errors.Is(err, ErrDenied) {
		t.Errorf("no decision: got %v", err)
	}
	if _, err := Enforce(request, &Decision{Allowed: true, Outcome: Allow}); !errors.Is(err, ErrDenied) {
		t.Errorf("no answer: got %v", err)
	}
}

func mustEnforce(t *testing.T, request Request, response *pdpv1.DecideResponse) *Permit {
	t.Helper()
	permit, err := Enforce(request, judged(response))
	if err != nil {
		t.Fatal(err)
	}
	return permit
}

func TestEnforceReturnsWhatMayGoOut(t *testing.T) {
	path := "/card"
	response := answer(nil, redact, true, redactObligation(nil), redactObligation(&path),
		routeObligation("gpt-4o"))
	response.RedactedText = proto.String("[REDACTED]ello")
	response.RedactedArgumentsJson = proto.String(`{"card": "[REDACTED]", "n": 1234567890123456789}`)
	response.Warnings = []*pdpv1.PolicyWarning{{PolicyId: "p", Message: "Careful."}}
	permit := mustEnforce(t, Request{
		Text: "hello", Arguments: json.RawMessage(`{"card": "4111", "n": 1234567890123456789}`),
	}, response)
	if permit.Text != "[REDACTED]ello" || permit.Arguments["card"] != "[REDACTED]" ||
		permit.Arguments["n"] != json.Number("1234567890123456789") {
		t.Errorf("got %+v", permit)
	}
	if *permit.Route != (Route{"openai", "gpt-4o"}) || permit.Warnings[0].Message != "Careful." {
		t.Errorf("got %+v", permit)
	}
}

func TestEnforceKeepsWhatIsNotRedacted(t *testing.T) {
	permit := mustEnforce(t, Request{Text: "hello", Arguments: map[string]int{"n": 1}},
		answer(nil, allow, true))
	if permit.Text != "hello" || string(permit.ArgumentsJSON) != `{"n":1}` || permit.Route != nil {
		t.Errorf("got %+v", permit)
	}
	permit = mustEnforce(t, Request{Text: "hello"}, answer(nil, allow, true))
	if permit.Arguments != nil || permit.ArgumentsJSON != nil || permit.Payload != nil {
		t.Errorf("got %+v", permit)
	}
}

func TestEnforceReadsStructs(t *testing.T) {
	arguments, err := structpb.NewStruct(map[string]any{"a": []any{1, 2.5, "x", true, nil}})
	if err != nil {
		t.Fatal(err)
	}
	permit := mustEnforce(t, Request{Message: &pdpv1.DecideRequest{Arguments: arguments}},
		answer(nil, allow, true))
	if want := `{"a":[1,2.5,"x",true,null]}`; string(permit.ArgumentsJSON) != want {
		t.Errorf("got %s, want %s", permit.ArgumentsJSON, want)
	}
}

func TestEnforceMasks(t *testing.T) {
	request := Request{
		Arguments: json.RawMessage(`{"user": {"ssn": 1, "name": "Ann"}, "rows": [{"ssn": [2]}]}`),
		Target:    Target{Fields: []string{"user.iban"}},
	}
	permit := mustEnforce(t, request, answer(nil, redact, true, maskObligation("ssn", "user.iban")))
	want := `{"user":{"ssn":"[MASKED]","name":"Ann"},"rows":[{"ssn":"[MASKED]"}]}`
	if string(permit.ArgumentsJSON) != want || !permit.masksResource {
		t.Errorf("got %s, want %s", permit.ArgumentsJSON, want)
	}
	type row struct {
		IBAN string `json:"iban"`
		Name string `json:"name"`
	}
	got, err := permit.Mask([]row{{"DE89", "Ann"}})
	if text := fmt.Sprint(got); err != nil || text != "[map[iban:[MASKED] name:Ann]]" {
		t.Errorf("got %s, %v", text, err)
	}
	if got, err := new(Permit).Mask(7); got != 7 || err != nil {
		t.Errorf("got %v, %v, want the value itself", got, err)
	}
}

func TestEnforceHolds(t *testing.T) {
	request := Request{Text: "hello", Tokens: []Secret{"older"}}
	_, err := Enforce(request, judged(answer(nil, allow, true, promptObligation(),
		approvalObligation("approved"))))
	var held *HeldError
	if !errors.Is(err, ErrHeld) || !errors.As(err, &held) {
		t.Fatalf("got %v, want a held request", err)
	}
	if held.Approval.ID != "a-1" || !held.Approval.Given() || held.Reason != "Really? May it?" {
		t.Errorf("got %+v", held)
	}
	again, err := Resume(request, held, false)
	if want := []Secret{"older", "token-1"}; err != nil || !slices.Equal(again.Tokens, want) {
		t.Errorf("got %v, %v", again.Tokens, err)
	}
	again, err = Resume(again, held, true)
	if want := []Secret{"older", "token-1", "confirmation-1"}; err != nil ||
		!slices.Equal(again.Tokens, want) {
		t.Errorf("got %v, %v", again.Tokens, err)
	}
	if len(request.Tokens) != 1 {
		t.Error("Resume has changed its request")
	}
	message := Request{Message: &pdpv1.DecideRequest{Tokens: []string{"token-1"}}}
	again, err = Resume(message, held, true)
	if want := []string{"token-1", "confirmation-1"}; err != nil ||
		!slices.Equal(again.Message.GetTokens(), want) || len(message.Message.GetTokens()) != 1 {
		t.Errorf("got %v, %v", again.Message, err)
	}
	if again.Tokens != nil {
		t.Error("a request with a message has other fields")
	}
}

func TestResumeNeedsAnAnswer(t *testing.T) {
	old := obligation("PROMPT", func(o *pdpv1.Obligation) { o.Message = proto.String("Really?") })
	for name, test := range map[string]struct {
		obligation *pdpv1.Obligation
		confirmed  bool
	}{
		"the user has not confirmed":       {promptObligation(), false},
		"the decision has no confirmation": {old, true},
	} {
		_, err := Enforce(Request{}, judged(answer(nil, prompt, false, test.obligation)))
		var held *HeldError
		if !errors.As(err, &held) {
			t.Fatalf("got %v", err)
		}
		if _, err := Resume(Request{}, held, test.confirmed); err == nil ||
			!strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestConfirmedPassesPromptsOnly(t *testing.T) {
	decision := judged(answer(nil, prompt, false, promptObligation()))
	permit, err := Enforce(Request{Text: "hello"}, decision, Confirmed())
	if err != nil || permit.Text != "hello" || permit.Prompts[0].Message != "Really?" {
		t.Errorf("got %+v, %v", permit, err)
	}
	decision = judged(answer(nil, escalate, false, approvalObligation("pending")))
	if _, err := Enforce(Request{}, decision, Confirmed()); !errors.Is(err, ErrHeld) {
		t.Errorf("got %v, want a held request", err)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	decision := judged(answer(nil, escalate, false, approvalObligation("pending"), promptObligation()))
	decision.Raw = nil
	obligations := decision.Obligations
	text, err := json.Marshal(obligations)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s", *obligations.Approval, obligations, obligations.Prompts, text)
	if strings.Contains(all, "token-1") || strings.Contains(all, "confirmation-1") {
		t.Errorf("a secret is printed: %s", all)
	}
}

func TestAMessageIsSetAlone(t *testing.T) {
	request := Request{Text: "hello", Message: &pdpv1.DecideRequest{}}
	if _, err := request.message(); err == nil {
		t.Error("want an error")
	}
	for _, value := range []any{[]int{1}, "text", make(chan int)} {
		if _, err := (Request{Arguments: value}).message(); err == nil {
			t.Errorf("%T: want an error", value)
		}
	}
}

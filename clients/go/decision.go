package pdp

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// Outcome is the result of a decision.
type Outcome string

// The outcomes, from the weakest to the strongest.
const (
	Allow             Outcome = "ALLOW"
	Warn              Outcome = "WARN"
	AllowWithOverride Outcome = "ALLOW_WITH_OVERRIDE"
	RouteTo           Outcome = "ROUTE_TO"
	Redact            Outcome = "REDACT"
	PromptUser        Outcome = "PROMPT"
	Escalate          Outcome = "ESCALATE"
	Cancel            Outcome = "CANCEL"
	Block             Outcome = "BLOCK"
)

// passing has all known outcomes: whether a request with this outcome is allowed.
var passing = map[pdpv1.Outcome]bool{
	pdpv1.Outcome_OUTCOME_ALLOW:               true,
	pdpv1.Outcome_OUTCOME_WARN:                true,
	pdpv1.Outcome_OUTCOME_ALLOW_WITH_OVERRIDE: true,
	pdpv1.Outcome_OUTCOME_ROUTE_TO:            true,
	pdpv1.Outcome_OUTCOME_REDACT:              true,
	pdpv1.Outcome_OUTCOME_PROMPT:              false,
	pdpv1.Outcome_OUTCOME_ESCALATE:            false,
	pdpv1.Outcome_OUTCOME_CANCEL:              false,
	pdpv1.Outcome_OUTCOME_BLOCK:               false,
}

// Decision is a decision. Send only what [Decision.Enforce] returns: Allowed does not say what must
// be changed first.
type Decision struct {
	// Outcome is the outcome.
	Outcome Outcome
	// Allowed says whether the request may go out, after the obligations are fulfilled.
	Allowed bool
	// Message explains the decision to the user. It is safe to show.
	Message string
	// ReasonCode is the machine-readable reason; PDP_UNAVAILABLE if there was no decision.
	ReasonCode string
	// DecisionID is the ID of the decision; empty if there was none.
	DecisionID string
	// RequestID is the ID of the request.
	RequestID string
	// Revision is the revision of the policies that the decision is based on.
	Revision int64
	// Incomplete is true if a part of the request could not be evaluated.
	Incomplete bool
	// Matches are the policies that matched.
	Matches []Match
	// Warnings are the messages to show to the user.
	Warnings []Warning
	// Obligations are what the decision requires.
	Obligations Obligations
	// RetryAfter is the time until the request can pass, if a limit stops it; else 0.
	RetryAfter time.Duration
	// InputHash identifies what was decided on.
	InputHash string
	// StatusHint is the HTTP status to answer with.
	StatusHint int
	// Failure says why there was no decision; nil if there was one. It is an UnavailableError.
	Failure error
	// Raw is the answer of the server. It can hold tokens: do not log it.
	Raw *pdpv1.DecideResponse

	sent *pdpv1.DecideRequest
}

// Match is a policy that matched.
type Match struct {
	// Layer is its layer, for instance static.
	Layer string
	// PolicyID is its ID.
	PolicyID string
	// Name is its name.
	Name string
	// Action is its action.
	Action string
	// Severity is its severity.
	Severity string
	// Reason says what it matched.
	Reason string
	// Pointer is the JSON Pointer of the part of the payload that it matched.
	Pointer string
	// WouldBe is the outcome that it would have given if it were not in monitor mode.
	WouldBe string
}

// Warning is a message to show to the user.
type Warning struct {
	// PolicyID is the ID of the policy that warns.
	PolicyID string
	// Message is the message.
	Message string
}

// Obligations are what a decision requires. [Decision.Enforce] fulfils them.
type Obligations struct {
	// Redact is what must be replaced.
	Redact []Redaction
	// MaskFields are the fields that must be masked.
	MaskFields []string
	// Route is the model that the request must be sent to; nil for the one that it names.
	Route *Route
	// Prompts are what the user must confirm.
	Prompts []Prompt
	// Approval is the approval of a second person that is missing; nil for none.
	Approval *Approval
	// Known says whether the client knows all obligations. If not, Enforce denies.
	Known bool
}

// Route is the model that a request must be sent to.
type Route struct {
	// Provider is its provider; empty if a server of an older version does not name it.
	Provider string
	// Model is its name.
	Model string
}

// Prompt is a question to the user.
type Prompt struct {
	// Message is the question.
	Message string
	// Confirmation lets the request pass after the user has confirmed.
	Confirmation Secret
	// ExpiresAt is until when; zero if the server gives no confirmation.
	ExpiresAt time.Time
}

// Approval is the approval of a second person that a request waits for.
type Approval struct {
	// ID is the ID of the approval, for the approvers.
	ID string
	// Message is what they are asked.
	Message string
	// State is pending, or approved if the request can be sent again now.
	State string
	// ExpiresAt is until when it can be given and used.
	ExpiresAt time.Time
	// Token lets the request pass once the approval is given.
	Token Secret
}

// Given reports whether the approval is given, so that the request can be sent again now.
func (a *Approval) Given() bool { return a.State == "approved" }

// Redacted reports whether something must be redacted or masked before the request goes out.
func (d *Decision) Redacted() bool {
	return len(d.Obligations.Redact) > 0 || len(d.Obligations.MaskFields) > 0
}

// Held reports whether the request waits for a person; see [Decision.Resume].
func (d *Decision) Held() bool {
	return d.Outcome == PromptUser || d.Outcome == Escalate ||
		len(d.Obligations.Prompts) > 0 || d.Obligations.Approval != nil
}

// Simulation is the result of a simulation. It has no effect, so nothing may go out by it.
type Simulation struct {
	// Decision is what would be decided.
	Decision *Decision
	// Layers are the results of the layers; empty if there was no answer.
	Layers []LayerResult
	// Raw is the answer of the server; nil if there was none.
	Raw *pdpv1.SimulateResponse
}

// LayerResult is the result of one layer in a simulated decision.
type LayerResult struct {
	// Layer is the name of the layer.
	Layer string
	// Outcome is the outcome of the layer alone.
	Outcome Outcome
	// Reason explains the outcome.
	Reason string
	// Matches are the policies of the layer that matched.
	Matches []Match
}

// decisionOf returns the decision that an answer holds. It is an UnavailableError if the answer has
// an unknown outcome, contradicts itself, or is for another request.
func decisionOf(
	response *pdpv1.DecideResponse, sent *pdpv1.DecideRequest,
) (*Decision, *UnavailableError) {
	allowed, known := passing[response.GetOutcome()]
	switch {
	case !known:
		return nil, unavailable("the answer has an unknown outcome: %d", response.GetOutcome())
	case response.GetAllowed() != allowed:
		return nil, unavailable("the answer has allowed %t with the outcome %s",
			response.GetAllowed(), outcomeOf(response.GetOutcome()))
	case sent.GetRequestId() != "" && response.GetRequestId() != sent.GetRequestId():
		return nil, unavailable("the answer is for another request")
	}
	return newDecision(response, sent), nil
}

// denial returns the decision for a request for which there is no decision.
func denial(sent *pdpv1.DecideRequest, failure *UnavailableError) *Decision {
	decision := newDecision(&pdpv1.DecideResponse{
		RequestId:  sent.GetRequestId(),
		Outcome:    pdpv1.Outcome_OUTCOME_BLOCK,
		Message:    "The request could not be checked, so it was stopped. Please try again later.",
		ReasonCode: ReasonUnavailable,
		StatusHint: http.StatusServiceUnavailable,
		Incomplete: true,
	}, sent)
	decision.Failure = failure
	return decision
}

func newDecision(response *pdpv1.DecideResponse, sent *pdpv1.DecideRequest) *Decision {
	decision := &Decision{
		Outcome:     outcomeOf(response.GetOutcome()),
		Allowed:     response.GetAllowed(),
		Message:     response.GetMessage(),
		ReasonCode:  response.GetReasonCode(),
		DecisionID:  response.GetDecisionId(),
		RequestID:   response.GetRequestId(),
		Revision:    response.GetRevision(),
		Incomplete:  response.GetIncomplete(),
		Matches:     matchesOf(response.GetMatches()),
		Obligations: obligationsOf(response.GetObligations()),
		RetryAfter:  time.Duration(response.GetRetryAfterS()) * time.Second,
		InputHash:   response.GetInputHash(),
		StatusHint:  int(response.GetStatusHint()),
		Raw:         response,
		sent:        sent,
	}
	for _, each := range response.GetWarnings() {
		decision.Warnings = append(decision.Warnings, Warning{each.GetPolicyId(), each.GetMessage()})
	}
	return decision
}

func outcomeOf(outcome pdpv1.Outcome) Outcome {
	name, known := pdpv1.Outcome_name[int32(outcome)]
	if !known {
		return Outcome(fmt.Sprint(int32(outcome)))
	}
	return Outcome(strings.TrimPrefix(name, "OUTCOME_"))
}

func matchesOf(matches []*pdpv1.Match) []Match {
	var result []Match
	for _, each := range matches {
		result = append(result, Match{
			Layer: each.GetLayer(), PolicyID: each.GetPolicyId(), Name: each.GetName(),
			Action: each.GetAction(), Severity: each.GetSeverity(), Reason: each.GetReason(),
			Pointer: each.GetPointer(), WouldBe: each.GetWouldBe(),
		})
	}
	return result
}

func obligationsOf(obligations []*pdpv1.Obligation) Obligations {
	result := Obligations{Known: true}
	for _, each := range obligations {
		switch each.GetType() {
		case pdpv1.ObligationType_OBLIGATION_TYPE_REDACT:
			result.Redact = append(result.Redact, redactionOf(each))
		case pdpv1.ObligationType_OBLIGATION_TYPE_MASK_FIELDS:
			result.MaskFields = appendNew(result.MaskFields, each.GetFields())
		case pdpv1.ObligationType_OBLIGATION_TYPE_ROUTE_TO:
			if result.Route == nil {
				result.Route = &Route{Provider: each.GetProvider(), Model: each.GetModel()}
			}
		case pdpv1.ObligationType_OBLIGATION_TYPE_PROMPT:
			result.Prompts = append(result.Prompts, Prompt{
				each.GetMessage(), Secret(each.GetConfirmation()), timeOf(each.GetExpiresAt()),
			})
		case pdpv1.ObligationType_OBLIGATION_TYPE_APPROVAL:
			if result.Approval == nil {
				result.Approval = approvalOf(each)
			}
		default:
			result.Known = false
		}
		if hasUnknownFields(each) {
			result.Known = false
		}
	}
	return result
}

func redactionOf(obligation *pdpv1.Obligation) Redaction {
	redaction := Redaction{Replacement: obligation.GetReplacement()}
	for _, each := range obligation.GetSpans() {
		redaction.Spans = append(redaction.Spans, Span{
			Path: each.Path, Start: int(each.GetStart()), End: int(each.GetEnd()),
			EntityType: each.GetEntityType(), InKey: each.GetInKey(),
		})
	}
	return redaction
}

func approvalOf(obligation *pdpv1.Obligation) *Approval {
	return &Approval{
		ID: obligation.GetApprovalId(), Message: obligation.GetMessage(),
		State: obligation.GetApprovalState(), ExpiresAt: timeOf(obligation.GetExpiresAt()),
		Token: Secret(obligation.GetToken()),
	}
}

func timeOf(timestamp *timestamppb.Timestamp) time.Time {
	if timestamp.CheckValid() != nil {
		return time.Time{}
	}
	return timestamp.AsTime()
}

func appendNew(names, more []string) []string {
	for _, each := range more {
		if !contains(names, each) {
			names = append(names, each)
		}
	}
	return names
}

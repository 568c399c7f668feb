package pdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// Secret is a value that must not be logged. It prints as [secret]; convert it to a string to get the
// value.
type Secret string

// String returns [secret].
func (Secret) String() string { return "[secret]" }

// GoString returns [secret].
func (Secret) GoString() string { return "[secret]" }

// MarshalText returns [secret].
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// LogValue returns [secret].
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// The directions of a request.
const (
	// Input is the direction to a model or tool.
	Input = "input"
	// Output is the direction from a model or tool.
	Output = "output"
)

// Request is one request to evaluate. All fields are optional.
type Request struct {
	// RequestID is the ID of this request. By default, the client generates one.
	RequestID string
	// TenantID is the tenant whose policies apply; by default that of the client.
	TenantID string
	// CustomerID is the customer whose policy applies in addition.
	CustomerID string
	// SessionID is the conversation or the run of an agent that the request belongs to.
	SessionID string
	// Subject is the user or agent that makes the request.
	Subject Subject
	// Direction is Input or Output; empty means Input, and Output in a stream.
	Direction string
	// Channel is interactive or api; empty means interactive.
	Channel string
	// IntentComplexity is simple, medium or complex; empty means unknown.
	IntentComplexity string
	// Model is the model that the request is for.
	Model Model
	// Text is the text to evaluate.
	Text string
	// Action is the action that an agent is about to take, as domain:scope:verb.
	Action string
	// Tool is the tool that an agent is about to call.
	Tool string
	// Arguments are the arguments of the tool call: a value whose JSON is an object, or a
	// json.RawMessage. Numbers stay exact.
	Arguments any
	// Target is the resource that the action applies to.
	Target Target
	// Context holds further values for conditions: a value whose JSON is an object.
	Context any
	// Timestamp is when the request was made; by default now.
	Timestamp time.Time
	// Entities are findings of the caller's own detectors.
	Entities []Entity
	// Usage is what the request has used or will use, for limits.
	Usage Usage
	// Payload is a document of a provider or protocol, in place of Text, Arguments, Tool, Action and
	// Entities.
	Payload *Payload
	// Tokens are the approval and confirmation tokens of earlier decisions; see [Resume].
	Tokens []Secret
	// MinRevision is the lowest policy revision that the decision may be based on.
	MinRevision int64
	// Explain requests the trace.
	Explain bool
	// WantInputHash requests InputHash in the decision.
	WantInputHash bool
	// WithoutApproval asks what would be decided, and opens no approval.
	WithoutApproval bool

	// Message is the request as a message of the contract. Set it alone.
	Message *pdpv1.DecideRequest
}

// Subject is the user or agent that makes a request.
type Subject struct {
	// UserID is the user on whose behalf the request is made.
	UserID string
	// Groups are the user's groups.
	Groups []string
	// AgentID is the agent or client that makes the request.
	AgentID string
	// RiskScore is the risk score of the user in the caller's own system; nil for none.
	RiskScore *float64
	// Attributes are further attributes: a value whose JSON is an object.
	Attributes any
}

// Model identifies a model.
type Model struct {
	// Provider is its provider, for instance openai. If it is empty, the server looks it up.
	Provider string
	// Name is its ID, for instance gpt-4o.
	Name string
}

// Target is the resource that an action applies to.
type Target struct {
	// ResourceType is the type of the resource, for instance table.
	ResourceType string
	// ResourceID is the ID of the resource.
	ResourceID string
	// SensitivityLevel is its sensitivity on the caller's own scale; nil for none.
	SensitivityLevel *int32
	// Classifications are the labels of the resource, for instance PII.
	Classifications []string
	// Fields are the fields of the resource that the action reads or writes.
	Fields []string
}

// Entity is a finding of the caller's own detectors.
type Entity struct {
	// Type is the type of the entity, for instance SSN.
	Type string
	// Confidence is the confidence of the finding, from 0 to 1; nil means 1.
	Confidence *float64
	// Start is the offset of the first code point of the finding.
	Start int
	// End is the offset after the last code point of the finding.
	End int
}

// Usage is what a request uses of the limits.
type Usage struct {
	// Tokens is the number of tokens.
	Tokens int64
	// CostUSD is the cost in US dollars.
	CostUSD float64
}

// Payload is a request to a model or tool, or its answer, in the format of a provider or a protocol.
type Payload struct {
	// Format is the format of the body, for instance openai.chat_completions. If it is empty, the
	// server looks at the body.
	Format string
	// Body is the document as it was received.
	Body []byte
	// History is latest to let what stands before the last answer not stop the request; empty means
	// all.
	History string
	// Answers is the method of the request that an answer of mcp.jsonrpc belongs to.
	Answers string
}

// message returns the request as a new message of the contract.
func (r Request) message() (*pdpv1.DecideRequest, error) {
	if r.Message != nil {
		rest := r
		rest.Message = nil
		if !reflect.ValueOf(rest).IsZero() {
			return nil, errors.New("pdp: the request has a Message and other fields: set the Message alone")
		}
		return proto.Clone(r.Message).(*pdpv1.DecideRequest), nil
	}
	arguments, err := objectText("Arguments", r.Arguments)
	if err != nil {
		return nil, err
	}
	context, err := objectText("Context", r.Context)
	if err != nil {
		return nil, err
	}
	subject, err := r.Subject.message()
	if err != nil {
		return nil, err
	}
	message := &pdpv1.DecideRequest{
		RequestId:        r.RequestID,
		TenantId:         r.TenantID,
		CustomerId:       r.CustomerID,
		SessionId:        r.SessionID,
		Subject:          subject,
		Direction:        r.Direction,
		Channel:          r.Channel,
		IntentComplexity: r.IntentComplexity,
		Action:           r.Action,
		Tool:             r.Tool,
		ArgumentsJson:    arguments,
		Target:           r.Target.message(),
		ContextJson:      context,
		MinRevision:      r.MinRevision,
		Explain:          r.Explain,
		WantInputHash:    r.WantInputHash,
		WithoutApproval:  r.WithoutApproval,
	}
	if r.Model != (Model{}) {
		message.Model = &pdpv1.Model{Provider: r.Model.Provider, Model: r.Model.Name}
	}
	if r.Text != "" {
		message.Content = &pdpv1.Content{Text: r.Text}
	}
	if !r.Timestamp.IsZero() {
		message.Timestamp = timestamppb.New(r.Timestamp)
	}
	if r.Usage != (Usage{}) {
		message.Usage = &pdpv1.Usage{Tokens: r.Usage.Tokens, CostUsd: r.Usage.CostUSD}
	}
	if r.Payload != nil {
		message.Payload = r.Payload.message()
	}
	for _, each := range r.Entities {
		message.Entities = append(message.Entities, &pdpv1.Entity{
			EntityType: each.Type, Confidence: each.Confidence,
			Start: int32(each.Start), End: int32(each.End),
		})
	}
	for _, each := range r.Tokens {
		message.Tokens = append(message.Tokens, string(each))
	}
	return message, nil
}

func (s Subject) message() (*pdpv1.Subject, error) {
	if reflect.ValueOf(s).IsZero() {
		return nil, nil
	}
	attributes, err := objectText("Subject.Attributes", s.Attributes)
	if err != nil {
		return nil, err
	}
	return &pdpv1.Subject{
		UserId: s.UserID, Groups: s.Groups, AgentId: s.AgentID,
		RiskScore: s.RiskScore, AttributesJson: attributes,
	}, nil
}

func (t Target) message() *pdpv1.Target {
	if reflect.ValueOf(t).IsZero() {
		return nil
	}
	return &pdpv1.Target{
		ResourceType: t.ResourceType, ResourceId: t.ResourceID, SensitivityLevel: t.SensitivityLevel,
		Classifications: t.Classifications, Fields: t.Fields,
	}
}

func (p *Payload) message() *pdpv1.Payload {
	return &pdpv1.Payload{
		Format: p.Format, Body: string(p.Body), History: p.History, Answers: p.Answers,
	}
}

// objectText returns a value as the text of a JSON object; empty if there is none.
func objectText(name string, value any) (string, error) {
	if value == nil {
		return "", nil
	}
	if text, ok := value.(json.RawMessage); ok {
		return string(text), nil
	}
	text, err := marshal(value)
	if err != nil {
		return "", fmt.Errorf("pdp: %s: %w", name, err)
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		if string(text) == "null" {
			return "", nil
		}
		return "", fmt.Errorf("pdp: %s: %T is not an object in JSON", name, value)
	}
	return string(text), nil
}

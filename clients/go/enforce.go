package pdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// Masked is what replaces the value of a masked field.
const Masked = "[MASKED]"

// Permit is what may go out.
type Permit struct {
	// Text is the text to send in place of the request's text.
	Text string
	// Arguments are the arguments to send in place of the request's; nil if it has none. Numbers are
	// json.Number.
	Arguments map[string]any
	// ArgumentsJSON are the same as JSON text; nil for none.
	ArgumentsJSON json.RawMessage
	// Payload is the document to send in place of the request's payload; nil if it has none.
	Payload []byte
	// Route is the model to send the request to; nil for the model that it names.
	Route *Route
	// Warnings are the messages to show to the user. The request goes out all the same.
	Warnings []Warning
	// Prompts are what the user has confirmed.
	Prompts []Prompt
	// MaskedFields are the fields that the resource's answer must not show; see [Permit.Mask].
	MaskedFields []string

	masksResource bool // some of the masked fields are fields of the request's target
}

// EnforceOption changes what [Enforce] does.
type EnforceOption func(*enforceSettings)

type enforceSettings struct {
	confirmed bool
}

// Confirmed says that the user has confirmed the prompts of this decision. Prefer [Resume]: then the
// policies of that moment judge the request, and a confirmation is used once.
func Confirmed() EnforceOption { return func(s *enforceSettings) { s.confirmed = true } }

// Enforce returns what may go out by a decision on a request. Its errors are:
//
//   - a DeniedError: the request is stopped, or the decision has something that this client does not
//     know or cannot fulfil;
//   - a HeldError: the user must confirm first, or a second person must approve the request.
func Enforce(request Request, decision *Decision, options ...EnforceOption) (*Permit, error) {
	message, err := request.message()
	if err != nil {
		return nil, &DeniedError{decision, err.Error()}
	}
	return enforce(message, decision, options)
}

// Enforce returns what may go out by this decision; see the function [Enforce].
func (d *Decision) Enforce(options ...EnforceOption) (*Permit, error) {
	return enforce(d.sent, d, options)
}

// Resume returns the request as it is to be sent again, if a person must agree first; see the
// function [Resume]. It is a DeniedError if the decision stops the request.
func (d *Decision) Resume(confirmed bool) (Request, error) {
	_, err := d.Enforce()
	if err == nil {
		return Request{}, errors.New("pdp: the request is not held: send what Enforce returns")
	}
	var held *HeldError
	if !errors.As(err, &held) {
		return Request{}, err
	}
	return Resume(Request{Message: d.sent}, held, confirmed)
}

// Resume returns a held request as it is to be sent again. It has the token of the approval, and the
// confirmations of the prompts if the user has confirmed them. As long as the approval is not given,
// the request is held again.
//
// It is an error if there is nothing to send the request again with: the user has not confirmed, or
// the server gives no confirmations.
func Resume(request Request, held *HeldError, confirmed bool) (Request, error) {
	var tokens []Secret
	if held.Approval != nil {
		tokens = append(tokens, held.Approval.Token)
	}
	if confirmed {
		for _, each := range held.Prompts {
			if each.Confirmation != "" {
				tokens = append(tokens, each.Confirmation)
			}
		}
	}
	if len(tokens) == 0 {
		reason := "the user has not confirmed"
		if confirmed {
			reason = "the decision has no confirmation"
		}
		return Request{}, errors.New("pdp: the request cannot be sent again: " + reason)
	}
	if request.Message != nil {
		message := proto.Clone(request.Message).(*pdpv1.DecideRequest)
		for _, each := range tokens {
			message.Tokens = appendNew(message.Tokens, []string{string(each)})
		}
		return Request{Message: message}, nil
	}
	again := request
	again.Tokens = slices.Clone(request.Tokens)
	for _, each := range tokens {
		if !slices.Contains(again.Tokens, each) {
			again.Tokens = append(again.Tokens, each)
		}
	}
	return again, nil
}

// Mask returns a value as JSON values without the values of MaskedFields, at any depth. Use it for
// what the resource returns: the result of a tool or the rows of a query. The field user.ssn masks
// ssn, too. If there are no masked fields, it returns the value itself.
func (p *Permit) Mask(value any) (any, error) {
	if len(p.MaskedFields) == 0 {
		return value, nil
	}
	text, err := marshal(value)
	if err != nil {
		return nil, fmt.Errorf("pdp: mask: %w", err)
	}
	masked, err := p.MaskJSON(text)
	if err != nil {
		return nil, err
	}
	return decode(masked)
}

// MaskJSON is Mask for a JSON document. Members keep their order.
func (p *Permit) MaskJSON(document []byte) ([]byte, error) {
	if len(p.MaskedFields) == 0 {
		return document, nil
	}
	value, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("pdp: mask: %w", err)
	}
	names := map[string]bool{}
	for _, each := range p.MaskedFields {
		names[each], names[lastPart(each)] = true, true
	}
	return marshal(masked(value, names))
}

func masked(value node, names map[string]bool) node {
	switch value := value.(type) {
	case array:
		result := make(array, len(value))
		for index, each := range value {
			result[index] = masked(each, names)
		}
		return result
	case object:
		result := make(object, len(value))
		for index, each := range value {
			result[index] = member{each.key, Masked}
			if !names[each.key] {
				result[index].value = masked(each.value, names)
			}
		}
		return result
	}
	return value
}

// lastPart returns ssn for user.ssn, /user/ssn and rows[0].ssn.
func lastPart(name string) string {
	parts := strings.FieldsFunc(name, func(letter rune) bool {
		return strings.ContainsRune("./[]", letter)
	})
	if len(parts) == 0 {
		return name
	}
	return parts[len(parts)-1]
}

// enforcement is one application of a decision.
type enforcement struct {
	request  *pdpv1.DecideRequest
	response *pdpv1.DecideResponse
	decision *Decision
}

func enforce(
	request *pdpv1.DecideRequest, decision *Decision, options []EnforceOption,
) (*Permit, error) {
	var settings enforceSettings
	for _, option := range options {
		option(&settings)
	}
	if decision == nil || decision.Raw == nil {
		return nil, &DeniedError{decision, "there is no decision"}
	}
	e := enforcement{request, decision.Raw, decision}
	if err := e.check(); err != nil {
		return nil, err
	}
	if err := e.held(settings.confirmed); err != nil {
		return nil, err
	}
	route, err := e.route()
	if err != nil {
		return nil, err
	}
	permit := &Permit{
		Route:        route,
		Warnings:     decision.Warnings,
		Prompts:      decision.Obligations.Prompts,
		MaskedFields: decision.Obligations.MaskFields,
	}
	keys, err := e.fill(permit)
	if err != nil {
		return nil, err
	}
	if err := e.checkMasks(permit, keys); err != nil {
		return nil, err
	}
	return permit, nil
}

func (e enforcement) denied(format string, values ...any) error {
	return &DeniedError{e.decision, fmt.Sprintf(format, values...)}
}

// check returns a DeniedError if the decision stops the request, is another's, or contradicts itself.
func (e enforcement) check() error {
	outcome, allowed := e.response.GetOutcome(), e.response.GetAllowed()
	passes, known := passing[outcome]
	stops := outcome == pdpv1.Outcome_OUTCOME_BLOCK || outcome == pdpv1.Outcome_OUTCOME_CANCEL
	switch {
	case stops && !allowed:
		return e.denied("%s", orElse(e.response.GetMessage(), "The request is not allowed."))
	case !known:
		return e.denied("the outcome %s is not known", outcomeOf(outcome))
	case allowed != passes:
		return e.denied("allowed is %t for the outcome %s", allowed, outcomeOf(outcome))
	case e.request.GetRequestId() != "" && e.request.GetRequestId() != e.response.GetRequestId():
		return e.denied("the decision is for another request")
	}
	if err := e.checkObligations(); err != nil {
		return err
	}
	if needed, ok := fulfilledBy[outcome]; ok && !e.hasObligation(needed...) {
		return e.denied("the outcome %s has no obligation that says what to do", outcomeOf(outcome))
	}
	return nil
}

// fulfilledBy says which obligations tell how to comply with an outcome.
var fulfilledBy = map[pdpv1.Outcome][]pdpv1.ObligationType{
	pdpv1.Outcome_OUTCOME_REDACT: {
		pdpv1.ObligationType_OBLIGATION_TYPE_REDACT,
		pdpv1.ObligationType_OBLIGATION_TYPE_MASK_FIELDS,
	},
	pdpv1.Outcome_OUTCOME_ROUTE_TO: {pdpv1.ObligationType_OBLIGATION_TYPE_ROUTE_TO},
	pdpv1.Outcome_OUTCOME_ESCALATE: {pdpv1.ObligationType_OBLIGATION_TYPE_APPROVAL},
}

func (e enforcement) hasObligation(types ...pdpv1.ObligationType) bool {
	return slices.ContainsFunc(e.response.GetObligations(), func(each *pdpv1.Obligation) bool {
		return slices.Contains(types, each.GetType())
	})
}

// checkObligations returns a DeniedError if an obligation is not known, or cannot be fulfilled.
func (e enforcement) checkObligations() error {
	approvals := 0
	for _, each := range e.response.GetObligations() {
		name := strings.TrimPrefix(each.GetType().String(), "OBLIGATION_TYPE_")
		missing := ""
		switch each.GetType() {
		case pdpv1.ObligationType_OBLIGATION_TYPE_REDACT:
			missing = ifEmpty(len(each.GetSpans()), "spans")
		case pdpv1.ObligationType_OBLIGATION_TYPE_ROUTE_TO:
			missing = ifEmpty(len(each.GetModel()), "model")
		case pdpv1.ObligationType_OBLIGATION_TYPE_PROMPT:
			missing = ifEmpty(len(each.GetMessage()), "message")
		case pdpv1.ObligationType_OBLIGATION_TYPE_MASK_FIELDS:
			missing = ifEmpty(len(each.GetFields()), "fields")
		case pdpv1.ObligationType_OBLIGATION_TYPE_APPROVAL:
			approvals++
			missing = orElse(ifEmpty(len(each.GetApprovalId()), "approval_id"),
				ifEmpty(len(each.GetToken()), "token"))
			if missing == "" && each.GetExpiresAt().CheckValid() != nil {
				missing = "time at which it expires"
			}
		default:
			return e.denied("the obligation %s is not known", name)
		}
		if missing != "" {
			return e.denied("the obligation %s has no %s", name, missing)
		}
		if hasUnknownFields(each) {
			return e.denied("the obligation %s has a field that is not known", name)
		}
	}
	if approvals > 1 {
		return e.denied("the decision names several approvals")
	}
	return nil
}

func hasUnknownFields(obligation *pdpv1.Obligation) bool {
	return len(obligation.ProtoReflect().GetUnknown()) > 0 ||
		slices.ContainsFunc(obligation.GetSpans(), func(each *pdpv1.Span) bool {
			return len(each.ProtoReflect().GetUnknown()) > 0
		})
}

// held returns a HeldError if the request waits for a person.
func (e enforcement) held(confirmed bool) error {
	prompts, approval := e.decision.Obligations.Prompts, e.decision.Obligations.Approval
	asks := len(prompts) > 0 || e.response.GetOutcome() == pdpv1.Outcome_OUTCOME_PROMPT
	if approval == nil && (!asks || confirmed) {
		return nil
	}
	if approval == nil && len(prompts) == 0 {
		message := orElse(e.response.GetMessage(), "Please confirm the request.")
		prompts = []Prompt{{Message: message}}
	}
	var reasons []string
	for _, each := range prompts {
		reasons = append(reasons, each.Message)
	}
	if approval != nil && approval.Message != "" {
		reasons = append(reasons, approval.Message)
	}
	reason := orElse(strings.Join(reasons, " "), orElse(e.response.GetMessage(),
		"The request waits for the approval of a second person."))
	return &HeldError{e.decision, reason, prompts, approval}
}

func (e enforcement) route() (*Route, error) {
	var route *Route
	for _, each := range e.response.GetObligations() {
		if each.GetType() != pdpv1.ObligationType_OBLIGATION_TYPE_ROUTE_TO {
			continue
		}
		next := Route{Provider: each.GetProvider(), Model: each.GetModel()}
		if route != nil && *route != next {
			return nil, e.denied("the decision names several models to route to")
		}
		route = &next
	}
	return route, nil
}

// fill sets what replaces the parts of the request. It returns the keys of the arguments.
func (e enforcement) fill(permit *Permit) (map[string]bool, error) {
	if e.request.GetPayload() != nil {
		payload, err := e.payload()
		permit.Payload = []byte(payload)
		return nil, err
	}
	text, err := e.text()
	if err != nil {
		return nil, err
	}
	permit.Text = text
	return e.arguments(permit)
}

func (e enforcement) payload() (string, error) {
	switch {
	case e.response.GetPayloadFormat() == "":
		return "", e.denied("the server does not know payloads, and has not judged this one")
	case e.response.RedactedPayload != nil:
		return e.response.GetRedactedPayload(), nil
	case e.hasSpan(func(*pdpv1.Span) bool { return true }):
		return "", e.denied("the payload must be redacted, and the decision has no redacted payload")
	}
	return e.request.GetPayload().GetBody(), nil
}

func (e enforcement) text() (string, error) {
	switch {
	case e.response.RedactedText != nil:
		return e.response.GetRedactedText(), nil
	case e.hasSpan(func(span *pdpv1.Span) bool { return span.Path == nil }):
		return "", e.denied("the text must be redacted, and the decision has no redacted text")
	}
	return e.request.GetContent().GetText(), nil
}

func (e enforcement) arguments(permit *Permit) (map[string]bool, error) {
	text, err := e.argumentsText()
	if err != nil || text == "" {
		return nil, err
	}
	value, err := parse([]byte(text))
	if _, ok := value.(object); err != nil || !ok {
		return nil, e.denied("the arguments are not a JSON object")
	}
	keys := map[string]bool{}
	collectKeys(value, keys)
	permit.ArgumentsJSON = json.RawMessage(text)
	if slices.ContainsFunc(permit.MaskedFields, func(name string) bool {
		return keys[name] || keys[lastPart(name)]
	}) {
		if permit.ArgumentsJSON, err = permit.MaskJSON([]byte(text)); err != nil {
			return nil, e.denied("the arguments cannot be masked: %v", err)
		}
	}
	if permit.Arguments, err = decodeObject(string(permit.ArgumentsJSON)); err != nil {
		return nil, e.denied("the arguments cannot be read: %v", err)
	}
	return keys, nil
}

// argumentsText returns the arguments after redaction, as JSON text; empty if there are none.
func (e enforcement) argumentsText() (string, error) {
	switch {
	case e.response.RedactedArgumentsJson != nil:
		return e.response.GetRedactedArgumentsJson(), nil
	case e.response.GetRedactedArguments() != nil:
		return structText(e.response.GetRedactedArguments())
	case e.hasSpan(func(span *pdpv1.Span) bool { return span.Path != nil }):
		return "", e.denied("the arguments must be redacted, and the decision has no redacted arguments")
	case e.request.GetArgumentsJson() != "":
		return e.request.GetArgumentsJson(), nil
	case e.request.GetArguments() != nil:
		return structText(e.request.GetArguments())
	}
	return "", nil
}

func (e enforcement) hasSpan(fits func(*pdpv1.Span) bool) bool {
	return slices.ContainsFunc(e.response.GetObligations(), func(each *pdpv1.Obligation) bool {
		return each.GetType() == pdpv1.ObligationType_OBLIGATION_TYPE_REDACT &&
			slices.ContainsFunc(each.GetSpans(), fits)
	})
}

// checkMasks returns a DeniedError if the request does not have a field to mask.
func (e enforcement) checkMasks(permit *Permit, keys map[string]bool) error {
	fields := e.request.GetTarget().GetFields()
	for _, name := range permit.MaskedFields {
		if contains(fields, name) {
			permit.masksResource = true
		} else if !keys[name] {
			return e.denied("the field %s must be masked, and the request has no such field", name)
		}
	}
	return nil
}

func collectKeys(value node, keys map[string]bool) {
	switch value := value.(type) {
	case array:
		for _, each := range value {
			collectKeys(each, keys)
		}
	case object:
		for _, each := range value {
			keys[each.key] = true
			collectKeys(each.value, keys)
		}
	}
}

// structText returns a Struct as JSON text. Whole numbers have no exponent and no fraction.
func structText(value *structpb.Struct) (string, error) {
	text, err := marshal(structValue(structpb.NewStructValue(value)))
	return string(text), err
}

func structValue(value *structpb.Value) any {
	switch kind := value.GetKind().(type) {
	case *structpb.Value_StructValue:
		result := map[string]any{}
		for name, each := range kind.StructValue.GetFields() {
			result[name] = structValue(each)
		}
		return result
	case *structpb.Value_ListValue:
		result := []any{}
		for _, each := range kind.ListValue.GetValues() {
			result = append(result, structValue(each))
		}
		return result
	case *structpb.Value_NumberValue:
		number := kind.NumberValue
		if number == math.Trunc(number) && math.Abs(number) <= 1<<53 {
			return json.Number(strconv.FormatInt(int64(number), 10))
		}
		return number
	case *structpb.Value_StringValue:
		return kind.StringValue
	case *structpb.Value_BoolValue:
		return kind.BoolValue
	}
	return nil
}

func ifEmpty(length int, name string) string {
	if length == 0 {
		return name
	}
	return ""
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func contains(names []string, name string) bool { return slices.Contains(names, name) }

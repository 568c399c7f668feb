package pdp

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ReasonUnavailable is the reason code of a denial for which there was no decision.
const ReasonUnavailable = "PDP_UNAVAILABLE"

// The kinds of errors, for errors.Is. Use errors.As with the types below for details.
var (
	// ErrDenied says that the request must not go out. See [DeniedError].
	ErrDenied = errors.New("pdp: denied")

	// ErrHeld says that the request waits for a person. See [HeldError].
	ErrHeld = errors.New("pdp: held")

	// ErrUnavailable says that there is no decision. See [UnavailableError].
	ErrUnavailable = errors.New("pdp: unavailable")

	// ErrRefused says that the server refused the call. See [CallError].
	ErrRefused = errors.New("pdp: refused")
)

// FieldViolation is a field of a request that the server refused.
type FieldViolation struct {
	// Field is the path of the field.
	Field string
	// Reason says what is wrong with it.
	Reason string
}

// CallError says that the server refused the call, so the request was not evaluated and must not go
// out. It is ErrRefused.
type CallError struct {
	// Code is the status of gRPC.
	Code codes.Code
	// Reason is the error code of the server, for instance INVALID_ARGUMENT.
	Reason string
	// Message says what is wrong.
	Message string
	// Violations are the fields that the server refused.
	Violations []FieldViolation
}

// Error returns the reason and the message.
func (e *CallError) Error() string { return fmt.Sprintf("pdp: %s: %s", e.Reason, e.Message) }

// Is reports whether the target is ErrRefused.
func (e *CallError) Is(target error) bool { return target == ErrRefused }

// GRPCStatus returns the error as a status for a caller of this program: INVALID_ARGUMENT if the
// request is invalid, else UNAVAILABLE.
func (e *CallError) GRPCStatus() *status.Status {
	if e.Code == codes.InvalidArgument {
		return status.New(e.Code, e.Message)
	}
	return status.New(codes.Unavailable, "the request could not be checked")
}

// UnavailableError says that there is no decision: no answer in time, no server, or an answer that
// cannot be used. It is ErrUnavailable.
type UnavailableError struct {
	// Code is the status of gRPC; codes.OK if the call was not sent, or if the answer is malformed.
	Code codes.Code
	// Reason is the error code of the server, or PDP_UNAVAILABLE.
	Reason string
	// Message says what is wrong.
	Message string

	cause      error
	fromServer bool // the server itself said so, and not the connection
}

// Error returns the reason and the message.
func (e *UnavailableError) Error() string { return fmt.Sprintf("pdp: %s: %s", e.Reason, e.Message) }

// Is reports whether the target is ErrUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the cause, for instance context.DeadlineExceeded.
func (e *UnavailableError) Unwrap() error { return e.cause }

// DeniedError says that the request must not go out: the decision stops it, or has something that
// this client does not know or cannot fulfil. It is ErrDenied and, if there was no decision,
// ErrUnavailable.
type DeniedError struct {
	// Decision is the decision; nil if there is none.
	Decision *Decision
	// Reason says why, for the user.
	Reason string
}

// Error returns the reason.
func (e *DeniedError) Error() string { return "pdp: denied: " + e.Reason }

// Is reports whether the target is ErrDenied.
func (e *DeniedError) Is(target error) bool { return target == ErrDenied }

// Unwrap returns why there was no decision; nil if there was one.
func (e *DeniedError) Unwrap() error {
	if e.Decision == nil {
		return nil
	}
	return e.Decision.Failure
}

// GRPCStatus returns the error as a status: UNAVAILABLE if there was no decision, else
// PERMISSION_DENIED.
func (e *DeniedError) GRPCStatus() *status.Status {
	code := codes.PermissionDenied
	if errors.Is(e, ErrUnavailable) {
		code = codes.Unavailable
	}
	return refusal(code, e.Reason, e.Decision, map[string]string{})
}

// HeldError says that the request waits for a person. [Resume] returns it as it is to be sent again.
// It is ErrHeld.
type HeldError struct {
	// Decision is the decision.
	Decision *Decision
	// Reason says what is asked.
	Reason string
	// Prompts are what the user must confirm; empty if only an approval is missing.
	Prompts []Prompt
	// Approval is the approval of a second person that is missing; nil for none.
	Approval *Approval
}

// Error returns the reason.
func (e *HeldError) Error() string { return "pdp: held: " + e.Reason }

// Is reports whether the target is ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// GRPCStatus returns the error as the status FAILED_PRECONDITION. Its ErrorInfo says what the caller
// must know to send the request again: approval_id, or confirmation, and expires_at.
func (e *HeldError) GRPCStatus() *status.Status {
	return refusal(codes.FailedPrecondition, e.Reason, e.Decision, e.facts())
}

func refusal(
	code codes.Code, message string, decision *Decision, facts map[string]string,
) *status.Status {
	plain := status.New(code, message)
	if decision == nil {
		return plain
	}
	info := &errdetails.ErrorInfo{Reason: decision.ReasonCode, Domain: "pdp", Metadata: facts}
	if decision.DecisionID != "" {
		facts["decision_id"] = decision.DecisionID
	}
	detailed, err := plain.WithDetails(info)
	if err != nil {
		return plain
	}
	return detailed
}

func unavailable(format string, values ...any) *UnavailableError {
	return &UnavailableError{Reason: ReasonUnavailable, Message: fmt.Sprintf(format, values...)}
}

// noDecision has the codes that mean that the server, and not the request, is at fault.
var noDecision = map[codes.Code]bool{
	codes.Unavailable:      true,
	codes.DeadlineExceeded: true,
	codes.Internal:         true,
	codes.Unknown:          true,
	codes.DataLoss:         true,
	codes.Canceled:         true,
	codes.Aborted:          true,
}

// failureOf returns the error that an error of gRPC stands for: an UnavailableError or a CallError.
func failureOf(ctx context.Context, err error, sent proto.Message) error {
	state := status.Convert(err)
	code, message := state.Code(), state.Message()
	reason, violations := detailsOf(state)
	if code == codes.Internal && reason == "" {
		if _, invalid := proto.Marshal(sent); invalid != nil {
			return &CallError{codes.InvalidArgument, "INVALID_ARGUMENT", invalid.Error(), nil}
		}
	}
	if !noDecision[code] {
		if reason == "" {
			reason = codeName(code)
		}
		return &CallError{code, reason, message, violations}
	}
	failure := &UnavailableError{Code: code, Reason: reason, Message: message, fromServer: reason != ""}
	if reason == "" {
		failure.Reason = ReasonUnavailable
	}
	switch {
	case ctx.Err() != nil:
		failure.cause = ctx.Err()
	case code == codes.DeadlineExceeded:
		failure.cause = context.DeadlineExceeded
	}
	if code == codes.DeadlineExceeded {
		failure.Message = "there was no answer in time"
		if message != "" {
			failure.Message += ": " + message
		}
	}
	return failure
}

// detailsOf returns the error code of the server, empty if there is none, and the refused fields.
func detailsOf(state *status.Status) (string, []FieldViolation) {
	var reason string
	var violations []FieldViolation
	for _, detail := range state.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, each := range detail.GetFieldViolations() {
				violations = append(violations, FieldViolation{each.GetField(), each.GetDescription()})
			}
		}
	}
	return reason, violations
}

// codeName returns INVALID_ARGUMENT for InvalidArgument.
func codeName(code codes.Code) string {
	var name strings.Builder
	for index, letter := range code.String() {
		if index > 0 && 'A' <= letter && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}

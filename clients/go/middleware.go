package pdp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"google.golang.org/grpc/codes"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// DefaultMaxBody is how many bytes of a body the middleware reads by default.
const DefaultMaxBody = 8 << 20

// MiddlewareOption is a setting of [Client.Middleware].
type MiddlewareOption func(*middleware)

// RequestFrom says what is known of a request besides its body: the subject, the session. By default,
// nothing is. If the function returns an error, the request is refused.
func RequestFrom(function func(*http.Request) (Request, error)) MiddlewareOption {
	return func(m *middleware) { m.requestFrom = function }
}

// MaxBody sets how many bytes a body may have; by default 8 MiB.
func MaxBody(size int64) MiddlewareOption { return func(m *middleware) { m.maxBody = size } }

// CallTimeout sets how long a decision may take; by default, that of the client.
func CallTimeout(timeout time.Duration) MiddlewareOption {
	return func(m *middleware) { m.timeout = timeout }
}

// HandlerRoutes says that the handler sends the request to the model that the permit names; see
// [PermitFrom]. Without it, such a request is refused.
func HandlerRoutes() MiddlewareOption { return func(m *middleware) { m.routes = true } }

// HandlerMasks says that the handler masks its answer by the permit; see [PermitFrom] and
// [Permit.Mask]. Without it, a request whose answer must be masked is refused.
func HandlerMasks() MiddlewareOption { return func(m *middleware) { m.masks = true } }

type middleware struct {
	client      *Client
	format      string
	requestFrom func(*http.Request) (Request, error)
	maxBody     int64
	timeout     time.Duration
	routes      bool
	masks       bool
}

type permitKey struct{}

// PermitFrom returns the permit of a request that the middleware has let pass; nil if there is none.
func PermitFrom(ctx context.Context) *Permit {
	permit, _ := ctx.Value(permitKey{}).(*Permit)
	return permit
}

// Middleware judges the body of each request before the handler gets it. The format is that of the
// bodies, for instance openai.chat_completions; if it is empty, the server looks at each body.
//
// The handler gets the redacted body. Requests that are stopped, or held for a person, or that cannot
// be judged, do not reach it. Their answer is JSON: {"error": {"code", "message", ...}}. A request that
// waits for a person can be sent again: after an approval as it is, and after a prompt with the
// confirmation in X-PDP-Tokens. The answer of the handler has the warnings in X-PDP-Warnings.
//
// A request without a body passes: there is nothing to judge. Neither the URL nor headers are judged.
func (c *Client) Middleware(
	format string, options ...MiddlewareOption,
) func(http.Handler) http.Handler {
	m := &middleware{client: c, format: format, maxBody: DefaultMaxBody, timeout: c.timeout}
	for _, option := range options {
		option(m)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { m.serve(w, r, next) })
	}
}

// refusal is the answer to a request that does not reach the handler.
type httpRefusal struct {
	status     int
	code       string
	message    string
	facts      map[string]string
	retryAfter time.Duration
}

func (m *middleware) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	r = r.WithContext(r.Context()) // a copy
	r.Header = r.Header.Clone()
	message, refused := m.read(r)
	if refused != nil {
		refused.write(w)
		return
	}
	if message == nil {
		next.ServeHTTP(w, r)
		return
	}
	traced := ContextWithTraceparent(
		r.Context(), r.Header.Get("Traceparent"), r.Header.Get("Tracestate"),
	)
	permit, decision, err := m.client.permitFor(traced, message, callSettings{timeout: m.timeout})
	if err == nil {
		err = m.unfulfilled(permit, decision)
	}
	if decision != nil && decision.DecisionID != "" && isPrintable(decision.DecisionID) {
		w.Header().Set("X-PDP-Decision-Id", decision.DecisionID)
	}
	if err != nil {
		refusalOf(err).write(w)
		return
	}
	if len(permit.Warnings) > 0 {
		w.Header().Set("X-PDP-Warnings", warningsText(permit.Warnings))
	}
	next.ServeHTTP(w, m.permitted(r, permit))
}

// read returns the message for a request; nil if it has no body.
func (m *middleware) read(r *http.Request) (*pdpv1.DecideRequest, *httpRefusal) {
	tokens, ok := tokensOf(r.Header.Values(TokensHeader))
	if !ok {
		return nil, badRequest(http.StatusBadRequest, TokensHeader+" is not a list of tokens")
	}
	r.Header.Del(TokensHeader)
	if r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect {
		return nil, badRequest(http.StatusForbidden, "what follows this request cannot be judged")
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" &&
		!strings.EqualFold(encoding, "identity") {
		return nil, badRequest(http.StatusUnsupportedMediaType, "send the body without an encoding")
	}
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, m.maxBody+1))
	switch {
	case err != nil:
		return nil, badRequest(http.StatusBadRequest, "the body cannot be read")
	case int64(len(body)) > m.maxBody:
		return nil, badRequest(http.StatusRequestEntityTooLarge,
			fmt.Sprintf("the body has more than %d bytes", m.maxBody))
	case len(body) == 0:
		r.Body = http.NoBody
		return nil, nil
	}
	return m.message(r, body, tokens)
}

func (m *middleware) message(
	r *http.Request, body []byte, tokens []string,
) (*pdpv1.DecideRequest, *httpRefusal) {
	var request Request
	if m.requestFrom != nil {
		var err error
		if request, err = m.requestFrom(r); err != nil {
			return nil, badRequest(http.StatusForbidden, "the caller of the request is not known")
		}
	}
	message, err := m.client.prepare(request)
	if err != nil {
		return nil, badRequest(http.StatusInternalServerError, "the request cannot be described")
	}
	message.Tokens = append(message.Tokens, tokens...)
	message.Payload = &pdpv1.Payload{
		Format: m.format, Body: string(body),
		History: message.GetPayload().GetHistory(), Answers: message.GetPayload().GetAnswers(),
	}
	return message, nil
}

// unfulfilled returns a DeniedError if the permit requires what the handler does not do.
func (m *middleware) unfulfilled(permit *Permit, decision *Decision) error {
	switch {
	case permit.Route != nil && !m.routes:
		return &DeniedError{decision, "the request must go to another model, which is not possible here"}
	case len(permit.MaskedFields) > 0 && !m.masks:
		return &DeniedError{decision, "the answer must be masked, which is not possible here"}
	}
	return nil
}

// permitted returns the request for the handler.
func (m *middleware) permitted(r *http.Request, permit *Permit) *http.Request {
	next := r.WithContext(context.WithValue(r.Context(), permitKey{}, permit))
	next.Body = io.NopCloser(bytes.NewReader(permit.Payload))
	next.ContentLength = int64(len(permit.Payload))
	next.Header.Set("Content-Length", strconv.Itoa(len(permit.Payload)))
	next.TransferEncoding = nil
	next.Trailer = nil
	// These describe the body as it was received.
	for _, each := range [...]string{"Content-MD5", "Digest", "Content-Digest", "Repr-Digest"} {
		next.Header.Del(each)
	}
	return next
}

func badRequest(status int, message string) *httpRefusal {
	return &httpRefusal{status: status, code: "REQUEST_REFUSED", message: message}
}

func refusalOf(err error) *httpRefusal {
	var held *HeldError
	var denied *DeniedError
	var refused *CallError
	switch {
	case errors.As(err, &held):
		return &httpRefusal{
			status: statusOf(held.Decision), code: held.Decision.ReasonCode, message: held.Reason,
			facts: held.facts(),
		}
	case errors.As(err, &denied):
		return &httpRefusal{
			status: statusOf(denied.Decision), code: orElse(denied.Decision.ReasonCode, "DENIED"),
			message: denied.Reason, retryAfter: denied.Decision.RetryAfter,
		}
	case errors.As(err, &refused) && refused.Code == codes.InvalidArgument:
		return &httpRefusal{
			status: http.StatusBadRequest, code: refused.Reason, message: refused.Message,
		}
	}
	return &httpRefusal{
		status: http.StatusServiceUnavailable, code: ReasonUnavailable,
		message: "The request could not be checked, so it was stopped. Please try again later.",
	}
}

func (r *httpRefusal) write(w http.ResponseWriter) {
	body := map[string]string{"code": r.code, "message": r.message}
	for name, value := range r.facts {
		body[name] = value
	}
	if id := w.Header().Get("X-PDP-Decision-Id"); id != "" {
		body["decision_id"] = id
	}
	text, err := marshal(map[string]any{"error": body})
	if err != nil {
		text = []byte(`{"error":{"code":"DENIED"}}`)
	}
	if r.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(r.retryAfter/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(r.status)
	_, _ = w.Write(append(text, '\n'))
}

// warningsText returns the messages as a list in JSON, in ASCII.
func warningsText(warnings []Warning) string {
	messages := []string{}
	for _, each := range warnings {
		messages = append(messages, each.Message)
	}
	text, err := marshal(messages)
	if err != nil {
		return "[]"
	}
	var ascii strings.Builder
	for _, letter := range string(text) {
		if letter < 0x7f {
			ascii.WriteRune(letter)
			continue
		}
		for _, unit := range utf16.Encode([]rune{letter}) {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	return ascii.String()
}

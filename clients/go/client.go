package pdp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// The methods of the server, as Telemetry gets them.
const (
	methodDecide       = "pdp.v1.DecideService/Decide"
	methodDecideBatch  = "pdp.v1.DecideService/DecideBatch"
	methodDecideStream = "pdp.v1.DecideService/DecideStream"
	methodSimulate     = "pdp.v1.SimulateService/Simulate"
)

// Client asks a server for decisions. Create it once; it can be used by many goroutines.
//
// If there is no decision, the result is a denial with the reason code PDP_UNAVAILABLE, or an
// UnavailableError with [WithUnavailableError]. A request that the server refuses is always an error,
// a CallError. Nothing of this allows a request.
type Client struct {
	*settings
	endpoints *endpoints
	budget    *retryBudget
	waiting   atomic.Int64
}

// NewClient returns a client. It reads the files of TLS, and connects at the first call.
//
// The address is HOST:PORT or unix:PATH, or several, split by commas. If it is empty, and there are no
// other addresses, it is that in PDP_SERVER, else 127.0.0.1:50051.
func NewClient(address string, options ...Option) (*Client, error) {
	s, err := newSettings(address, options)
	if err != nil {
		return nil, err
	}
	endpoints, err := newEndpoints(s)
	if err != nil {
		return nil, err
	}
	return &Client{settings: s, endpoints: endpoints, budget: newRetryBudget(s.resilience)}, nil
}

// Close closes the connections. Calls that run end without a decision.
func (c *Client) Close() error { return c.endpoints.close() }

// Ready connects to all addresses, and waits until all of them serve or the context ends.
func (c *Client) Ready(ctx context.Context) error {
	for _, each := range c.endpoints.all {
		each.conn.Connect()
		state := each.conn.GetState()
		for ; state != connectivity.Ready; state = each.conn.GetState() {
			if state == connectivity.Shutdown {
				return unavailable("the client is closed")
			}
			if state == connectivity.Idle {
				each.conn.Connect()
			}
			if !each.conn.WaitForStateChange(ctx, state) {
				return &UnavailableError{
					Reason: ReasonUnavailable, Message: "a server is not ready", cause: ctx.Err(),
				}
			}
		}
	}
	return nil
}

// Decide returns the decision on a request.
func (c *Client) Decide(
	ctx context.Context, request Request, options ...CallOption,
) (*Decision, error) {
	s, err := c.callSettings(options)
	if err != nil {
		return nil, err
	}
	message, err := c.prepare(request)
	if err != nil {
		return nil, err
	}
	return c.decide(ctx, message, s)
}

// DecidePayload returns the decision on a document of a provider or a protocol. The format is, for
// instance, openai.chat_completions; if it is empty, the server looks at the body.
//
// [WithRequest] says what else is known. If its request has a payload, History and Answers are taken
// from there.
func (c *Client) DecidePayload(
	ctx context.Context, format string, body []byte, options ...CallOption,
) (*Decision, error) {
	s, err := c.callSettings(options)
	if err != nil {
		return nil, err
	}
	message, err := c.prepare(s.request)
	if err != nil {
		return nil, err
	}
	payload := message.GetPayload()
	message.Payload = &pdpv1.Payload{
		Format: format, Body: string(body),
		History: payload.GetHistory(), Answers: payload.GetAnswers(),
	}
	return c.decide(ctx, message, s)
}

func (c *Client) decide(
	ctx context.Context, message *pdpv1.DecideRequest, s callSettings,
) (*Decision, error) {
	var decision *Decision
	reply := &pdpv1.DecideResponse{}
	failure, err := c.invoke(ctx, s, call{
		method: methodDecide, request: message, reply: reply,
		requestID: message.GetRequestId(), mayRetry: len(message.GetTokens()) == 0,
		finish: func() (outcome string, failure *UnavailableError) {
			if decision, failure = decisionOf(reply, message); failure != nil {
				return "", failure
			}
			return string(decision.Outcome), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if failure != nil {
		return denial(message, failure), nil
	}
	return decision, nil
}

// DecideBatch returns the decisions on up to 1000 requests of one tenant, in their order. They are
// evaluated against one snapshot of the policies.
func (c *Client) DecideBatch(
	ctx context.Context, requests []Request, options ...CallOption,
) ([]*Decision, error) {
	s, err := c.callSettings(options)
	if err != nil {
		return nil, err
	}
	batch := &pdpv1.DecideBatchRequest{}
	mayRetry := true
	for index, each := range requests {
		message, err := c.prepare(each)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", index, err)
		}
		mayRetry = mayRetry && len(message.GetTokens()) == 0
		batch.Requests = append(batch.Requests, message)
	}
	batch.TenantId = c.batchTenant(batch.Requests)
	decisions := make([]*Decision, len(requests))
	reply := &pdpv1.DecideBatchResponse{}
	failure, err := c.invoke(ctx, s, call{
		method: methodDecideBatch, request: batch, reply: reply, mayRetry: mayRetry,
		requestID: newRequestID(),
		finish: func() (string, *UnavailableError) {
			if len(reply.GetResponses()) != len(batch.Requests) {
				return "", unavailable("the answer has %d decisions for %d requests",
					len(reply.GetResponses()), len(batch.Requests))
			}
			for index, message := range batch.Requests {
				var failure *UnavailableError
				decisions[index], failure = decisionOf(reply.GetResponses()[index], message)
				if failure != nil {
					return "", failure
				}
			}
			return "BATCH", nil
		},
	})
	if err != nil {
		return nil, err
	}
	if failure != nil {
		for index, message := range batch.Requests {
			decisions[index] = denial(message, failure)
		}
	}
	return decisions, nil
}

// batchTenant returns the tenant that all requests have; if they differ, that of the client.
func (c *Client) batchTenant(requests []*pdpv1.DecideRequest) string {
	for _, each := range requests {
		if each.GetTenantId() != requests[0].GetTenantId() {
			return c.tenant
		}
	}
	if len(requests) == 0 {
		return c.tenant
	}
	return requests[0].GetTenantId()
}

// Simulate returns what would be decided, with candidate policies; nil for none. It has no effect,
// and needs the role auditor.
func (c *Client) Simulate(
	ctx context.Context, request Request, overlay *pdpv1.Overlay, options ...CallOption,
) (*Simulation, error) {
	s, err := c.callSettings(options)
	if err != nil {
		return nil, err
	}
	message, err := c.prepare(request)
	if err != nil {
		return nil, err
	}
	simulation := &Simulation{}
	reply := &pdpv1.SimulateResponse{}
	failure, err := c.invoke(ctx, s, call{
		method:  methodSimulate,
		request: &pdpv1.SimulateRequest{Request: message, Overlay: overlay}, reply: reply,
		requestID: message.GetRequestId(), mayRetry: true,
		finish: func() (string, *UnavailableError) {
			decision, failure := decisionOf(reply.GetDecision(), message)
			if failure != nil {
				return "", failure
			}
			simulation.Decision, simulation.Raw = decision, reply
			return string(decision.Outcome), nil
		},
	})
	if err != nil {
		return nil, err
	}
	if failure != nil {
		simulation.Decision = denial(message, failure)
	}
	for _, each := range simulation.Raw.GetLayers() {
		simulation.Layers = append(simulation.Layers, LayerResult{
			each.GetLayer(), outcomeOf(each.GetOutcome()), each.GetReason(),
			matchesOf(each.GetMatches()),
		})
	}
	return simulation, nil
}

// prepare returns the message of a request with an ID, and with the tenant of the client if it names
// none.
func (c *Client) prepare(request Request) (*pdpv1.DecideRequest, error) {
	message, err := request.message()
	if err != nil {
		return nil, err
	}
	if message.RequestId == "" {
		message.RequestId = newRequestID()
	}
	if message.TenantId == "" {
		message.TenantId = c.tenant
	}
	return message, nil
}

func newRequestID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // it never fails
	return hex.EncodeToString(random[:])
}

// call is a call that can be made.
type call struct {
	method         string
	request, reply proto.Message
	requestID      string
	mayRetry       bool // whether the request may reach the server twice
	// finish reads the reply. It returns the outcome, or why the reply cannot be used.
	finish func() (string, *UnavailableError)
}

// invoke makes a call. If there is no decision, it returns the reason as the first value, or as the
// error if the caller has asked for it.
func (c *Client) invoke(
	ctx context.Context, s callSettings, call call,
) (*UnavailableError, error) {
	err := c.observed(ctx, s, call)
	var failure *UnavailableError
	if errors.As(err, &failure) && !s.returnFailure {
		return failure, nil
	}
	return nil, err
}

func (c *Client) observed(ctx context.Context, s callSettings, call call) error {
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ctx, end := c.telemetry.Start(ctx, call.method)
	err := c.attempts(ctx, call)
	if err != nil {
		end("", err)
		return err
	}
	c.budget.add()
	outcome, failure := call.finish()
	if failure != nil {
		end("", failure)
		return failure
	}
	end(outcome, nil)
	return nil
}

// enter counts one more call. It is an UnavailableError if too many are open already.
func (c *Client) enter() error {
	if c.waiting.Add(1) > int64(c.resilience.MaxWaiting) {
		c.leave()
		return unavailable("%d calls wait for an answer already", c.resilience.MaxWaiting)
	}
	return nil
}

func (c *Client) leave() { c.waiting.Add(-1) }

// attempts sends a call until there is an answer, or no further attempt.
func (c *Client) attempts(ctx context.Context, call call) error {
	used := map[*endpoint]bool{}
	for retry := 0; ; retry++ {
		err := c.attempt(ctx, call, used)
		if err == nil {
			return nil
		}
		var failure *UnavailableError
		if !errors.As(err, &failure) || failure.Code != codes.Unavailable || !call.mayRetry ||
			retry+1 >= c.resilience.MaxAttempts || ctx.Err() != nil {
			return err
		}
		pause := c.resilience.pause(retry)
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
			return err
		}
		if !c.budget.take() {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

func (c *Client) attempt(ctx context.Context, call call, used map[*endpoint]bool) error {
	outgoing, err := c.outgoing(ctx, call.requestID)
	if err != nil {
		return err
	}
	endpoint := c.endpoints.pick(used)
	if endpoint == nil {
		return unavailable("all servers have failed; they are tried again in a moment")
	}
	used[endpoint] = true
	if err := endpoint.conn.Invoke(outgoing, "/"+call.method, call.request, call.reply); err != nil {
		failure := failureOf(ctx, err, call.request)
		report(ctx, endpoint, failure)
		return failure
	}
	endpoint.breaker.succeed()
	return nil
}

// report reports a failure to the circuit breaker. A server that says what is wrong works. If the
// caller has cancelled the call, nothing is known of the server.
func report(ctx context.Context, endpoint *endpoint, failure error) {
	var noDecision *UnavailableError
	switch {
	case !errors.As(failure, &noDecision) || noDecision.fromServer:
		endpoint.breaker.succeed()
	case errors.Is(ctx.Err(), context.Canceled):
		endpoint.breaker.release()
	default:
		endpoint.breaker.fail()
	}
}

// outgoing returns the context of a call with its metadata: the credential, the request ID and the
// trace context.
func (c *Client) outgoing(ctx context.Context, requestID string) (context.Context, error) {
	pairs := metadata.MD{}
	if requestID != "" && isPrintable(requestID) {
		pairs.Set("x-request-id", requestID)
	}
	if parent, state := Traceparent(ctx); parent != "" {
		pairs.Set("traceparent", parent)
		if state != "" {
			pairs.Set("tracestate", state)
		}
	}
	if c.apiKey != "" {
		pairs.Set("x-api-key", string(c.apiKey))
	}
	if c.tokens != nil {
		token, err := c.tokens(ctx)
		if err == nil && token == "" {
			err = errors.New("the function has returned an empty token")
		}
		if err != nil {
			return nil, &UnavailableError{
				Reason: ReasonUnavailable, Message: "there is no token: " + err.Error(), cause: err,
			}
		}
		pairs.Set("authorization", "Bearer "+token)
	}
	// Metadata that the caller's context has is meant for other servers.
	return metadata.NewOutgoingContext(ctx, pairs), nil
}

// deadlineExceeded is the failure of an answer that did not come in time.
func deadlineExceeded() error { return status.FromContextError(context.DeadlineExceeded).Err() }

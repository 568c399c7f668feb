package pdp

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// TextStream is a text that is judged as it arrives. One goroutine at a time can use it. Close it at
// the end.
type TextStream struct {
	client   *Client
	settings callSettings
	sent     *pdpv1.DecideRequest
	stream   pdpv1.DecideService_DecideStreamClient
	endpoint *endpoint
	ctx      context.Context
	cancel   context.CancelFunc
	end      func(outcome string, err error)
	decision *Decision
	partial  string // the bytes of a code point that is not complete yet
	started  bool
	reported bool // the circuit breaker knows of the last message
	closed   bool // nothing more is released
	left     bool // Close was called
}

// Stream starts a text that is judged as it arrives, for instance the output of a model. The context
// is that of the whole stream. The request says what is known of the text: the subject, the model. If
// it has a payload with a format, the parts are events as the provider sends them.
//
// If no server can be called, it returns a DeniedError, or an UnavailableError with
// [WithUnavailableError].
func (c *Client) Stream(
	ctx context.Context, request Request, options ...CallOption,
) (*TextStream, error) {
	s, err := c.callSettings(options)
	if err != nil {
		return nil, err
	}
	message, err := c.prepare(request)
	if err != nil {
		return nil, err
	}
	t := &TextStream{client: c, settings: s, sent: message, closed: true}
	if err := c.enter(); err != nil {
		return nil, t.failed(err)
	}
	ctx, t.end = c.telemetry.Start(ctx, methodDecideStream)
	t.ctx, t.cancel = context.WithCancel(ctx)
	if err := t.open(); err != nil {
		t.end("", err)
		t.cancel()
		c.leave()
		return nil, t.failed(err)
	}
	t.closed = false
	return t, nil
}

func (t *TextStream) open() error {
	outgoing, err := t.client.outgoing(t.ctx, t.sent.GetRequestId())
	if err != nil {
		return err
	}
	t.endpoint = t.client.endpoints.pick(nil)
	if t.endpoint == nil {
		return unavailable("all servers have failed; they are tried again in a moment")
	}
	return t.inTime(func() (err error) {
		t.stream, err = pdpv1.NewDecideServiceClient(t.endpoint.conn).DecideStream(outgoing)
		return err
	})
}

// inTime runs a function, and cancels the stream if it takes too long. Its errors are an
// UnavailableError or a CallError.
func (t *TextStream) inTime(run func() error) error {
	var late atomic.Bool
	timer := time.AfterFunc(t.settings.timeout, func() {
		late.Store(true)
		t.cancel()
	})
	defer timer.Stop()
	err := run()
	if err == nil {
		return nil
	}
	if late.Load() {
		t.endpoint.breaker.fail()
		return failureOf(context.Background(), deadlineExceeded(), t.sent)
	}
	if errors.Is(err, io.EOF) {
		t.endpoint.breaker.fail()
		return unavailable("the server has ended the stream")
	}
	failure := failureOf(t.ctx, err, t.sent)
	report(t.ctx, t.endpoint, failure)
	return failure
}

// Decision returns the last decision; nil before the first one.
func (t *TextStream) Decision() *Decision { return t.decision }

// Feed takes the next part of the text, and returns what may go out; often less, or nothing. Send it
// and nothing else. The parts can be cut anywhere, also within a code point. Its errors end the stream:
//
//   - a DeniedError: the text is stopped here, or there is no decision;
//   - an UnavailableError: there is no decision, and the stream has WithUnavailableError;
//   - a CallError: the server refused the request.
func (t *TextStream) Feed(text string) (string, error) {
	text, t.partial = splitPartial(t.partial + text)
	if text == "" && !t.closed {
		return "", nil
	}
	return t.send(text, false)
}

// splitPartial splits off the bytes at the end of a text that are not a complete code point yet.
func splitPartial(text string) (whole, partial string) {
	for start := len(text) - 1; start >= max(0, len(text)-utf8.UTFMax); start-- {
		if utf8.RuneStart(text[start]) {
			if !utf8.FullRuneInString(text[start:]) {
				return text[:start], text[start:]
			}
			break
		}
	}
	return text, ""
}

// End ends the text, and returns the rest that may go out. Its errors are those of Feed.
func (t *TextStream) End() (string, error) { return t.send(t.partial, true) }

func (t *TextStream) send(text string, last bool) (string, error) {
	if t.closed {
		return "", errors.New("pdp: the stream has ended")
	}
	message := &pdpv1.DecideStreamRequest{Chunk: &pdpv1.StreamChunk{Text: text, Last: last}}
	if !t.started {
		message.Request, t.started = t.sent, true
	}
	if _, err := proto.Marshal(message); err != nil { // a text that is not UTF-8
		t.closed = true
		return "", &CallError{codes.InvalidArgument, "INVALID_ARGUMENT", err.Error(), nil}
	}
	t.reported = true
	var answer *pdpv1.DecideStreamResponse
	err := t.inTime(func() (err error) {
		// If the server has ended the stream, Send returns io.EOF, and Recv says why.
		if err := t.stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		answer, err = t.stream.Recv()
		return err
	})
	if err != nil {
		t.closed = true
		return "", t.failed(err)
	}
	t.endpoint.breaker.succeed()
	return t.accept(answer)
}

// accept returns what may go out by an answer.
func (t *TextStream) accept(answer *pdpv1.DecideStreamResponse) (string, error) {
	decision, failure := decisionOf(answer.GetResponse(), t.sent)
	if failure != nil {
		t.closed = true
		return "", t.failed(failure)
	}
	t.decision = decision
	e := enforcement{t.sent, decision.Raw, decision}
	if err := e.checkObligations(); err != nil {
		t.closed = true
		return "", err
	}
	if !decision.Allowed || decision.Held() {
		t.closed = true
		return "", e.denied("%s", orElse(decision.Message, "The text is not allowed."))
	}
	t.closed = answer.GetRelease().GetClosed()
	return answer.GetRelease().GetReleasedText(), nil
}

// failed returns the error for a stream without a decision.
func (t *TextStream) failed(err error) error {
	var failure *UnavailableError
	if !errors.As(err, &failure) || t.settings.returnFailure {
		return err
	}
	t.decision = denial(t.sent, failure)
	return &DeniedError{t.decision, t.decision.Message}
}

// Close ends the call. What was not released must not go out.
func (t *TextStream) Close() {
	if t.left {
		return
	}
	t.left, t.closed = true, true
	if !t.reported {
		t.endpoint.breaker.release()
	}
	t.cancel()
	// The stream ends at once: its context is cancelled.
	for err := error(nil); err == nil; {
		_, err = t.stream.Recv()
	}
	outcome := "STREAM"
	if t.decision != nil {
		outcome = string(t.decision.Outcome)
	}
	t.end(outcome, nil)
	t.client.leave()
}

// Release judges a text that arrives in chunks, and yields what may go out; see [Client.Stream]. If
// the text is stopped, the last pair has the error.
func (c *Client) Release(
	ctx context.Context, request Request, chunks iter.Seq[string], options ...CallOption,
) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		stream, err := c.Stream(ctx, request, options...)
		if err != nil {
			yield("", err)
			return
		}
		defer stream.Close()
		for chunk := range chunks {
			text, err := stream.Feed(chunk)
			if !releasePart(yield, text, err) {
				return
			}
		}
		text, err := stream.End()
		releasePart(yield, text, err)
	}
}

// releasePart yields a part, and reports whether more can follow.
func releasePart(yield func(string, error) bool, text string, err error) bool {
	if err != nil {
		yield("", err)
		return false
	}
	return text == "" || yield(text, nil)
}

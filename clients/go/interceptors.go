package pdp

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// InterceptorOption is a setting of the interceptors of gRPC.
type InterceptorOption func(*guard)

// CallRequest says what is known of a call besides its message: the subject, the action. The method is
// its full name, for instance /shop.v1.Orders/Cancel. If the function returns an error, the call is
// denied. By default, the tool is the method.
func CallRequest(
	function func(ctx context.Context, method string, message proto.Message) (Request, error),
) InterceptorOption {
	return func(g *guard) { g.request = function }
}

// JudgeMethods says which methods are judged; by default all.
func JudgeMethods(judges func(method string) bool) InterceptorOption {
	return func(g *guard) { g.judges = judges }
}

type tokensKey struct{}

// ContextWithTokens returns a context with tokens of earlier decisions, for the client interceptors.
// The token of an approval and the confirmations of prompts are in a HeldError.
func ContextWithTokens(ctx context.Context, tokens ...Secret) context.Context {
	return context.WithValue(ctx, tokensKey{}, tokens)
}

// guard judges the messages of calls.
type guard struct {
	client  *Client
	request func(context.Context, string, proto.Message) (Request, error)
	judges  func(string) bool
}

func newGuard(client *Client, options []InterceptorOption) *guard {
	g := &guard{
		client:  client,
		request: func(context.Context, string, proto.Message) (Request, error) { return Request{}, nil },
		judges:  func(string) bool { return true },
	}
	for _, option := range options {
		option(g)
	}
	return g
}

// UnaryClientInterceptor asks before each call goes out. The message is the arguments of a tool, in
// ProtoJSON. What was judged goes out: the message is made again from the arguments of the permit, so
// that it is redacted, and has no unknown fields.
//
// The call fails with a DeniedError, a HeldError or a CallError.
func (c *Client) UnaryClientInterceptor(options ...InterceptorOption) grpc.UnaryClientInterceptor {
	g := newGuard(c, options)
	return func(
		ctx context.Context, method string, request, reply any, conn *grpc.ClientConn,
		invoke grpc.UnaryInvoker, callOptions ...grpc.CallOption,
	) error {
		tokens, _ := ctx.Value(tokensKey{}).([]Secret)
		permitted, err := g.judge(ctx, method, request, texts(tokens))
		if err != nil {
			return err
		}
		return invoke(ctx, method, permitted, reply, conn, callOptions...)
	}
}

// StreamClientInterceptor asks before each message of a stream goes out; see
// [Client.UnaryClientInterceptor]. A message that may not go out ends the stream.
func (c *Client) StreamClientInterceptor(options ...InterceptorOption) grpc.StreamClientInterceptor {
	g := newGuard(c, options)
	return func(
		ctx context.Context, description *grpc.StreamDesc, conn *grpc.ClientConn, method string,
		open grpc.Streamer, callOptions ...grpc.CallOption,
	) (grpc.ClientStream, error) {
		ctx, cancel := context.WithCancel(ctx)
		stream, err := open(ctx, description, conn, method, callOptions...)
		if err != nil {
			cancel()
			return nil, err
		}
		return &guardedClientStream{
			ClientStream: stream, guard: g, method: method, cancel: cancel,
			oneAnswer: !description.ServerStreams,
		}, nil
	}
}

type guardedClientStream struct {
	grpc.ClientStream
	guard     *guard
	method    string
	cancel    context.CancelFunc
	oneAnswer bool
}

// SendMsg sends a message if it may go out.
func (s *guardedClientStream) SendMsg(message any) error {
	permitted, err := s.guard.judge(s.Context(), s.method, message, nil)
	if err != nil {
		s.cancel()
		return err
	}
	return s.ClientStream.SendMsg(permitted)
}

// RecvMsg receives an answer.
func (s *guardedClientStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err != nil || s.oneAnswer {
		s.cancel() // the stream has ended
	}
	return err
}

// UnaryServerInterceptor asks before each call reaches its handler; see
// [Client.UnaryClientInterceptor]. The caller sends confirmations in the metadata x-pdp-tokens.
func (c *Client) UnaryServerInterceptor(options ...InterceptorOption) grpc.UnaryServerInterceptor {
	g := newGuard(c, options)
	return func(
		ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler,
	) (any, error) {
		tokens, ok := tokensOf(metadata.ValueFromIncomingContext(ctx, strings.ToLower(TokensHeader)))
		if !ok {
			return nil, &DeniedError{Reason: "x-pdp-tokens is not a list of tokens"}
		}
		permitted, err := g.judge(withIncomingTrace(ctx), info.FullMethod, request, tokens)
		if err != nil {
			return nil, err
		}
		return handle(withoutTokens(ctx), permitted)
	}
}

// StreamServerInterceptor asks before each message of a stream reaches its handler; see
// [Client.UnaryClientInterceptor]. After a message that may not pass, the handler gets no others.
func (c *Client) StreamServerInterceptor(options ...InterceptorOption) grpc.StreamServerInterceptor {
	g := newGuard(c, options)
	return func(
		server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler,
	) error {
		guarded := &guardedServerStream{ServerStream: stream, guard: g, method: info.FullMethod}
		err := handle(server, guarded)
		if guarded.failure != nil {
			return guarded.failure
		}
		return err
	}
}

type guardedServerStream struct {
	grpc.ServerStream
	guard   *guard
	method  string
	failure error
}

// RecvMsg receives a message if it may pass.
func (s *guardedServerStream) RecvMsg(message any) error {
	if s.failure != nil {
		return s.failure
	}
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	permitted, err := s.guard.judge(withIncomingTrace(s.Context()), s.method, message, nil)
	if err != nil {
		s.failure = err
		if received, ok := message.(proto.Message); ok {
			proto.Reset(received)
		}
		return err
	}
	if permitted == message { // this method is not judged
		return nil
	}
	received := message.(proto.Message)
	proto.Reset(received)
	proto.Merge(received, permitted.(proto.Message))
	return nil
}

// judge returns the message that may go out in place of a message.
func (g *guard) judge(
	ctx context.Context, method string, message any, tokens []string,
) (any, error) {
	if !g.judges(method) {
		return message, nil
	}
	sent, ok := message.(proto.Message)
	if !ok {
		return nil, &DeniedError{Reason: fmt.Sprintf("%T is no protobuf message", message)}
	}
	request, err := g.requestOf(ctx, method, sent, tokens)
	if err != nil {
		return nil, &DeniedError{Reason: err.Error()}
	}
	permit, decision, err := g.client.permitFor(ctx, request, callSettings{timeout: g.client.timeout})
	if err != nil {
		return nil, err
	}
	if permit.Route != nil || permit.masksResource {
		reason := "the decision requires what an interceptor cannot do: another model, or a masked answer"
		return nil, &DeniedError{decision, reason}
	}
	permitted := sent.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal(permit.ArgumentsJSON, permitted); err != nil {
		return nil, &DeniedError{decision, "the redacted arguments are no message: " + err.Error()}
	}
	return permitted, nil
}

func (g *guard) requestOf(
	ctx context.Context, method string, sent proto.Message, tokens []string,
) (*pdpv1.DecideRequest, error) {
	arguments, err := protojson.Marshal(sent)
	if err != nil {
		return nil, fmt.Errorf("the message cannot be judged: %w", err)
	}
	request, err := g.request(ctx, method, sent)
	if err != nil {
		return nil, err
	}
	if request.Message == nil {
		request.Arguments = json.RawMessage(arguments)
		request.Tool = orElse(request.Tool, method)
	}
	message, err := g.client.prepare(request)
	if err != nil {
		return nil, err
	}
	message.Arguments, message.ArgumentsJson = nil, string(arguments)
	message.Tokens = append(message.Tokens, tokens...)
	return message, nil
}

func texts(tokens []Secret) []string {
	var result []string
	for _, each := range tokens {
		result = append(result, string(each))
	}
	return result
}

// withIncomingTrace returns a context with the trace context of a call that a server has received.
func withIncomingTrace(ctx context.Context) context.Context {
	first := func(name string) string {
		return strings.Join(metadata.ValueFromIncomingContext(ctx, name), ",")
	}
	return ContextWithTraceparent(ctx, first("traceparent"), first("tracestate"))
}

// withoutTokens returns the context for a handler, which does not get the tokens.
func withoutTokens(ctx context.Context) context.Context {
	incoming, _ := metadata.FromIncomingContext(ctx)
	if len(incoming.Get(TokensHeader)) == 0 {
		return ctx
	}
	incoming.Delete(TokensHeader)
	return metadata.NewIncomingContext(ctx, incoming)
}

package pdp

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// The service that is called in these tests is another server of decisions: any service would do.

// judging answers by the arguments: "secret" is redacted, "bad" is blocked, "ask" is held.
func judging(request *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
	arguments := request.GetArgumentsJson()
	switch {
	case strings.Contains(arguments, "secret"):
		path := "/content/text"
		response := answer(request, redact, true, redactObligation(&path))
		response.RedactedArgumentsJson = proto.String(strings.ReplaceAll(arguments, "secret", "[R]"))
		return response, nil
	case strings.Contains(arguments, "bad"):
		response := answer(request, block, false)
		response.ReasonCode, response.Message = "STATIC_POLICY_BLOCK", "This is bad."
		return response, nil
	case strings.Contains(arguments, "ask") && !contains(request.GetTokens(), "confirmation-1"):
		return answer(request, prompt, false, promptObligation()), nil
	case strings.Contains(arguments, "elsewhere"):
		return answer(request, routeTo, true, routeObligation("m")), nil
	case strings.Contains(arguments, "rename"):
		response := answer(request, redact, true, maskObligation("text"))
		response.RedactedArgumentsJson = proto.String(`{"no_such_field": 1, "text": 1}`)
		return response, nil
	}
	return answer(request, allow, true), nil
}

func dial(t *testing.T, address string, options ...grpc.DialOption) pdpv1.DecideServiceClient {
	t.Helper()
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pdpv1.NewDecideServiceClient(conn)
}

func message(text string) *pdpv1.DecideRequest {
	return &pdpv1.DecideRequest{Content: &pdpv1.Content{Text: text}}
}

// calls makes both kinds of interceptors: of the client, and of the server.
func interceptorCases(t *testing.T) map[string]struct {
	service *fakeServer
	stub    pdpv1.DecideServiceClient
	judge   *fakeServer
} {
	t.Helper()
	client, judge := answering(t, judging)
	option := CallRequest(func(context.Context, string, proto.Message) (Request, error) {
		return Request{Subject: Subject{UserID: "ann"}}, nil
	})
	called := startFake(t)
	called.stream = echo(func(*pdpv1.DecideStreamResponse) {})
	stub := dial(t, called.address,
		grpc.WithUnaryInterceptor(client.UnaryClientInterceptor(option)),
		grpc.WithStreamInterceptor(client.StreamClientInterceptor(option)))
	serverClient, serverJudge := answering(t, judging)
	serving := startFake(t,
		grpc.UnaryInterceptor(serverClient.UnaryServerInterceptor(option)),
		grpc.StreamInterceptor(serverClient.StreamServerInterceptor(option)))
	serving.stream = echo(func(*pdpv1.DecideStreamResponse) {})
	return map[string]struct {
		service *fakeServer
		stub    pdpv1.DecideServiceClient
		judge   *fakeServer
	}{
		"client": {called, stub, judge},
		"server": {serving, dial(t, serving.address), serverJudge},
	}
}

func TestUnaryInterceptors(t *testing.T) {
	t.Parallel()
	for name, each := range interceptorCases(t) {
		t.Run(name, func(t *testing.T) {
			if _, err := each.stub.Decide(t.Context(), withUnknownField(message("my secret"))); err != nil {
				t.Fatal(err)
			}
			received := each.service.requests[0]
			if received.GetContent().GetText() != "my [R]" ||
				len(received.ProtoReflect().GetUnknown()) != 0 {
				t.Errorf("got %v", received)
			}
			judged := each.judge.requests[0]
			if judged.GetTool() != "/pdp.v1.DecideService/Decide" ||
				judged.GetSubject().GetUserId() != "ann" {
				t.Errorf("got %v", judged)
			}
			for text, code := range map[string]codes.Code{
				"bad": codes.PermissionDenied, "elsewhere": codes.PermissionDenied,
				"rename": codes.PermissionDenied, "ask": codes.FailedPrecondition,
			} {
				if _, err := each.stub.Decide(t.Context(), message(text)); status.Code(err) != code {
					t.Errorf("%s: got %v, want %v", text, err, code)
				}
			}
			if each.service.calls() != 1 {
				t.Errorf("%d calls have reached the service", each.service.calls())
			}
		})
	}
}

func TestInterceptorsResume(t *testing.T) {
	t.Parallel()
	for name, each := range interceptorCases(t) {
		t.Run(name, func(t *testing.T) {
			_, err := each.stub.Decide(t.Context(), message("ask"))
			var confirmation string
			for _, detail := range status.Convert(err).Details() {
				if info, ok := detail.(*errdetails.ErrorInfo); ok {
					confirmation = info.GetMetadata()["confirmation"]
				}
			}
			if confirmation != "confirmation-1" {
				t.Fatalf("got %v", err)
			}
			if name == "client" && !errors.Is(err, ErrHeld) {
				t.Errorf("got %v, want a HeldError", err)
			}
			ctx := ContextWithTokens(t.Context(), Secret(confirmation))
			if name == "server" {
				ctx = metadata.AppendToOutgoingContext(t.Context(), TokensHeader, confirmation)
			}
			if _, err := each.stub.Decide(ctx, message("ask")); err != nil {
				t.Error(err)
			}
			if got := each.service.metadata[0].Get(TokensHeader); len(got) != 0 {
				t.Errorf("the handler gets the tokens: %v", got)
			}
		})
	}
}

func TestStreamInterceptors(t *testing.T) {
	t.Parallel()
	for name, each := range interceptorCases(t) {
		t.Run(name, func(t *testing.T) {
			stream, err := each.stub.DecideStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			send := func(text string) (*pdpv1.DecideStreamResponse, error) {
				err := stream.Send(&pdpv1.DecideStreamRequest{Chunk: &pdpv1.StreamChunk{Text: text}})
				if err != nil {
					return nil, err
				}
				return stream.Recv()
			}
			reply, err := send("my secret")
			if err != nil || reply.GetRelease().GetReleasedText() != "my [R]" {
				t.Errorf("got %v, %v", reply, err)
			}
			if _, err := send("bad"); status.Code(err) != codes.PermissionDenied {
				t.Errorf("got %v", err)
			}
			if _, err := stream.Recv(); err == nil {
				t.Error("the stream goes on")
			}
		})
	}
}

func TestInterceptorsFailClosed(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, freeAddress(t))
	service := startFake(t, grpc.UnaryInterceptor(client.UnaryServerInterceptor()))
	called := startFake(t)
	stub := dial(t, called.address, grpc.WithUnaryInterceptor(client.UnaryClientInterceptor()))
	for _, each := range []pdpv1.DecideServiceClient{dial(t, service.address), stub} {
		if _, err := each.Decide(t.Context(), message("a")); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
	}
	if _, err := stub.Decide(t.Context(), message("a")); !errors.Is(err, ErrDenied) ||
		!errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	failing := CallRequest(func(context.Context, string, proto.Message) (Request, error) {
		return Request{}, errors.New("no session")
	})
	stub = dial(t, called.address, grpc.WithUnaryInterceptor(client.UnaryClientInterceptor(failing)))
	if _, err := stub.Decide(t.Context(), message("a")); !errors.Is(err, ErrDenied) {
		t.Errorf("got %v", err)
	}
	if called.calls() != 0 || service.calls() != 0 {
		t.Error("a call went out")
	}
	all := JudgeMethods(func(string) bool { return false })
	stub = dial(t, called.address, grpc.WithUnaryInterceptor(client.UnaryClientInterceptor(all)))
	if _, err := stub.Decide(t.Context(), message("a")); err != nil {
		t.Errorf("a method that is not judged: got %v", err)
	}
}

func TestAServerStreamEndsAtADenial(t *testing.T) {
	t.Parallel()
	client, _ := answering(t, judging)
	service := startFake(t, grpc.StreamInterceptor(client.StreamServerInterceptor()))
	received := make(chan string, 3)
	service.stream = func(stream pdpv1.DecideService_DecideStreamServer) error {
		defer close(received)
		for range cap(received) { // a handler that ignores errors
			if request, err := stream.Recv(); err == nil {
				received <- request.GetChunk().GetText()
			}
		}
		return nil
	}
	stream, err := dial(t, service.address).DecideStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"good", "bad", "after"} {
		if err := stream.Send(&pdpv1.DecideStreamRequest{
			Chunk: &pdpv1.StreamChunk{Text: text},
		}); err != nil {
			break // the server has ended the stream
		}
	}
	if _, err := stream.Recv(); status.Code(err) != codes.PermissionDenied {
		t.Errorf("got %v", err)
	}
	var texts []string
	for text := range received {
		texts = append(texts, text)
	}
	if strings.Join(texts, ",") != "good" {
		t.Errorf("the handler got %q", texts)
	}
}

package pdp

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// long is longer than any test takes. Only an event that never happens takes so long.
const long = time.Minute

// fakeServer is a server that answers as a test says.
type fakeServer struct {
	pdpv1.UnimplementedDecideServiceServer
	pdpv1.UnimplementedSimulateServiceServer

	address string
	decide  func(context.Context, *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error)
	batch   func(*pdpv1.DecideBatchRequest) (*pdpv1.DecideBatchResponse, error)
	stream  func(pdpv1.DecideService_DecideStreamServer) error

	mutex    sync.Mutex
	requests []*pdpv1.DecideRequest
	metadata []metadata.MD
}

func (f *fakeServer) Decide(
	ctx context.Context, request *pdpv1.DecideRequest,
) (*pdpv1.DecideResponse, error) {
	f.mutex.Lock()
	f.requests = append(f.requests, request)
	md, _ := metadata.FromIncomingContext(ctx)
	f.metadata = append(f.metadata, md)
	f.mutex.Unlock()
	return f.decide(ctx, request)
}

func (f *fakeServer) DecideBatch(
	_ context.Context, request *pdpv1.DecideBatchRequest,
) (*pdpv1.DecideBatchResponse, error) {
	return f.batch(request)
}

func (f *fakeServer) DecideStream(stream pdpv1.DecideService_DecideStreamServer) error {
	return f.stream(stream)
}

// calls returns how many requests have arrived.
func (f *fakeServer) calls() int {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return len(f.requests)
}

// startFake starts a server; by default, it allows everything. The test ends it.
func startFake(t *testing.T, options ...grpc.ServerOption) *fakeServer {
	t.Helper()
	fake := &fakeServer{decide: allowAll}
	serveFake(t, fake, "127.0.0.1:0", options...)
	return fake
}

// serveFake serves at an address, and returns a function that ends the server.
func serveFake(t *testing.T, fake *fakeServer, address string, options ...grpc.ServerOption) func() {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	pdpv1.RegisterDecideServiceServer(server, fake)
	pdpv1.RegisterSimulateServiceServer(server, fake)
	healthpb.RegisterHealthServer(server, health.NewServer())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	fake.address = listener.Addr().String()
	stop := sync.OnceFunc(func() {
		server.Stop()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

func allowAll(_ context.Context, request *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
	return answer(request, pdpv1.Outcome_OUTCOME_ALLOW, true), nil
}

func answer(
	request *pdpv1.DecideRequest, outcome pdpv1.Outcome, allowed bool,
	obligations ...*pdpv1.Obligation,
) *pdpv1.DecideResponse {
	response := &pdpv1.DecideResponse{
		RequestId: request.GetRequestId(), DecisionId: "d-1", Outcome: outcome, Allowed: allowed,
		Obligations: obligations,
	}
	if request.GetPayload() != nil {
		response.PayloadFormat = request.GetPayload().GetFormat()
	}
	return response
}

// newTestClient returns a client with a deadline that no test reaches.
func newTestClient(t *testing.T, address string, options ...Option) *Client {
	t.Helper()
	client, err := NewClient(address, append([]Option{WithDefaultTimeout(long)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return client
}

// mustDecide returns the decision on a text; the test fails on an error.
func mustDecide(t *testing.T, client *Client, options ...CallOption) *Decision {
	t.Helper()
	decision, err := client.Decide(t.Context(), Request{Text: "hello"}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// wantDenial fails the test if the decision is not a denial because there was none.
func wantDenial(t *testing.T, decision *Decision) {
	t.Helper()
	if decision.Allowed || decision.Outcome != Block || decision.ReasonCode != ReasonUnavailable ||
		decision.Failure == nil {
		t.Errorf("want a denial with %s, got %+v", ReasonUnavailable, decision)
	}
	if _, err := decision.Enforce(); err == nil {
		t.Error("want an error of Enforce")
	}
}

// hang answers nothing until the call ends.
func hang(ctx context.Context, _ *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// silentListener accepts connections, and never answers. The test ends it.
func silentListener(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var readers sync.WaitGroup
		defer readers.Wait()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			readers.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn)
			})
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// freeAddress returns an address at which nothing listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

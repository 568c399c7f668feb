package pdp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

func TestAServerThatIsDown(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, freeAddress(t), WithResilience(Resilience{FailureThreshold: 100}))
	wantDenial(t, mustDecide(t, client))
	decision, err := client.Decide(t.Context(), Request{}, WithUnavailableError())
	var failure *UnavailableError
	if decision != nil || !errors.Is(err, ErrUnavailable) || !errors.As(err, &failure) ||
		failure.Code != codes.Unavailable {
		t.Errorf("got %+v, %v", decision, err)
	}
	decisions, err := client.DecideBatch(t.Context(), []Request{{}, {}})
	if err != nil || len(decisions) != 2 {
		t.Fatalf("got %v, %v", decisions, err)
	}
	for _, each := range decisions {
		wantDenial(t, each)
	}
	simulation, err := client.Simulate(t.Context(), Request{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantDenial(t, simulation.Decision)
	if _, err := client.DecidePayload(t.Context(), "json", []byte("{}")); err != nil {
		t.Error(err)
	}
}

func TestADenialWithoutADecisionIsBothErrors(t *testing.T) {
	t.Parallel()
	_, err := mustDecide(t, newTestClient(t, freeAddress(t))).Enforce()
	if !errors.Is(err, ErrDenied) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrHeld) {
		t.Errorf("got %v", err)
	}
	if code := status.Code(err); code != codes.Unavailable {
		t.Errorf("got the status %v", code)
	}
}

func TestASlowServer(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = hang
	client := newTestClient(t, fake.address)
	decision := mustDecide(t, client, WithTimeout(50*time.Millisecond))
	wantDenial(t, decision)
	if !errors.Is(decision.Failure, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline", decision.Failure)
	}
	if fake.calls() > 1 {
		t.Errorf("the call was repeated: %d calls", fake.calls())
	}
}

func TestAContextThatIsCancelled(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	fake.decide = func(
		serverCtx context.Context, request *pdpv1.DecideRequest,
	) (*pdpv1.DecideResponse, error) {
		cancel()
		return hang(serverCtx, request)
	}
	client := newTestClient(t, fake.address, WithResilience(Resilience{FailureThreshold: 1}))
	decision, err := client.Decide(ctx, Request{})
	if err != nil {
		t.Fatal(err)
	}
	wantDenial(t, decision)
	if !errors.Is(decision.Failure, context.Canceled) {
		t.Errorf("got %v, want the error of the context", decision.Failure)
	}
	fake.decide = allowAll
	if decision := mustDecide(t, client); !decision.Allowed {
		t.Errorf("the circuit breaker counts calls that the caller has cancelled: %+v", decision)
	}
}

func TestAServerThatRestarts(t *testing.T) {
	t.Parallel()
	fake := &fakeServer{decide: allowAll}
	stop := serveFake(t, fake, "127.0.0.1:0")
	client := newTestClient(t, fake.address)
	if !mustDecide(t, client).Allowed {
		t.Fatal("want an ALLOW")
	}
	stop()
	wantDenial(t, mustDecide(t, client))
	serveFake(t, fake, fake.address)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	if err := client.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if !mustDecide(t, client).Allowed {
		t.Error("want an ALLOW after the restart")
	}
}

func TestAConnectionThatIsHalfOpen(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, silentListener(t))
	decision := mustDecide(t, client, WithTimeout(50*time.Millisecond))
	wantDenial(t, decision)
	if !errors.Is(decision.Failure, context.DeadlineExceeded) {
		t.Errorf("got %v, want a deadline", decision.Failure)
	}
}

func TestAConnectionThatStalls(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	proxy := startProxy(t, fake.address)
	client := newTestClient(t, proxy.address)
	if !mustDecide(t, client).Allowed {
		t.Fatal("want an ALLOW")
	}
	proxy.stalled.Store(true)
	wantDenial(t, mustDecide(t, client, WithTimeout(50*time.Millisecond)))
}

// proxy passes bytes on, until it is stalled: then it swallows them.
type proxy struct {
	address string
	stalled atomic.Bool
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: listener.Addr().String()}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				return
			}
			running.Go(func() { p.copy(server, client) })
			running.Go(func() { p.copy(client, server) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return p
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 1<<16)
	for {
		count, err := from.Read(buffer)
		if err != nil {
			return
		}
		if p.stalled.Load() {
			continue
		}
		if _, err := to.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pdpv1.DecideResponse){
		"an unknown outcome":       func(r *pdpv1.DecideResponse) { r.Outcome = 99 },
		"no outcome":               func(r *pdpv1.DecideResponse) { r.Outcome = 0 },
		"BLOCK that is allowed":    func(r *pdpv1.DecideResponse) { r.Outcome = block },
		"PROMPT that is allowed":   func(r *pdpv1.DecideResponse) { r.Outcome = prompt },
		"ESCALATE that is allowed": func(r *pdpv1.DecideResponse) { r.Outcome = escalate },
		"ALLOW that is not":        func(r *pdpv1.DecideResponse) { r.Allowed = false },
		"another request":          func(r *pdpv1.DecideResponse) { r.RequestId = "another" },
		"no request":               func(r *pdpv1.DecideResponse) { r.RequestId = "" },
		"nothing":                  func(r *pdpv1.DecideResponse) { proto.Reset(r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			malformed := func(request *pdpv1.DecideRequest) *pdpv1.DecideResponse {
				response := answer(request, allow, true)
				change(response)
				return response
			}
			fake := startFake(t)
			fake.decide = func(
				_ context.Context, request *pdpv1.DecideRequest,
			) (*pdpv1.DecideResponse, error) {
				return malformed(request), nil
			}
			fake.batch = func(batch *pdpv1.DecideBatchRequest) (*pdpv1.DecideBatchResponse, error) {
				return &pdpv1.DecideBatchResponse{Responses: []*pdpv1.DecideResponse{
					answer(batch.GetRequests()[0], allow, true), malformed(batch.GetRequests()[1]),
				}}, nil
			}
			client := newTestClient(t, fake.address)
			wantDenial(t, mustDecide(t, client))
			if _, err := client.Decide(
				t.Context(), Request{}, WithUnavailableError(),
			); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v", err)
			}
			decisions, err := client.DecideBatch(t.Context(), []Request{{}, {}})
			if err != nil {
				t.Fatal(err)
			}
			for _, each := range decisions {
				wantDenial(t, each)
			}
		})
	}
}

func TestABatchOfAnotherLength(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.batch = func(batch *pdpv1.DecideBatchRequest) (*pdpv1.DecideBatchResponse, error) {
		return &pdpv1.DecideBatchResponse{Responses: []*pdpv1.DecideResponse{
			answer(batch.GetRequests()[0], allow, true),
		}}, nil
	}
	decisions, err := newTestClient(t, fake.address).DecideBatch(t.Context(), []Request{{}, {}})
	if err != nil || len(decisions) != 2 {
		t.Fatalf("got %v, %v", decisions, err)
	}
	for _, each := range decisions {
		wantDenial(t, each)
	}
}

// garbageCodec writes decisions that are no messages.
type garbageCodec struct{ encoding.CodecV2 }

func (c garbageCodec) Marshal(message any) (mem.BufferSlice, error) {
	if _, ok := message.(*pdpv1.DecideResponse); ok {
		return mem.BufferSlice{mem.SliceBuffer("\xff\xff\xff")}, nil
	}
	return c.CodecV2.Marshal(message)
}

func TestAnAnswerThatIsNoMessage(t *testing.T) {
	t.Parallel()
	codec := garbageCodec{encoding.GetCodecV2("proto")}
	fake := startFake(t, grpc.ForceServerCodecV2(codec))
	wantDenial(t, mustDecide(t, newTestClient(t, fake.address)))
	if fake.calls() != 1 {
		t.Errorf("%d calls", fake.calls())
	}
}

func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = func(context.Context, *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		state, err := status.New(codes.InvalidArgument, "tool: too long").WithDetails(
			&errdetails.ErrorInfo{Reason: "INVALID_ARGUMENT", Domain: "pdp"},
			&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
				{Field: "tool", Description: "too long"},
			}},
		)
		if err != nil {
			return nil, err
		}
		return nil, state.Err()
	}
	client := newTestClient(t, fake.address, WithResilience(Resilience{FailureThreshold: 1}))
	for range 3 { // the circuit breaker does not count them
		decision, err := client.Decide(t.Context(), Request{})
		var refused *CallError
		if decision != nil || !errors.Is(err, ErrRefused) || !errors.As(err, &refused) {
			t.Fatalf("got %+v, %v", decision, err)
		}
		if refused.Reason != "INVALID_ARGUMENT" || refused.Message != "tool: too long" ||
			refused.Violations[0] != (FieldViolation{"tool", "too long"}) {
			t.Errorf("got %+v", refused)
		}
	}
	if fake.calls() != 3 {
		t.Errorf("%d calls: a refused call was repeated", fake.calls())
	}
}

func TestATextThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	client := newTestClient(t, fake.address, WithResilience(Resilience{FailureThreshold: 1}))
	for range 2 {
		var refused *CallError
		_, err := client.Decide(t.Context(), Request{Text: "\xff"})
		if !errors.As(err, &refused) || refused.Code != codes.InvalidArgument {
			t.Errorf("got %v", err)
		}
	}
	if !mustDecide(t, client).Allowed {
		t.Error("the circuit breaker counts requests that cannot be sent")
	}
}

// failing returns UNAVAILABLE for the first calls, and then allows.
func failing(count int64) func(
	context.Context, *pdpv1.DecideRequest,
) (*pdpv1.DecideResponse, error) {
	var calls atomic.Int64
	return func(ctx context.Context, request *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		if calls.Add(1) <= count {
			return nil, status.Error(codes.Unavailable, "not now")
		}
		return allowAll(ctx, request)
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = failing(2)
	if !mustDecide(t, newTestClient(t, fake.address)).Allowed || fake.calls() != 3 {
		t.Errorf("want an ALLOW after 3 calls, got %d", fake.calls())
	}
}

func TestRequestsWithTokensAreNotRepeated(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = failing(1)
	client := newTestClient(t, fake.address)
	decision, err := client.Decide(t.Context(), Request{Tokens: []Secret{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	wantDenial(t, decision)
	if fake.calls() != 1 {
		t.Errorf("the request was sent %d times", fake.calls())
	}
}

func TestOtherErrorsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{
		codes.Internal, codes.Unknown, codes.DataLoss, codes.Aborted, codes.DeadlineExceeded,
		codes.Canceled,
	} {
		fake := startFake(t)
		fake.decide = func(context.Context, *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return nil, status.Error(code, "broken")
		}
		wantDenial(t, mustDecide(t, newTestClient(t, fake.address)))
		if fake.calls() != 1 {
			t.Errorf("%v: %d calls", code, fake.calls())
		}
	}
}

func TestTheBudgetBoundsRetries(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = failing(1 << 30)
	client := newTestClient(t, fake.address, WithResilience(Resilience{
		RetryBurst: 3, FailureThreshold: 1000, Backoff: time.Nanosecond,
	}))
	for range 10 {
		wantDenial(t, mustDecide(t, client))
	}
	if fake.calls() != 13 {
		t.Errorf("10 calls were sent %d times, want 13", fake.calls())
	}
}

// fakeClock is a clock that a test sets.
type fakeClock struct{ nanos atomic.Int64 }

func (c *fakeClock) now() time.Time { return time.Unix(1_000_000, c.nanos.Load()) }

func (c *fakeClock) option() Option {
	return func(s *settings) error {
		s.now = c.now
		return nil
	}
}

func TestTheCircuitBreaker(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.decide = failing(4)
	clock := &fakeClock{}
	client := newTestClient(t, fake.address, clock.option(), WithResilience(Resilience{
		MaxAttempts: 1, FailureThreshold: 3, Cooldown: time.Second,
	}))
	for range 5 {
		wantDenial(t, mustDecide(t, client))
	}
	if fake.calls() != 3 {
		t.Errorf("%d calls were sent, want 3", fake.calls())
	}
	clock.nanos.Store(int64(time.Second)) // one trial, which fails
	wantDenial(t, mustDecide(t, client))
	wantDenial(t, mustDecide(t, client))
	if fake.calls() != 4 {
		t.Errorf("%d calls were sent, want 4", fake.calls())
	}
	clock.nanos.Store(int64(2 * time.Second)) // one trial, which succeeds
	for range 2 {
		if !mustDecide(t, client).Allowed {
			t.Error("want an ALLOW")
		}
	}
}

func TestTheCircuitBreakerLetsOneTrialPass(t *testing.T) {
	t.Parallel()
	clock := &fakeClock{}
	breaker := newCircuitBreaker(Resilience{FailureThreshold: 1, Cooldown: time.Second}, clock.now)
	breaker.fail()
	clock.nanos.Store(int64(time.Second))
	if !breaker.admit() || breaker.admit() {
		t.Error("want one trial")
	}
	breaker.release()
	if !breaker.admit() {
		t.Error("want another trial after one that was abandoned")
	}
}

func TestTheBoundOnWaitingCalls(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	arrived := make(chan struct{})
	release := make(chan struct{})
	fake.decide = func(
		ctx context.Context, request *pdpv1.DecideRequest,
	) (*pdpv1.DecideResponse, error) {
		arrived <- struct{}{}
		<-release
		return allowAll(ctx, request)
	}
	client := newTestClient(t, fake.address, WithResilience(Resilience{MaxWaiting: 1}))
	first := make(chan *Decision)
	go func() {
		decision, _ := client.Decide(context.Background(), Request{})
		first <- decision
	}()
	<-arrived
	wantDenial(t, mustDecide(t, client))
	close(release)
	if decision := <-first; decision == nil || !decision.Allowed {
		t.Errorf("got %+v", decision)
	}
	if fake.calls() != 1 {
		t.Errorf("%d calls were sent", fake.calls())
	}
}

func TestAddressesTakeTurns(t *testing.T) {
	t.Parallel()
	one, two := startFake(t), startFake(t)
	client := newTestClient(t, one.address+","+two.address)
	for range 6 {
		if !mustDecide(t, client).Allowed {
			t.Error("want an ALLOW")
		}
	}
	if one.calls() != 3 || two.calls() != 3 {
		t.Errorf("got %d and %d calls, want 3 and 3", one.calls(), two.calls())
	}
}

func TestAnotherAddressAnswersIfOneIsDown(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	client := newTestClient(t, "", WithAddresses(freeAddress(t), fake.address))
	for range 6 {
		if decision := mustDecide(t, client); !decision.Allowed {
			t.Errorf("got %+v", decision)
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := ContextWithTraceparent(t.Context(), parent, "a=b")
	client := newTestClient(t, fake.address, WithAPIKey("key-1"), WithTenant("acme"))
	if _, err := client.Decide(ctx, Request{RequestID: "r-1"}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"x-request-id": "r-1", "traceparent": parent, "tracestate": "a=b", "x-api-key": "key-1",
	} {
		if got := strings.Join(fake.metadata[0].Get(name), ","); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := fake.requests[0].GetTenantId(); got != "acme" {
		t.Errorf("got the tenant %q", got)
	}
	if ctx := ContextWithTraceparent(t.Context(), "00-xyz", ""); ctx != t.Context() {
		t.Error("a malformed traceparent is sent")
	}
}

func TestTokenSource(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	tokens := []string{"one", "two", ""}
	client := newTestClient(t, fake.address, WithTokenSource(
		func(context.Context) (string, error) {
			token := tokens[0]
			tokens = tokens[1:]
			return token, nil
		},
	))
	for _, want := range tokens[:2] {
		mustDecide(t, client)
		last := fake.metadata[len(fake.metadata)-1]
		if got := strings.Join(last.Get("authorization"), ","); got != "Bearer "+want {
			t.Errorf("got %q", got)
		}
	}
	wantDenial(t, mustDecide(t, client)) // the token is empty
	broken := newTestClient(t, fake.address, WithTokenSource(
		func(context.Context) (string, error) { return "", io.ErrUnexpectedEOF },
	))
	if _, err := broken.Decide(
		t.Context(), Request{}, WithUnavailableError(),
	); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestSettingsThatContradict(t *testing.T) {
	for name, options := range map[string][]Option{
		"plaintext and TLS":        {WithPlaintext(), WithTLS(TLS{})},
		"a key and a token":        {WithAPIKey("k"), WithToken("t")},
		"an empty key":             {WithAPIKey("")},
		"a certificate alone":      {WithTLS(TLS{CertFile: "c"})},
		"a CA file that is not":    {WithTLS(TLS{CAFile: filepath.Join(t.TempDir(), "no")})},
		"a CA file without one":    {WithTLS(TLS{CAFile: "doc.go"})},
		"a certificate that is no": {WithTLS(TLS{CertFile: "doc.go", KeyFile: "doc.go"})},
		"a timeout of 0":           {WithDefaultTimeout(0)},
		"an address without port":  {WithAddresses("localhost")},
		"a URL":                    {WithAddresses("http://localhost:1")},
		"an empty address":         {WithAddresses("")},
	} {
		if client, err := NewClient("127.0.0.1:1", options...); err == nil {
			t.Errorf("%s: want an error", name)
			client.Close()
		}
	}
	client := newTestClient(t, "127.0.0.1:1")
	if _, err := client.Decide(t.Context(), Request{}, WithTimeout(-1)); err == nil {
		t.Error("a negative timeout: want an error")
	}
}

func TestWhichAddressesArePlaintext(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "unix:/run/pdp.sock": true,
		"127.9.9.9:1": true, "10.0.0.1:1": false, "pdp.example:1": false, "localhost.example:1": false,
	} {
		if _, local, err := targetOf(address); err != nil || local != want {
			t.Errorf("%s: got %t, %v", address, local, err)
		}
	}
}

// authority issues certificates.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	file        string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	var der []byte
	a.key, der = a.sign(t, template)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.certificate = certificate
	a.file = writePEM(t, "CERTIFICATE", der)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

func (a *authority) issue(t *testing.T, name string) (tls.Certificate, string, string) {
	t.Helper()
	key, der := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return pair, writePEM(t, "CERTIFICATE", der), writePEM(t, "EC PRIVATE KEY", keyDER)
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, other := newAuthority(t), newAuthority(t)
	pair, _, _ := ours.issue(t, "pdp.test")
	_, certFile, keyFile := ours.issue(t, "client.test")
	clients := x509.NewCertPool()
	clients.AddCert(ours.certificate)
	open := startFake(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
	})))
	mutual := startFake(t, grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, ClientCAs: clients,
		ClientAuth: tls.RequireAndVerifyClientCert,
	})))
	for name, test := range map[string]struct {
		server  *fakeServer
		option  Option
		allowed bool
	}{
		"the right authority": {open, WithTLS(TLS{CAFile: ours.file, ServerName: "pdp.test"}), true},
		"a wrong authority":   {open, WithTLS(TLS{CAFile: other.file, ServerName: "pdp.test"}), false},
		"a wrong name":        {open, WithTLS(TLS{CAFile: ours.file, ServerName: "b.test"}), false},
		"the address as name": {open, WithTLS(TLS{CAFile: ours.file}), false},
		"the public CAs":      {open, WithTLS(TLS{ServerName: "pdp.test"}), false},
		"plaintext":           {open, WithPlaintext(), false},
		"a client certificate": {mutual, WithTLS(TLS{
			CAFile: ours.file, ServerName: "pdp.test", CertFile: certFile, KeyFile: keyFile,
		}), true},
		"no client certificate": {
			mutual, WithTLS(TLS{CAFile: ours.file, ServerName: "pdp.test"}), false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, test.server.address, test.option)
			decision := mustDecide(t, client)
			if decision.Allowed != test.allowed {
				t.Errorf("got %+v, %v", decision, decision.Failure)
			}
			if !test.allowed {
				wantDenial(t, decision)
			}
		})
	}
}

package pdp

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // watches the health of the servers
	"google.golang.org/grpc/keepalive"
)

const version = "0.1.0"

// If a name has several addresses, the calls are spread over them. gRPC watches the health of each
// server (grpc.health.v1), and fails calls at once if none of them serves.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"healthCheckConfig": {"serviceName": ""}
}`

// endpoint is one address of a client.
type endpoint struct {
	conn    *grpc.ClientConn
	breaker *circuitBreaker
}

// endpoints are the addresses of a client, which take turns.
type endpoints struct {
	all   []*endpoint
	turns atomic.Uint64
}

func newEndpoints(s *settings) (*endpoints, error) {
	secure, err := secureCredentials(s)
	if err != nil {
		return nil, err
	}
	result := &endpoints{}
	for _, address := range s.addresses {
		conn, err := connect(address, s, secure)
		if err != nil {
			result.close()
			return nil, err
		}
		breaker := newCircuitBreaker(s.resilience, s.now)
		result.all = append(result.all, &endpoint{conn, breaker})
	}
	return result, nil
}

func connect(
	address string, s *settings, secure credentials.TransportCredentials,
) (*grpc.ClientConn, error) {
	target, local, err := targetOf(address)
	if err != nil {
		return nil, err
	}
	transport := secure
	if s.plaintext || (s.tls == nil && local) {
		transport = insecure.NewCredentials()
	}
	return grpc.NewClient(target,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
		grpc.WithUserAgent("pdp-client-go/"+version),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		// The server allows a ping every 10 s.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 15 * time.Second, Timeout: 5 * time.Second,
		}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second,
			},
			MinConnectTimeout: 2 * time.Second,
		}),
	)
}

// targetOf returns the target of gRPC for HOST:PORT or unix:PATH, and whether it is on this machine.
func targetOf(address string) (target string, local bool, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		return address, true, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" || strings.ContainsAny(host, "/") {
		return "", false, fmt.Errorf("pdp: the address %q is not HOST:PORT or unix:PATH", address)
	}
	ip := net.ParseIP(host)
	local = strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
	return "dns:///" + net.JoinHostPort(host, port), local, nil
}

func secureCredentials(s *settings) (credentials.TransportCredentials, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.tls == nil {
		return credentials.NewTLS(config), nil
	}
	config.ServerName = s.tls.ServerName
	if s.tls.CAFile != "" {
		text, err := os.ReadFile(s.tls.CAFile)
		if err != nil {
			return nil, fmt.Errorf("pdp: the CA file cannot be read: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("pdp: the CA file %s has no certificate", s.tls.CAFile)
		}
	}
	if s.tls.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.tls.CertFile, s.tls.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("pdp: the client certificate cannot be used: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

func splitAddresses(text string) []string {
	return strings.FieldsFunc(text, func(letter rune) bool { return letter == ',' || letter == ' ' })
}

// pick returns the address whose turn it is; nil if all of them fail. Report the result of the call
// to its circuit breaker. Addresses that were used before come last.
func (e *endpoints) pick(used map[*endpoint]bool) *endpoint {
	first := int((e.turns.Add(1) - 1) % uint64(len(e.all)))
	for _, again := range [...]bool{false, true} {
		for index := range e.all {
			each := e.all[(first+index)%len(e.all)]
			if used[each] == again && each.breaker.admit() {
				return each
			}
		}
	}
	return nil
}

func (e *endpoints) close() error {
	var first error
	for _, each := range e.all {
		if err := each.conn.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

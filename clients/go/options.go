package pdp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// DefaultTimeout is how long a call may take by default, including the time to connect.
const DefaultTimeout = time.Second

// TokenSource returns a signed token (JWT) for a call. It must end when the context ends.
type TokenSource func(ctx context.Context) (string, error)

// TLS says how a client uses TLS. The zero value trusts the public CAs.
type TLS struct {
	// CAFile is a PEM file with the CA certificates to trust; empty for the public CAs.
	CAFile string
	// CertFile is a PEM file with a client certificate, if the server requires one.
	CertFile string
	// KeyFile is a PEM file with the key of the client certificate.
	KeyFile string
	// ServerName is the name in the server's certificate, if it differs from the address.
	ServerName string
}

// Option is a setting of a client.
type Option func(*settings) error

type settings struct {
	addresses  []string
	apiKey     Secret
	tokens     TokenSource
	tls        *TLS
	plaintext  bool
	tenant     string
	timeout    time.Duration
	resilience Resilience
	telemetry  Telemetry
	now        func() time.Time
}

// WithAddresses adds addresses, HOST:PORT or unix:PATH. The addresses of a client take turns.
func WithAddresses(addresses ...string) Option {
	return func(s *settings) error {
		s.addresses = append(s.addresses, addresses...)
		return nil
	}
}

// WithAPIKey sends an API key with each call. Without a credential, the client reads PDP_API_KEY and
// PDP_TOKEN from the environment.
func WithAPIKey(key string) Option {
	return func(s *settings) error {
		s.apiKey = Secret(key)
		return nonEmpty("WithAPIKey", key)
	}
}

// WithToken sends a signed token (JWT) with each call.
func WithToken(token string) Option {
	return func(s *settings) error {
		s.tokens = func(context.Context) (string, error) { return token, nil }
		return nonEmpty("WithToken", token)
	}
}

// WithTokenSource calls a function for the token of each attempt. If it fails, there is no decision.
func WithTokenSource(source TokenSource) Option {
	return func(s *settings) error {
		s.tokens = source
		if source == nil {
			return errors.New("pdp: WithTokenSource: the function is nil")
		}
		return nil
	}
}

// WithTLS uses TLS for all addresses. By default, the client uses TLS with the public CAs for all
// addresses but Unix sockets and those of the loopback interface.
func WithTLS(tls TLS) Option {
	return func(s *settings) error {
		s.tls = &tls
		if (tls.CertFile == "") != (tls.KeyFile == "") {
			return errors.New("pdp: WithTLS: set CertFile and KeyFile, or neither")
		}
		return nil
	}
}

// WithPlaintext sends everything, and the credential, in plaintext to all addresses.
func WithPlaintext() Option {
	return func(s *settings) error {
		s.plaintext = true
		return nil
	}
}

// WithTenant sets the tenant of requests that name none.
func WithTenant(tenant string) Option {
	return func(s *settings) error {
		s.tenant = tenant
		return nil
	}
}

// WithDefaultTimeout sets how long a call may take, including the time to connect; by default 1 s. A
// context that ends earlier ends the call earlier.
func WithDefaultTimeout(timeout time.Duration) Option {
	return func(s *settings) error {
		s.timeout = timeout
		return positive("WithDefaultTimeout", timeout)
	}
}

// WithResilience sets retries, the circuit breaker and the bound on waiting calls.
func WithResilience(resilience Resilience) Option {
	return func(s *settings) error {
		s.resilience = resilience
		return nil
	}
}

// WithTelemetry describes the calls to an observer, for instance that of the package otelpdp.
func WithTelemetry(telemetry Telemetry) Option {
	return func(s *settings) error {
		s.telemetry = telemetry
		if telemetry == nil {
			return errors.New("pdp: WithTelemetry: the telemetry is nil")
		}
		return nil
	}
}

func newSettings(address string, options []Option) (*settings, error) {
	s := &settings{timeout: DefaultTimeout, telemetry: noTelemetry{}, now: time.Now}
	s.addresses = splitAddresses(address)
	for _, option := range options {
		if err := option(s); err != nil {
			return nil, err
		}
	}
	if len(s.addresses) == 0 {
		s.addresses = splitAddresses(orElse(os.Getenv("PDP_SERVER"), "127.0.0.1:50051"))
	}
	s.resilience = s.resilience.withDefaults()
	if s.plaintext && s.tls != nil {
		return nil, errors.New("pdp: use WithPlaintext or WithTLS, not both")
	}
	if s.apiKey == "" && s.tokens == nil {
		s.apiKey = Secret(os.Getenv("PDP_API_KEY"))
		if token := os.Getenv("PDP_TOKEN"); token != "" {
			s.tokens = func(context.Context) (string, error) { return token, nil }
		}
	}
	if s.apiKey != "" && s.tokens != nil {
		return nil, errors.New("pdp: set an API key or a token, not both")
	}
	return s, nil
}

// CallOption is a setting of one call.
type CallOption func(*callSettings) error

type callSettings struct {
	timeout       time.Duration
	returnFailure bool
	request       Request
}

// WithTimeout sets how long the call may take, including the time to connect. In a stream, it is how
// long the answer to each part may take.
func WithTimeout(timeout time.Duration) CallOption {
	return func(s *callSettings) error {
		s.timeout = timeout
		return positive("WithTimeout", timeout)
	}
}

// WithUnavailableError returns an UnavailableError if there is no decision, in place of a denial.
func WithUnavailableError() CallOption {
	return func(s *callSettings) error {
		s.returnFailure = true
		return nil
	}
}

// WithRequest says what else is known of a payload: the subject, the direction, the model.
func WithRequest(request Request) CallOption {
	return func(s *callSettings) error {
		s.request = request
		return nil
	}
}

func (c *Client) callSettings(options []CallOption) (callSettings, error) {
	s := callSettings{timeout: c.timeout}
	for _, option := range options {
		if err := option(&s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func nonEmpty(name, value string) error {
	if value == "" {
		return fmt.Errorf("pdp: %s: the value is empty", name)
	}
	return nil
}

func positive(name string, timeout time.Duration) error {
	if timeout <= 0 {
		return fmt.Errorf("pdp: %s: %v is not above 0", name, timeout)
	}
	return nil
}

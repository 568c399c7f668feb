package pdp

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Resilience is how a client behaves when a server fails. A field that is 0 has its default.
type Resilience struct {
	// MaxAttempts is how often one call is sent at most; by default 3. 1 turns retries off.
	MaxAttempts int
	// RetryRatio is how many retries each successful call adds to the budget; by default 0.1.
	RetryRatio float64
	// RetryBurst is how many retries the budget holds at most, and at first; by default 10.
	RetryBurst int
	// Backoff is the pause before the first retry; by default 20 ms. It doubles with each retry. A
	// random part of it is left out.
	Backoff time.Duration
	// MaxBackoff is the longest pause; by default 200 ms.
	MaxBackoff time.Duration
	// FailureThreshold is after how many failures in a row an address gets no calls for a while; by
	// default 5.
	FailureThreshold int
	// Cooldown is how long; then one call tries the address. By default 1 s.
	Cooldown time.Duration
	// MaxWaiting is how many calls and streams can be open at once; by default 1000. Further ones fail
	// at once.
	MaxWaiting int
}

func (r Resilience) withDefaults() Resilience {
	orDefault(&r.MaxAttempts, 3)
	orDefault(&r.RetryRatio, 0.1)
	orDefault(&r.RetryBurst, 10)
	orDefault(&r.Backoff, 20*time.Millisecond)
	orDefault(&r.MaxBackoff, 200*time.Millisecond)
	orDefault(&r.FailureThreshold, 5)
	orDefault(&r.Cooldown, time.Second)
	orDefault(&r.MaxWaiting, 1000)
	return r
}

func orDefault[T int | float64 | time.Duration](value *T, byDefault T) {
	if *value <= 0 {
		*value = byDefault
	}
}

// pause returns how long to wait before a retry, which is counted from 0.
func (r Resilience) pause(retry int) time.Duration {
	longest := r.Backoff
	for ; retry > 0 && longest < r.MaxBackoff; retry-- {
		longest *= 2
	}
	longest = min(longest, r.MaxBackoff)
	return time.Duration(float64(longest) * (0.5 + rand.Float64()/2))
}

// retryBudget bounds retries to a share of the successful calls, so that they do not add to an
// overload.
type retryBudget struct {
	mutex  sync.Mutex
	ratio  float64
	burst  float64
	tokens float64
}

func newRetryBudget(settings Resilience) *retryBudget {
	burst := float64(settings.RetryBurst)
	return &retryBudget{ratio: settings.RetryRatio, burst: burst, tokens: burst}
}

// add counts a successful call.
func (b *retryBudget) add() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.tokens = min(b.burst, b.tokens+b.ratio)
}

// take reports whether one more retry is within the budget, and counts it.
func (b *retryBudget) take() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

type breakerState int

const (
	breakerClosed   breakerState = iota // admits all calls
	breakerOpen                         // admits no calls
	breakerHalfOpen                     // waits for the result of one call
)

// circuitBreaker stops calls to an address that fails, and tries it again after a while.
type circuitBreaker struct {
	mutex     sync.Mutex
	threshold int
	cooldown  time.Duration
	now       func() time.Time
	state     breakerState
	failures  int
	retryAt   time.Time
}

func newCircuitBreaker(settings Resilience, now func() time.Time) *circuitBreaker {
	return &circuitBreaker{
		threshold: settings.FailureThreshold, cooldown: settings.Cooldown, now: now,
	}
}

// admit reports whether a call may be sent. Report its result by succeed, fail or release.
func (b *circuitBreaker) admit() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.state == breakerOpen && !b.now().Before(b.retryAt) {
		b.state = breakerHalfOpen
		return true
	}
	return b.state == breakerClosed
}

// succeed reports that a call got an answer.
func (b *circuitBreaker) succeed() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.failures = 0
	b.state = breakerClosed
}

// fail reports that a call got no answer.
func (b *circuitBreaker) fail() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.failures++
	if b.state == breakerHalfOpen || b.failures >= b.threshold {
		b.state = breakerOpen
		b.retryAt = b.now().Add(b.cooldown)
	}
}

// release reports that a call was abandoned, so that nothing is known of the server.
func (b *circuitBreaker) release() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.state == breakerHalfOpen {
		b.state = breakerOpen
	}
}

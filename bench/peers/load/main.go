// Command load sends requests to a server on this machine, and prints a summary as JSON.
//
// With -rate it is an open loop: requests start at random times with that mean rate, no matter how
// fast the answers arrive, and a latency counts from the time at which the request was due. Without
// it, each of -concurrency workers sends its next request when it has the answer to its last.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// summary is what the command prints. Latencies are in milliseconds.
type summary struct {
	Sent     int     `json:"sent"`
	Failed   int     `json:"failed"`
	Error    string  `json:"error"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50_ms"`
	P90      float64 `json:"p90_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	LateP99  float64 `json:"late_p99_ms"`
	OwnCPU   float64 `json:"own_cpu_s"`
	InFlight int64   `json:"max_in_flight"`
}

// sender posts bodies to one URL over its own connections.
type sender struct {
	url     string
	bodies  [][]byte
	grpc    bool
	header  http.Header
	clients []*http.Client
}

func newSender(url string, bodies [][]byte, protocol string, connections, concurrency int) *sender {
	made := &sender{url: url, bodies: bodies, grpc: protocol == "grpc", header: http.Header{}}
	if made.grpc {
		made.header.Set("Content-Type", "application/grpc")
		made.header.Set("TE", "trailers")
	} else {
		made.header.Set("Content-Type", "application/json")
	}
	var protocols http.Protocols
	protocols.SetHTTP1(protocol == "http1")
	protocols.SetUnencryptedHTTP2(protocol != "http1")
	if protocol == "http1" {
		connections = 1 // one transport shares out its connections itself
	}
	for range connections {
		made.clients = append(made.clients, &http.Client{Transport: &http.Transport{
			Protocols:           &protocols,
			MaxIdleConnsPerHost: concurrency,
			MaxConnsPerHost:     concurrency,
			DisableCompression:  true,
		}})
	}
	return made
}

// send posts body number i and checks that the server has answered it.
func (s *sender) send(i int) error {
	body := s.bodies[i%len(s.bodies)]
	request, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = s.header
	response, err := s.clients[i%len(s.clients)].Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	if s.grpc {
		status := response.Trailer.Get("Grpc-Status")
		if status == "" {
			status = response.Header.Get("Grpc-Status")
		}
		if status != "0" {
			return fmt.Errorf("gRPC status %q", status)
		}
	}
	return nil
}

// record collects what was measured; each request writes to its own place.
type record struct {
	latency, late []int64
	failed        atomic.Int64
	firstError    atomic.Value
	flying, most  atomic.Int64
}

func (r *record) begin() {
	flying := r.flying.Add(1)
	for most := r.most.Load(); flying > most && !r.most.CompareAndSwap(most, flying); {
		most = r.most.Load()
	}
}

func (r *record) end(err error) {
	r.flying.Add(-1)
	if err != nil {
		r.failed.Add(1)
		r.firstError.CompareAndSwap(nil, err.Error())
	}
}

func closedLoop(s *sender, concurrency int, duration time.Duration) (*record, time.Duration) {
	const bound = 5_000_000
	result := &record{latency: make([]int64, bound)}
	var next atomic.Int64
	var group sync.WaitGroup
	start := time.Now()
	for range concurrency {
		group.Go(func() {
			for time.Since(start) < duration {
				i := int(next.Add(1) - 1)
				if i >= bound {
					return
				}
				result.begin()
				begin := time.Now()
				result.end(s.send(i))
				result.latency[i] = int64(time.Since(begin))
			}
		})
	}
	group.Wait()
	result.latency = result.latency[:min(int(next.Load()), bound)]
	return result, time.Since(start)
}

// dueTimes returns when requests are due, after the begin: a Poisson process, the same each time.
func dueTimes(rate float64, duration time.Duration) []time.Duration {
	chance := rand.New(rand.NewSource(1))
	var due []time.Duration
	for at := 0.0; at < duration.Seconds(); at += chance.ExpFloat64() / rate {
		due = append(due, time.Duration(at*float64(time.Second)))
	}
	return due
}

// openLoop hands each request to a worker when it is due. The pacing thread sleeps by nanosleep,
// because the runtime's own timers round short waits up to a millisecond.
func openLoop(s *sender, workers int, due []time.Duration) (*record, time.Duration) {
	result := &record{latency: make([]int64, len(due)), late: make([]int64, len(due))}
	queue := make(chan int, len(due))
	var group sync.WaitGroup
	start := time.Now()
	for range workers {
		group.Go(func() {
			for i := range queue {
				result.begin()
				result.late[i] = int64(time.Since(start) - due[i])
				err := s.send(i)
				result.latency[i] = int64(time.Since(start) - due[i])
				if err != nil {
					result.latency[i] = math.MaxInt64 // it never gets an answer
				}
				result.end(err)
			}
		})
	}
	runtime.LockOSThread()
	for i := range due {
		if wait := due[i] - time.Since(start); wait > 0 {
			pause := syscall.NsecToTimespec(int64(wait))
			_ = syscall.Nanosleep(&pause, nil)
		}
		queue <- i
	}
	close(queue)
	group.Wait()
	return result, time.Since(start)
}

func quantile(ordered []int64, share float64) float64 {
	if len(ordered) == 0 {
		return 0
	}
	return float64(ordered[min(len(ordered)-1, int(float64(len(ordered))*share))]) / 1e6
}

func summarise(result *record, took time.Duration) summary {
	slices.Sort(result.latency)
	slices.Sort(result.late)
	message, _ := result.firstError.Load().(string)
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return summary{
		Sent:     len(result.latency),
		Failed:   int(result.failed.Load()),
		Error:    message,
		Seconds:  took.Seconds(),
		P50:      quantile(result.latency, 0.5),
		P90:      quantile(result.latency, 0.9),
		P99:      quantile(result.latency, 0.99),
		Max:      quantile(result.latency, 1),
		LateP99:  quantile(result.late, 0.99),
		OwnCPU:   float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9,
		InFlight: result.most.Load(),
	}
}

// readBodies reads a file of bodies, each after its length in four bytes.
func readBodies(path string) ([][]byte, error) {
	whole, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for len(whole) > 0 {
		if len(whole) < 4 {
			return nil, fmt.Errorf("%s ends in the middle of a length", path)
		}
		size := int(binary.BigEndian.Uint32(whole))
		if len(whole) < 4+size {
			return nil, fmt.Errorf("%s ends in the middle of a body", path)
		}
		bodies = append(bodies, whole[4:4+size])
		whole = whole[4+size:]
	}
	if len(bodies) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return bodies, nil
}

func run() error {
	url := flag.String("url", "", "where to post; on this machine")
	protocol := flag.String("protocol", "grpc", "grpc, http1 or http2")
	file := flag.String("bodies", "", "file of bodies, each after its length in four bytes")
	connections := flag.Int("connections", 4, "number of HTTP/2 connections")
	concurrency := flag.Int("concurrency", 32, "requests in flight; with -rate, at most so many")
	rate := flag.Float64("rate", 0, "requests a second; 0 for a closed loop")
	seconds := flag.Float64("seconds", 2, "how long to send")
	flag.Parse()
	bodies, err := readBodies(*file)
	if err != nil {
		return err
	}
	debug.SetGCPercent(400) // the collector of this process would disturb the latencies
	made := newSender(*url, bodies, *protocol, *connections, *concurrency)
	for i := range *concurrency { // connections are open before the clock starts
		if err := made.send(i); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
	}
	duration := time.Duration(*seconds * float64(time.Second))
	var result *record
	var took time.Duration
	if *rate > 0 {
		result, took = openLoop(made, *concurrency, dueTimes(*rate, duration))
	} else {
		result, took = closedLoop(made, *concurrency, duration)
	}
	return json.NewEncoder(os.Stdout).Encode(summarise(result, took))
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Package servertest starts real servers for tests.
package servertest

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Server is a real server, in a process of its own.
type Server struct {
	// Address is the address of gRPC.
	Address string
	// URL is the URL of HTTP.
	URL string
	// DataDir is the directory of its database.
	DataDir string
}

// Program returns the server's program: PDP_PROGRAM, or that of the repository. Without it, the test
// fails.
func Program(t testing.TB) string {
	t.Helper()
	program := os.Getenv("PDP_PROGRAM")
	if program == "" {
		program = filepath.Join(Repository(), ".venv", "bin", "pdp")
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("The server is not installed: %v. Run `make .venv/run.stamp` in the repository, "+
			"or set PDP_PROGRAM to the path of the program pdp.", err)
	}
	return program
}

// Repository returns the directory of the repository.
func Repository() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "..")
}

// Start starts a server in development mode, and waits until it serves. The test ends it.
func Start(t testing.TB) *Server {
	t.Helper()
	server := &Server{DataDir: t.TempDir()}
	command := exec.Command(Program(t), "serve", "--auth", "dev")
	command.Env = append(environment(),
		"PDP_DATA_DIR="+server.DataDir,
		"PDP_GRPC_LISTEN=127.0.0.1:0",
		"PDP_HTTP_LISTEN=127.0.0.1:0",
		"PDP_DRAIN_S=0",
	)
	output, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatalf("The server cannot be started: %v", err)
	}
	var log strings.Builder
	read := make(chan struct{})
	serving := make(chan bool, 1)
	go func() {
		defer close(read)
		defer func() { serving <- false }()
		scanner := bufio.NewScanner(output)
		for scanner.Scan() {
			if server.announced(scanner.Bytes()) {
				serving <- true
				_, _ = io.Copy(io.Discard, output)
				return
			}
			log.WriteString(scanner.Text() + "\n")
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-read
		_ = command.Wait()
	})
	if !<-serving {
		t.Fatalf("The server has ended:\n%s", log.String())
	}
	return server
}

func (s *Server) announced(line []byte) bool {
	var entry struct{ Event, GRPC, HTTP string }
	if json.Unmarshal(line, &entry) != nil || entry.Event != "serving" {
		return false
	}
	s.Address, s.URL = entry.GRPC, entry.HTTP
	return true
}

// Run runs a command of the program against the server, for instance policies import.
func (s *Server) Run(t testing.TB, arguments ...string) {
	t.Helper()
	command := exec.Command(Program(t), arguments...)
	command.Env = append(environment(), "PDP_DATA_DIR="+s.DataDir)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("pdp %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// environment returns the environment of this process without settings of the server.
func environment() []string {
	var result []string
	for _, each := range os.Environ() {
		if !strings.HasPrefix(each, "PDP_") {
			result = append(result, each)
		}
	}
	return result
}

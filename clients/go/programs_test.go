package pdp_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pdp.dev/client-go/internal/servertest"
)

// runProgram runs a program of this module against a server, and returns its output.
func runProgram(t *testing.T, server *servertest.Server, program, input string) string {
	t.Helper()
	arguments := []string{"run", program}
	if strings.HasSuffix(program, "cases") {
		arguments = append(arguments, server.Address)
	}
	command := exec.Command("go", arguments...)
	command.Env = append(os.Environ(), "PDP_SERVER="+server.Address)
	command.Stdin = strings.NewReader(input)
	var errors strings.Builder
	command.Stderr = &errors
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go run %s: %v\n%s%s", program, err, output, errors.String())
	}
	return string(output)
}

// runsTheReadme runs the first example of the README as it stands.
func runsTheReadme(t *testing.T, server *servertest.Server) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README.md has no program")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, block[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if got := runProgram(t, server, file, ""); got != "send: My card is [REDACTED].\n" {
		t.Errorf("got %q", got)
	}
}

func runsTheExample(t *testing.T, server *servertest.Server) {
	got := runProgram(t, server, "./examples/decide", "")
	for _, want := range []string{
		"Hello -> send: Hello\n", "-> send: My card is [REDACTED].\n", "-> stopped: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

func runsCases(t *testing.T, server *servertest.Server) {
	got := runProgram(t, server, "./internal/cases",
		`{"tenantId": "acme", "content": {"text": "hello"}}`+"\n"+
			`{"tenantId": "acme", "action": "DROP"}`)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %q", got)
	}
	var first struct{ Outcome string }
	var second struct {
		Error struct {
			Code    string
			Details []struct{ Field string }
		}
	}
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || first.Outcome != "OUTCOME_ALLOW" {
		t.Errorf("got %s, %v", lines[0], err)
	}
	err := json.Unmarshal([]byte(lines[1]), &second)
	if err != nil || second.Error.Code != "INVALID_ARGUMENT" ||
		len(second.Error.Details) != 1 || second.Error.Details[0].Field != "action" {
		t.Errorf("got %s, %v", lines[1], err)
	}
}

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

// readmeImports are what the functions of the README use.
const readmeImports = `package readme

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"

	"google.golang.org/grpc"

	pdp "pdp.dev/client-go"
	"pdp.dev/client-go/otelpdp"
)

`

func TestTheFunctionsOfTheReadmeCompile(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source := readmeImports
	for _, block := range regexp.MustCompile("(?s)```go\n(func .*?)```").FindAllSubmatch(readme, -1) {
		source += string(block[1]) + "\n"
	}
	file := filepath.Join(t.TempDir(), "readme.go")
	if err := os.WriteFile(file, []byte(strings.TrimSpace(source)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	output, err := exec.Command("gofmt", "-l", file).CombinedOutput()
	if err != nil || len(output) > 0 {
		t.Errorf("the functions of the README are not formatted: %v\n%s", err, output)
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

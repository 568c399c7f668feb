// Cases decides on requests for a test: go run ./internal/cases ADDRESS.
//
// Each line of the standard input is a DecideRequest as ProtoJSON. Each line of the output is the
// DecideResponse as ProtoJSON, or {"error": {"code", "message", "details"}}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	pdp "pdp.dev/client-go"
	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: cases ADDRESS")
	}
	if err := run(os.Args[1], os.Stdin, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(address string, input io.Reader, output io.Writer) error {
	client, err := pdp.NewClient(address, pdp.WithDefaultTimeout(time.Minute))
	if err != nil {
		return err
	}
	defer client.Close()
	lines := bufio.NewReader(input)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			answer, err := decide(client, line)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(output, "%s\n", answer); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func decide(client *pdp.Client, line []byte) ([]byte, error) {
	message := &pdpv1.DecideRequest{}
	if err := protojson.Unmarshal(line, message); err != nil {
		return nil, err
	}
	decision, err := client.Decide(
		context.Background(), pdp.Request{Message: message}, pdp.WithUnavailableError(),
	)
	if err != nil {
		return failure(err)
	}
	return protojson.Marshal(decision.Raw)
}

type detail struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
}

func failure(err error) ([]byte, error) {
	body := struct {
		Code    string   `json:"code"`
		Message string   `json:"message"`
		Details []detail `json:"details"`
	}{pdp.ReasonUnavailable, err.Error(), []detail{}}
	var refused *pdp.CallError
	if errors.As(err, &refused) {
		body.Code, body.Message = refused.Reason, refused.Message
		for _, each := range refused.Violations {
			body.Details = append(body.Details, detail(each))
		}
	}
	return json.Marshal(map[string]any{"error": body})
}

// Decide asks the server in PDP_SERVER for decisions on a few texts, and does what they say.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	pdp "pdp.dev/client-go"
)

func main() {
	client, err := pdp.NewClient("")
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, text := range []string{
		"Hello", "My card is 4111 1111 1111 1111.", "1 UNION SELECT password FROM users",
	} {
		fmt.Printf("%s -> %s\n", text, forward(context.Background(), client, text))
	}
}

// forward returns what happens to a text.
func forward(ctx context.Context, client *pdp.Client, text string) string {
	decision, err := client.Decide(ctx, pdp.Request{
		Text:    text,
		Subject: pdp.Subject{UserID: "ann"},
		Model:   pdp.Model{Provider: "openai", Name: "gpt-4o"},
	})
	if err != nil { // the server has refused the request
		return "stopped: " + err.Error()
	}
	permit, err := decision.Enforce()
	var held *pdp.HeldError
	switch {
	case errors.As(err, &held) && held.Approval != nil:
		return "waits for approval " + held.Approval.ID
	case errors.As(err, &held):
		return "ask the user: " + held.Reason
	case err != nil:
		return "stopped: " + decision.Message
	}
	return "send: " + permit.Text
}

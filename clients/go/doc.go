// Package pdp is a client of a policy decision point. A program asks before it sends a prompt to a
// model or calls a tool, and does what the decision says:
//
//	client, err := pdp.NewClient("pdp.example:50051", pdp.WithAPIKey(key))
//	...
//	decision, err := client.Decide(ctx, pdp.Request{Text: prompt})
//	if err != nil {
//		return err // the server refused the request
//	}
//	permit, err := decision.Enforce()
//	if errors.Is(err, pdp.ErrHeld) {
//		...        // a person must agree first
//	} else if err != nil {
//		return err // stopped
//	}
//	send(permit.Text)
//
// The client fails closed. If there is no decision in time, or the answer cannot be used, the
// decision is a denial with the reason code [ReasonUnavailable]. [WithUnavailableError] returns an
// error in its place. There is no option that allows.
//
// [Client.Middleware] judges the bodies of HTTP requests. The gRPC interceptors of a client judge
// the messages of calls.
package pdp

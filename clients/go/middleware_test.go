package pdp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// guarded is a handler behind the middleware, and what has reached it.
type guarded struct {
	http.Handler
	bodies []string
	last   *http.Request
}

func newGuarded(client *Client, options ...MiddlewareOption) *guarded {
	g := &guarded{}
	g.Handler = client.Middleware("json", options...)(http.HandlerFunc(
		func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			g.bodies, g.last = append(g.bodies, string(body)), r
		},
	))
	return g
}

type refusalBody struct {
	Error struct {
		Code         string
		Message      string
		DecisionID   string `json:"decision_id"`
		ApprovalID   string `json:"approval_id"`
		Confirmation string
		ExpiresAt    string `json:"expires_at"`
	}
}

func (g *guarded) post(
	t *testing.T, body string, headers ...string,
) (*httptest.ResponseRecorder, refusalBody) {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, "/v1/chat", strings.NewReader(body))
	for index := 0; index < len(headers); index += 2 {
		request.Header.Set(headers[index], headers[index+1])
	}
	recorder := httptest.NewRecorder()
	g.ServeHTTP(recorder, request)
	var refused refusalBody
	if recorder.Code != http.StatusOK {
		if err := json.Unmarshal(recorder.Body.Bytes(), &refused); err != nil {
			t.Fatalf("%d %s: %v", recorder.Code, recorder.Body, err)
		}
	}
	return recorder, refused
}

// answering returns a client whose server gives one answer, and the server.
func answering(
	t *testing.T, respond func(*pdpv1.DecideRequest) (*pdpv1.DecideResponse, error),
) (*Client, *fakeServer) {
	t.Helper()
	fake := startFake(t)
	fake.decide = func(
		_ context.Context, request *pdpv1.DecideRequest,
	) (*pdpv1.DecideResponse, error) {
		return respond(request)
	}
	return newTestClient(t, fake.address), fake
}

func TestTheMiddlewareRedacts(t *testing.T) {
	t.Parallel()
	client, fake := answering(t, func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		path := "/card"
		response := answer(r, redact, true, redactObligation(&path))
		response.RedactedPayload = proto.String(`{"card":"[REDACTED]"}`)
		response.Warnings = []*pdpv1.PolicyWarning{{Message: "Vorsicht, größer 😀"}}
		return response, nil
	})
	parent := "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	handler := newGuarded(client, RequestFrom(func(r *http.Request) (Request, error) {
		return Request{Subject: Subject{UserID: r.Header.Get("X-User")}}, nil
	}))
	recorder, _ := handler.post(t, `{"card": "4111"}`, "X-User", "ann", "Traceparent", parent,
		"Digest", "old", TokensHeader, "t1, t2")
	if len(handler.bodies) != 1 || handler.bodies[0] != `{"card":"[REDACTED]"}` {
		t.Fatalf("got %d %s, %q", recorder.Code, recorder.Body, handler.bodies)
	}
	if got := handler.last; got.ContentLength != 21 || got.Header.Get("Content-Length") != "21" ||
		got.Header.Get("Digest") != "" || got.Header.Get(TokensHeader) != "" ||
		PermitFrom(got.Context()) == nil {
		t.Errorf("got %+v", got)
	}
	want := `["Vorsicht, gr\u00f6\u00dfer \ud83d\ude00"]`
	if got := recorder.Header().Get("X-PDP-Warnings"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sent := fake.requests[0]
	if sent.GetSubject().GetUserId() != "ann" || sent.GetPayload().GetFormat() != "json" ||
		strings.Join(sent.GetTokens(), "|") != "t1|t2" ||
		fake.metadata[0].Get("traceparent")[0] != parent {
		t.Errorf("got %v", sent)
	}
}

func TestTheMiddlewareRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		respond func(*pdpv1.DecideRequest) (*pdpv1.DecideResponse, error)
		status  int
		code    string
	}{
		"a block": {func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			response := answer(r, block, false)
			response.StatusHint, response.ReasonCode = 451, "STATIC_POLICY_BLOCK"
			return response, nil
		}, 451, "STATIC_POLICY_BLOCK"},
		"a status that is none": {func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			response := answer(r, block, false)
			response.StatusHint = 200
			return response, nil
		}, 403, "DENIED"},
		"a route": {func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return answer(r, routeTo, true, routeObligation("m")), nil
		}, 403, "DENIED"},
		"an unknown obligation": {func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return answer(r, allow, true, &pdpv1.Obligation{Type: 99}), nil
		}, 403, "DENIED"},
		"a malformed answer": {func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return answer(r, block, true), nil
		}, 503, ReasonUnavailable},
		"an error": {func(*pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return nil, status.Error(codes.Internal, "broken")
		}, 503, ReasonUnavailable},
		"an invalid body": {func(*pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return nil, status.Error(codes.InvalidArgument, "payload.body: is not JSON")
		}, 400, "INVALID_ARGUMENT"},
		"a wrong credential": {func(*pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
			return nil, status.Error(codes.PermissionDenied, "this key is secret-1")
		}, 503, ReasonUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, _ := answering(t, test.respond)
			handler := newGuarded(client)
			recorder, refused := handler.post(t, "{}")
			if recorder.Code != test.status || refused.Error.Code != test.code ||
				len(handler.bodies) != 0 || strings.Contains(recorder.Body.String(), "secret-1") {
				t.Errorf("got %d %s, %q", recorder.Code, recorder.Body, handler.bodies)
			}
		})
	}
}

func TestTheMiddlewareRefusesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	client, fake := answering(t, func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		return answer(r, allow, true), nil
	})
	failing := RequestFrom(func(*http.Request) (Request, error) {
		return Request{}, errors.New("no session")
	})
	for name, test := range map[string]struct {
		option  MiddlewareOption
		body    string
		headers []string
		status  int
	}{
		"a large body":     {MaxBody(2), "{ }", nil, 413},
		"an encoded body":  {MaxBody(9), "{}", []string{"Content-Encoding", "gzip"}, 415},
		"an upgrade":       {MaxBody(9), "{}", []string{"Upgrade", "websocket"}, 403},
		"too many tokens":  {MaxBody(9), "{}", []string{TokensHeader, "1,2,3,4,5,6,7,8,9"}, 400},
		"an empty token":   {MaxBody(9), "{}", []string{TokensHeader, "1,,2"}, 400},
		"a caller unknown": {failing, "{}", nil, 403},
	} {
		t.Run(name, func(t *testing.T) {
			handler := newGuarded(client, test.option)
			recorder, _ := handler.post(t, test.body, test.headers...)
			if recorder.Code != test.status || len(handler.bodies) != 0 {
				t.Errorf("got %d %s, %q", recorder.Code, recorder.Body, handler.bodies)
			}
		})
	}
	handler := newGuarded(client)
	recorder, _ := handler.post(t, "")
	if recorder.Code != 200 || len(handler.bodies) != 1 || fake.calls() != 0 {
		t.Errorf("an empty body: got %d, %d calls", recorder.Code, fake.calls())
	}
}

func TestTheMiddlewareLetsTheHandlerRoute(t *testing.T) {
	t.Parallel()
	client, _ := answering(t, func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		return answer(r, routeTo, true, routeObligation("m")), nil
	})
	handler := newGuarded(client, HandlerRoutes())
	handler.post(t, "{}")
	if len(handler.bodies) != 1 || PermitFrom(handler.last.Context()).Route.Model != "m" {
		t.Errorf("got %q", handler.bodies)
	}
}

func TestTheMiddlewareMasks(t *testing.T) {
	t.Parallel()
	client, _ := answering(t, func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		return answer(r, redact, true, maskObligation("ssn")), nil
	})
	from := RequestFrom(func(*http.Request) (Request, error) {
		return Request{Target: Target{Fields: []string{"ssn"}}}, nil
	})
	handler := newGuarded(client, from)
	if recorder, _ := handler.post(t, "{}"); recorder.Code != 403 || len(handler.bodies) != 0 {
		t.Errorf("got %d", recorder.Code)
	}
	handler = newGuarded(client, from, HandlerMasks())
	if recorder, _ := handler.post(t, "{}"); recorder.Code != 200 || len(handler.bodies) != 1 {
		t.Errorf("got %d", recorder.Code)
	}
}

func TestTheMiddlewareResumes(t *testing.T) {
	t.Parallel()
	state := "pending"
	client, _ := answering(t, func(r *pdpv1.DecideRequest) (*pdpv1.DecideResponse, error) {
		switch {
		case !contains(r.GetTokens(), "token-1"):
			return answer(r, escalate, false, approvalObligation(state)), nil
		case !contains(r.GetTokens(), "confirmation-1"):
			return answer(r, prompt, false, promptObligation()), nil
		}
		return answer(r, allow, true), nil
	})
	handler := newGuarded(client)
	recorder, refused := handler.post(t, "{}")
	if recorder.Code != 403 || refused.Error.ApprovalID != "a-1" || refused.Error.ExpiresAt == "" ||
		strings.Contains(recorder.Body.String(), "token-1") {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
	state = "approved"
	recorder, refused = handler.post(t, "{}")
	if recorder.Code != 403 || refused.Error.Confirmation != "confirmation-1" {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
	recorder, _ = handler.post(t, "{}", TokensHeader, refused.Error.Confirmation)
	if recorder.Code != 200 || len(handler.bodies) != 1 {
		t.Errorf("got %d %s", recorder.Code, recorder.Body)
	}
}

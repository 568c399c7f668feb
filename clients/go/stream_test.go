package pdp

import (
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pdpv1 "pdp.dev/client-go/gen/pdp/v1"
)

// echo releases each part as it comes, after a change of the answer.
func echo(
	change func(*pdpv1.DecideStreamResponse),
) func(pdpv1.DecideService_DecideStreamServer) error {
	return func(stream pdpv1.DecideService_DecideStreamServer) error {
		var first *pdpv1.DecideRequest
		for {
			message, err := stream.Recv()
			if err != nil {
				return nil
			}
			if message.GetRequest() != nil {
				first = message.GetRequest()
			}
			reply := &pdpv1.DecideStreamResponse{
				Response: answer(first, allow, true),
				Release: &pdpv1.StreamRelease{
					ReleasedText: message.GetChunk().GetText(), Closed: message.GetChunk().GetLast(),
				},
			}
			change(reply)
			if err := stream.Send(reply); err != nil {
				return err
			}
		}
	}
}

func TestAStreamReleasesItsText(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.stream = echo(func(*pdpv1.DecideStreamResponse) {})
	client := newTestClient(t, fake.address)
	var got []string
	for text, err := range client.Release(t.Context(), Request{}, slices.Values([]string{"a", "", "b"})) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, text)
	}
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	if client.waiting.Load() != 0 {
		t.Error("the stream counts as waiting still")
	}
}

func TestAStreamEndsAtADenial(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pdpv1.DecideStreamResponse){
		"a block": func(r *pdpv1.DecideStreamResponse) {
			r.Response.Outcome, r.Response.Allowed = block, false
		},
		"a prompt": func(r *pdpv1.DecideStreamResponse) {
			r.Response.Obligations = []*pdpv1.Obligation{promptObligation()}
		},
		"an unknown obligation": func(r *pdpv1.DecideStreamResponse) {
			r.Response.Obligations = []*pdpv1.Obligation{{Type: 99}}
		},
		"an unknown field": func(r *pdpv1.DecideStreamResponse) {
			r.Response.Obligations = []*pdpv1.Obligation{withUnknownField(routeObligation("m"))}
		},
		"an unknown outcome": func(r *pdpv1.DecideStreamResponse) { r.Response.Outcome = 99 },
		"another request":    func(r *pdpv1.DecideStreamResponse) { r.Response.RequestId = "x" },
		"no decision":        func(r *pdpv1.DecideStreamResponse) { r.Response = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t)
			fake.stream = echo(change)
			stream, err := newTestClient(t, fake.address).Stream(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			if text, err := stream.Feed("a"); text != "" || !errors.Is(err, ErrDenied) {
				t.Errorf("got %q, %v", text, err)
			}
			if text, err := stream.Feed("b"); text != "" || err == nil {
				t.Errorf("after the end: got %q, %v", text, err)
			}
		})
	}
}

func TestAStreamWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(pdpv1.DecideService_DecideStreamServer) error{
		"silence": func(stream pdpv1.DecideService_DecideStreamServer) error {
			<-stream.Context().Done()
			return nil
		},
		"an early end": func(stream pdpv1.DecideService_DecideStreamServer) error {
			_, err := stream.Recv()
			return err
		},
		"unavailable": func(pdpv1.DecideService_DecideStreamServer) error {
			return status.Error(codes.Unavailable, "not now")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := startFake(t)
			fake.stream = serve
			client := newTestClient(t, fake.address)
			for _, options := range [][]CallOption{nil, {WithUnavailableError()}} {
				timeout := WithTimeout(long)
				if name == "silence" {
					timeout = WithTimeout(50 * time.Millisecond)
				}
				stream, err := client.Stream(t.Context(), Request{}, append(options, timeout)...)
				if err != nil {
					t.Fatal(err)
				}
				_, err = stream.Feed("a")
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDenied) != (options == nil) {
					t.Errorf("got %v", err)
				}
				stream.Close()
				stream.Close()
			}
		})
	}
}

func TestAStreamToAServerThatIsDown(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, freeAddress(t))
	for _, err := range client.Release(t.Context(), Request{}, slices.Values([]string{"a"})) {
		if !errors.Is(err, ErrDenied) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	}
	if client.waiting.Load() != 0 {
		t.Error("the stream counts as waiting still")
	}
}

func TestAStreamThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.stream = func(pdpv1.DecideService_DecideStreamServer) error {
		return status.Error(codes.PermissionDenied, "not you")
	}
	stream, err := newTestClient(t, fake.address).Stream(t.Context(), Request{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var refused *CallError
	if _, err := stream.End(); !errors.As(err, &refused) || refused.Reason != "PERMISSION_DENIED" {
		t.Errorf("got %v", err)
	}
}

func TestAStreamThatIsCutWithinCodePoints(t *testing.T) {
	t.Parallel()
	fake := startFake(t)
	fake.stream = echo(func(*pdpv1.DecideStreamResponse) {})
	client := newTestClient(t, fake.address)
	const text = "größer 😀 e\u0301"
	var bytes []string
	for index := range len(text) {
		bytes = append(bytes, text[index:index+1])
	}
	var got string
	for part, err := range client.Release(t.Context(), Request{}, slices.Values(bytes)) {
		if err != nil {
			t.Fatal(err)
		}
		got += part
	}
	if got != text {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"a\xf0\x9f", "\xffa", "\x80"} {
		var last error
		for _, last = range client.Release(t.Context(), Request{}, slices.Values([]string{text})) {
		}
		if !errors.Is(last, ErrRefused) {
			t.Errorf("%q: got %v", text, last)
		}
	}
}

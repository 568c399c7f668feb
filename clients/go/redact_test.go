package pdp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"pdp.dev/client-go/internal/servertest"
)

type vector struct {
	Name        string
	Text        string
	Arguments   json.RawMessage
	Replacement string
	Spans       []struct {
		Path  *string
		Start int
		End   int
		InKey bool `json:"in_key"`
	}
	Expected json.RawMessage
}

func (v vector) redactions() []Redaction {
	var spans []Span
	for _, each := range v.Spans {
		spans = append(spans, Span{Path: each.Path, Start: each.Start, End: each.End, InKey: each.InKey})
	}
	return []Redaction{{spans, v.Replacement}}
}

func vectors(t *testing.T) (texts, arguments []vector) {
	t.Helper()
	name := filepath.Join(servertest.Repository(), "tests", "vectors", "redactions.json")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Texts, Arguments []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Texts) == 0 || len(file.Arguments) == 0 {
		t.Fatalf("%s has no vectors", name)
	}
	return file.Texts, file.Arguments
}

func TestVectorsOfTexts(t *testing.T) {
	texts, _ := vectors(t)
	for _, each := range texts {
		t.Run(each.Name, func(t *testing.T) {
			var expected string
			if err := json.Unmarshal(each.Expected, &expected); err != nil {
				t.Fatal(err)
			}
			if got := RedactText(each.Text, each.redactions()); got != expected {
				t.Errorf("got %q, want %q", got, expected)
			}
		})
	}
}

func TestVectorsOfArguments(t *testing.T) {
	_, arguments := vectors(t)
	for _, each := range arguments {
		t.Run(each.Name, func(t *testing.T) {
			got, err := RedactJSON(each.Arguments, each.redactions())
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, got, each.Expected) {
				t.Errorf("got %s, want %s", got, each.Expected)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	first, err := decode(a)
	if err != nil {
		t.Fatal(err)
	}
	second, err := decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(first, second)
}

func TestRedactJSONKeepsNumbersAndOrder(t *testing.T) {
	path := "/z"
	got, err := RedactJSON(
		[]byte(`{"z": "x1", "n": 1234567890123456789, "f": 1.50, "a": "<&>"}`),
		[]Redaction{{[]Span{{Path: &path, Start: 1, End: 2}}, "*"}},
	)
	want := `{"z":"x*","n":1234567890123456789,"f":1.50,"a":"<&>"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

func TestRedactJSONRefusesWhatIsNotJSON(t *testing.T) {
	for _, text := range []string{"", "{", `{"a":1} x`, strings.Repeat("[", 100_000)} {
		if got, err := RedactJSON([]byte(text), nil); err == nil {
			t.Errorf("%.20q: got %s, want an error", text, got)
		}
	}
}

func TestOverlappingSpansHaveOneReplacement(t *testing.T) {
	got := RedactText("abcdef", []Redaction{
		{[]Span{{Start: 1, End: 4}}, "[1]"}, {[]Span{{Start: 2, End: 5}}, "[2]"},
	})
	if got != "a[1]f" {
		t.Errorf("got %q", got)
	}
}

func FuzzRedactTextLeavesNoSpan(f *testing.F) {
	f.Add("a😀b", 1, 2)
	f.Add("e\u0301x", 0, 9)
	f.Fuzz(func(t *testing.T, text string, start, end int) {
		got := []rune(RedactText(text, []Redaction{{[]Span{{Start: start, End: end}}, ""}}))
		all := []rune(text)
		from, to := min(max(start, 0), len(all)), min(max(end, 0), len(all))
		want := string(all)
		if from < to {
			want = string(append(append([]rune{}, all[:from]...), all[to:]...))
		}
		if string(got) != want {
			t.Errorf("got %q, want %q", string(got), want)
		}
	})
}

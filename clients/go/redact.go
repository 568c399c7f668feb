package pdp

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Redaction is places that are replaced by one text.
type Redaction struct {
	// Spans are the places.
	Spans []Span
	// Replacement is the text that replaces each of them.
	Replacement string
}

// Span is a place to redact. Its offsets count code points, not bytes.
type Span struct {
	// Path is the JSON Pointer into the arguments or the payload; nil for the text.
	Path *string
	// Start is the offset of the first code point.
	Start int
	// End is the offset after the last code point.
	End int
	// EntityType is the type of what is there.
	EntityType string
	// InKey is true if the span is in the key of the member at Path, and not in its value.
	InKey bool
}

// RedactText returns a text with its spans replaced. Spans with a path are not in the text.
//
// [Permit] has the redacted text already. Use this function for a copy of the text elsewhere.
func RedactText(text string, redactions []Redaction) string {
	return replace(text, byPlace(redactions)[place{inText: true}])
}

// RedactJSON returns a JSON document with the spans at their paths replaced. Members keep their
// order, and numbers keep their digits. A number that has a span becomes the replacement. If a
// redacted key is in use already, it gets a number: [REDACTED]_2.
func RedactJSON(document []byte, redactions []Redaction) ([]byte, error) {
	value, err := parse(document)
	if err != nil {
		return nil, fmt.Errorf("pdp: redact: %w", err)
	}
	return marshal(byPlace(redactions).value(value, ""))
}

type place struct {
	path   string
	inText bool
	inKey  bool
}

type splice struct {
	start, end  int
	replacement string
}

type places map[place][]splice

func byPlace(redactions []Redaction) places {
	result := places{}
	for _, redaction := range redactions {
		for _, span := range redaction.Spans {
			at := place{inText: span.Path == nil, inKey: span.InKey}
			if span.Path != nil {
				at.path = *span.Path
			}
			result[at] = append(result[at], splice{span.Start, span.End, redaction.Replacement})
		}
	}
	return result
}

func (p places) value(value node, path string) node {
	own := p[place{path: path}]
	switch value := value.(type) {
	case string:
		return replace(value, own)
	case json.Number:
		if len(own) > 0 {
			return own[0].replacement
		}
	case array:
		result := make(array, len(value))
		for index, each := range value {
			result[index] = p.value(each, path+"/"+strconv.Itoa(index))
		}
		return result
	case object:
		return p.object(value, path)
	}
	return value
}

var escapePointer = strings.NewReplacer("~", "~0", "/", "~1")

func (p places) object(value object, path string) object {
	used := map[string]bool{}
	for _, each := range value {
		used[each.key] = true
	}
	result := make(object, len(value))
	for index, each := range value {
		below := path + "/" + escapePointer.Replace(each.key)
		key := replace(each.key, p[place{path: below, inKey: true}])
		if key != each.key {
			key = unused(key, used)
			used[key] = true
		}
		result[index] = member{key, p.value(each.value, below)}
	}
	return result
}

// unused returns a key that is not in use: the key itself, or with _2, _3 and so on.
func unused(key string, used map[string]bool) string {
	candidate := key
	for number := 2; used[candidate]; number++ {
		candidate = key + "_" + strconv.Itoa(number)
	}
	return candidate
}

// replace returns a text with parts of it replaced. Of parts that overlap, the first one has the
// replacement of all.
func replace(text string, splices []splice) string {
	if len(splices) == 0 {
		return text
	}
	sorted := slices.Clone(splices)
	slices.SortStableFunc(sorted, func(a, b splice) int { return cmp.Compare(a.start, b.start) })
	var result strings.Builder
	index, point := 0, 0 // the position, in bytes and in code points
	for _, each := range sorted {
		start := skip(text, index, each.start-point)
		end := skip(text, index, each.end-point)
		if end <= start {
			continue
		}
		result.WriteString(text[index:start])
		if each.start >= point {
			result.WriteString(each.replacement)
		}
		index, point = end, max(each.end, point)
	}
	result.WriteString(text[index:])
	return result.String()
}

// skip returns the index after some code points; the length of the text if there are fewer.
func skip(text string, index, points int) int {
	for ; points > 0 && index < len(text); points-- {
		_, size := utf8.DecodeRuneInString(text[index:])
		index += size
	}
	return index
}

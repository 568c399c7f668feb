package pdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// A node is a JSON value whose members keep their order and whose numbers keep their digits: nil, a
// bool, a json.Number, a string, an array or an object.
type node any

type array []node

type object []member

type member struct {
	key   string
	value node
}

// parse returns the value of a JSON text.
func parse(text []byte) (node, error) {
	if !json.Valid(text) { // it also bounds the depth
		return nil, errors.New("this is not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return parseValue(decoder)
}

func parseValue(decoder *json.Decoder) (node, error) {
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		return parseArray(decoder)
	case json.Delim('{'):
		return parseObject(decoder)
	}
	return token, nil
}

func parseArray(decoder *json.Decoder) (node, error) {
	result := array{}
	for decoder.More() {
		value, err := parseValue(decoder)
		if err != nil {
			return nil, err
		}
		result = append(result, value)
	}
	_, err := decoder.Token()
	return result, err
}

func parseObject(decoder *json.Decoder) (node, error) {
	result := object{}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		value, err := parseValue(decoder)
		if err != nil {
			return nil, err
		}
		result = append(result, member{key.(string), value})
	}
	_, err := decoder.Token()
	return result, err
}

// MarshalJSON returns the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for index, each := range o {
		if index > 0 {
			text = append(text, ',')
		}
		key, err := marshal(each.key)
		if err != nil {
			return nil, err
		}
		value, err := marshal(each.value)
		if err != nil {
			return nil, err
		}
		text = append(append(append(text, key...), ':'), value...)
	}
	return append(text, '}'), nil
}

// marshal returns a value as JSON, without escapes for HTML.
func marshal(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// decodeObject returns the text of a JSON object as a map. Its numbers are json.Number.
func decodeObject(text string) (map[string]any, error) {
	value, err := decode([]byte(text))
	if err != nil {
		return nil, err
	}
	result, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%T is not a JSON object", value)
	}
	return result, nil
}

func decode(text []byte) (any, error) {
	if !json.Valid(text) {
		return nil, errors.New("this is not JSON")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

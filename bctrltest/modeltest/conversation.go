package modeltest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// message is a message of either wire format.
type message struct {
	assistant bool
	text      string
	picture   []byte       // of the user; nil for none
	calls     []calledTool // of the assistant
	results   []toolResult // of the user
}

type calledTool struct {
	id   string
	call Call
}

type toolResult struct{ id, text string }

// checkConversation refuses what a real provider refuses: a conversation that
// does not start with and end on the user's side, and a tool call whose result
// is missing, comes twice or belongs to none.
func checkConversation(messages []message) *failure {
	if len(messages) == 0 || messages[0].assistant || messages[len(messages)-1].assistant {
		return invalid("A conversation starts and ends with a message of the user.")
	}
	open := map[string]bool{}
	for _, msg := range messages {
		for _, r := range msg.results {
			if !open[r.id] {
				return invalid("A tool result belongs to no tool call before it.")
			}
			delete(open, r.id)
		}
		if len(open) > 0 {
			return invalid("A tool call has no result.")
		}
		for _, c := range msg.calls {
			open[c.id] = true
		}
	}
	return nil
}

// content comes as a string, as null or as a list of parts, of which the last picture
// counts.
type content struct {
	text    string
	picture []byte
}

// UnmarshalJSON reads the three forms.
func (c *content) UnmarshalJSON(data []byte) error {
	var text *string
	if json.Unmarshal(data, &text) == nil {
		if text != nil {
			c.text = *text
		}
		return nil
	}
	var parts []struct {
		Type, Text string
		ImageURL   struct{ URL string } `json:"image_url"`
		Source     pictureSource
	}
	if err := json.Unmarshal(data, &parts); err != nil {
		return err
	}
	for _, p := range parts {
		switch p.Type {
		case "text":
			c.text += p.Text
		case "image":
			c.picture = p.Source.Data
		case "image_url":
			// A picture that lies elsewhere is one that the script does not see.
			_, encoded, _ := strings.Cut(p.ImageURL.URL, ";base64,")
			if picture, err := base64.StdEncoding.DecodeString(encoded); err == nil && encoded != "" {
				c.picture = picture
			}
		default:
			return errors.New("a part has an unknown type")
		}
	}
	return nil
}

// pictureSource is where Anthropic's API has the bytes of a picture.
type pictureSource struct {
	Data []byte `json:"data"` // base64 on the wire
}

// MarshalJSON writes no text as null, as providers do beside a tool call.
func (c content) MarshalJSON() ([]byte, error) {
	if c.text == "" {
		return []byte("null"), nil
	}
	return json.Marshal(c.text)
}

// readArguments reads the arguments of a tool call: an object, or nothing.
func readArguments(data []byte) (map[string]any, error) {
	args := map[string]any{}
	if len(data) == 0 {
		return args, nil
	}
	err := json.Unmarshal(data, &args)
	return args, err
}

func isObject(data json.RawMessage) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(data, &object) == nil && object != nil
}

// tokens is about how many tokens a text has.
func tokens(text []byte) int { return (len(text) + 3) / 4 }

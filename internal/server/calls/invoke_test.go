package calls

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// TestEveryBodyCanBeReadAsItCame: a body of JSON stands in the answer byte for
// byte, but for white space around it.
func TestEveryBodyCanBeReadAsItCame(t *testing.T) {
	texts := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"", "{}", ` {"a": 1.0e2 , "a":2}` + "\n", "null", "nul",
	}))
	bodies := rapid.OneOf(
		rapid.SliceOf(rapid.Byte()),
		rapid.Map(texts, func(s string) []byte { return []byte(s) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		body := bodies.Draw(t, "body")
		text, err := encodeInvoked(wire.Invoked{Status: 200, DurationMs: 1}, body)
		if err != nil || !json.Valid(text) {
			t.Fatalf("%v: %s", err, text)
		}
		var got struct {
			Body    json.RawMessage
			Text    *string
			RawBody []byte
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		switch trimmed := bytes.TrimSpace(body); {
		case len(body) == 0:
			if got.Body != nil || got.Text != nil || got.RawBody != nil {
				t.Fatalf("a body where there is none: %s", text)
			}
		case len(trimmed) > 0 && json.Valid(trimmed):
			if !bytes.Contains(text, append([]byte(`"body":`), trimmed...)) {
				t.Fatalf("%q is not in %s", trimmed, text)
			}
		case utf8.Valid(body):
			if got.Text == nil || *got.Text != string(body) {
				t.Fatalf("%q is not in %s", body, text)
			}
		default:
			if !bytes.Equal(got.RawBody, body) {
				t.Fatalf("%q is not in %s", body, text)
			}
		}
	})
}

func TestAMethodThatIsNotNamedIsTheUsualOne(t *testing.T) {
	for _, tc := range []struct {
		why     string
		methods []string
		body    bool
		want    string
	}{
		{"the first", []string{"DELETE", "GET"}, false, "DELETE"},
		{"with a body, one that has bodies", []string{"GET", "PATCH", "PUT"}, true, "PUT"},
		{"with a body and none that has", []string{"DELETE"}, true, "DELETE"},
		{"of none", nil, false, "GET"},
	} {
		require.Equal(t, tc.want, usualMethod(bctrl.Capability{Methods: tc.methods}, tc.body), tc.why)
	}
}

package wire

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAListIsTheJSONOfItsEnvelope(t *testing.T) {
	for _, test := range []struct {
		why  string
		list List[string]
		want string
	}{
		{"nothing is a list without items, not null", List[string]{Plural: "keys"}, `{"keys":[],"nextCursor":null}`},
		{"the last page has no cursor", List[string]{Plural: "keys", Items: []string{"a", `b"`}},
			`{"keys":["a","b\""],"nextCursor":null}`},
		{"a cursor is any text", List[string]{Plural: "keys", Items: []string{"a"}, NextCursor: `"<x>"`},
			`{"keys":["a"],"nextCursor":"\"\u003cx\u003e\""}`},
	} {
		b, err := json.Marshal(test.list)
		require.NoError(t, err)
		require.Equal(t, test.want, string(b), test.why)
		back := List[string]{Plural: "keys"}
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, len(test.list.Items), len(back.Items), test.why)
		require.Equal(t, test.list.NextCursor, back.NextCursor, test.why)
		require.NotNil(t, back.Items)
	}
}

func TestAListIsReadWhateverIsBesideIt(t *testing.T) {
	for _, test := range []struct{ why, text string }{
		{"other members are of a later server", `{"total":{"n":[1,2]},"keys":["a"],"nextCursor":"c","more":null}`},
		{"the order of members means nothing", ` { "nextCursor" : "c" , "keys" : [ "a" ] } `},
	} {
		l := List[string]{Plural: "keys"}
		require.NoError(t, l.Decode([]byte(test.text)), test.why)
		require.Equal(t, []string{"a"}, l.Items, test.why)
		require.Equal(t, "c", l.NextCursor, test.why)
	}
	for _, text := range []string{
		"", "null", "[]", `"keys"`, `{"keys":["a"]`, `{"keys":["a"]} {}`, `{"keys":["a",]}`,
		`{"keys":{}}`, `{"keys":[1]}`, `{"keys":["a"]}x`, `{"nextCursor":5}`,
		// What another server answers is no empty list.
		`{}`, `{"status":"ok"}`, `{"nextCursor":null}`, `{"keys":null,"nextCursor":null}`,
	} {
		l := List[string]{Plural: "keys"}
		require.Error(t, l.Decode([]byte(text)), text)
	}
}

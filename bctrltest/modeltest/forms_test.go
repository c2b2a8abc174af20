package modeltest

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestAFormChangesWhatIsAnsweredAndNotWhatIsMeant(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"click","parameters":{"type":"object"}}}],`
	head := `{"model":"scripted-1",`
	messages := `"messages":[{"role":"user","content":` + quote("Sign in.\n\n"+first) + `}]}`
	inText := `"messages":[{"role":"system","content":"x\n- click: Click. {\"type\":\"object\"}\n"},` +
		`{"role":"user","content":` + quote("Sign in.\n\n"+first) + `},{"role":"assistant",` +
		`"content":"{\"calls\":[{\"tool\":\"click\",` +
		`\"arguments\":{\"ref\":\"e2\"}}]}"},{"role":"user","content":` +
		quote("The call of click was answered:\nclicked\n\n"+second) + `}]}`
	picture := `"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]}`
	for _, c := range []struct {
		form   Form
		body   string
		status int
		says   string
	}{
		{RefusesTools, head + tools + messages, http.StatusBadRequest, "does not support tools"},
		{RefusesTools, head + inText, http.StatusOK, "After clicked nothing is left of: Sign in."},
		{RefusesPictures, head + picture, http.StatusBadRequest, "not a multimodal model"},
		{CallsInText, head + tools + messages, http.StatusOK, "```json"},
		{LooseCalls, head + tools + messages, http.StatusOK, `"arguments":{"ref":"e2"}`},
		{Events, head + tools + messages, http.StatusOK, "data: [DONE]"},
		{EmptyFirst, head + tools + messages, http.StatusOK, `"choices":[]`},
		{CutFirst, head + tools + messages, http.StatusOK, `"finish_reason":"length"`},
	} {
		m, err := New(Config{Key: bctrl.NewSecret(key), Script: clickThenSay, Forms: []Form{c.form}})
		require.NoError(t, err)
		server := httptest.NewServer(m)
		status, text := ask(t, server.URL+"/v1/chat/completions", openAIHeader, c.body)
		require.Equal(t, c.status, status, "%s: %s", c.form, text)
		require.Contains(t, text, c.says, c.form)
		if c.form == EmptyFirst || c.form == CutFirst {
			_, text = ask(t, server.URL+"/v1/chat/completions", openAIHeader, c.body)
			require.Contains(t, text, `"finish_reason":"tool_calls"`, "%s: the second time is as usual", c.form)
		}
		server.Close()
	}
}

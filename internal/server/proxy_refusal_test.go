package server

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestAProvidersSDKCanReadARefusal(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	send := func(header, value string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
			c.srv.URL+"/v1/proxy/"+url.PathEscape("acme/things")+"/v2/other", http.NoBody)
		require.NoError(t, err)
		req.Header.Set("X-Api-Key", c.key)
		req.Header.Set(header, value)
		resp, err := c.srv.Client().Do(req)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, resp.Body.Close()) })
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
		return resp
	}
	const said = "bctrl: the capability does not permit this path (it permits what is at or below /v1/things, " +
		"/v1/repos/{owner}/{repo})"

	text, err := io.ReadAll(send("X-Other", "x").Body)
	require.NoError(t, err)
	var refusal bctrl.Error
	require.NoError(t, json.Unmarshal(text, &refusal))
	require.ErrorIs(t, &refusal, bctrl.ErrForbidden)
	require.Equal(t, said, refusal.Message)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, said, got["message"], "go-github and the AWS SDKs look here")
	require.Equal(t, "invoke.path_not_allowed", got["code"])
	require.Equal(t, "error", got["type"])
	require.Equal(t, map[string]any{"type": "capability_denied", "code": "invoke.path_not_allowed", "message": said,
		"param": "path"}, got["error"],
		"the SDKs of OpenAI and Anthropic look here")
	require.NotEmpty(t, got["requestId"])

	text, err = io.ReadAll(send("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD").Body)
	require.NoError(t, err)
	var inXML struct{ Code, Message string }
	require.NoError(t, xml.Unmarshal(text, &inXML), "those of S3 read XML")
	require.Equal(t, "invoke.path_not_allowed", inXML.Code)
	require.Equal(t, said, inXML.Message)
}

func TestTheLengthOfWhatHasNoBodyArrives(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "12345678901")
		w.Header().Set("Content-Encoding", "gzip")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead,
		c.srv.URL+"/v1/proxy/"+url.PathEscape("acme/things")+"/v1/things/a", http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := c.srv.Client().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EqualValues(t, 12345678901, resp.ContentLength)
}

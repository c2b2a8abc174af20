package bctrl

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNewReportsEveryProblemAtOnce(t *testing.T) {
	t.Setenv("BCTRL_API_KEY", "")
	_, err := New(WithBaseURL("http://user:"+canary+"@example.test/v1?q=1"), WithMaxRetries(-1), WithRetryWait(2, 1),
		WithTimeout(-1), WithApplication("a b", "1"))
	require.Error(t, err)
	for _, want := range []string{
		"api_key_missing", "insecure_base_url", "user information", "a query", "/v1", "invalid_retries", "invalid_retry_wait",
		"invalid_timeout", "invalid_application",
	} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), canary)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestNewReadsTheEnvironmentUnlessTold(t *testing.T) {
	t.Setenv("BCTRL_API_KEY", "from-env")
	t.Setenv("BCTRL_BASE_URL", "http://127.0.0.1:8787")
	f := always(200, `{}`)
	c, err := New(WithHTTPClient(&http.Client{Transport: f}))
	require.NoError(t, err)
	_, err = c.Profiles.Get(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, "Bearer from-env", f.requests()[0].header.Get("Authorization"))
	require.Equal(t, "127.0.0.1:8787", f.requests()[0].host)

	c, err = New(WithHTTPClient(&http.Client{Transport: f}), WithAPIKey(NewSecret("told")),
		WithBaseURL("https://other.test"))
	require.NoError(t, err)
	_, err = c.Profiles.Get(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, "Bearer told", f.requests()[1].header.Get("Authorization"))
	require.Equal(t, "other.test", f.requests()[1].host)
}

func TestTheKeyCrossesTheNetworkInClearTextOnlyWhenToldTo(t *testing.T) {
	for _, tc := range []struct {
		base     string
		insecure bool
		ok       bool
		why      string
	}{
		{"https://api.bctrl.ai", false, true, "the usual"},
		{"https://api.bctrl.ai/", false, true, "a trailing slash changes nothing"},
		{"https://gw.test/bctrl", false, true, "behind a gateway"},
		{"http://localhost:8787", false, true, "this machine"},
		{"http://127.0.0.1:8787", false, true, "this machine"},
		{"http://127.9.9.9", false, true, "all of 127/8 is this machine"},
		{"http://[::1]:8787", false, true, "this machine"},
		{"http://api.bctrl.ai", false, false, "clear text"},
		{"http://localhost.evil.test", false, false, "only looks like this machine"},
		{"http://127.0.0.1.evil.test", false, false, "only looks like this machine"},
		{"http://10.0.0.8:8787", true, true, "told to"},
		{"ftp://api.bctrl.ai", true, false, "no such thing"},
		{"https://u:p@api.bctrl.ai", false, false, "another way to log in"},
		{"https://api.bctrl.ai?x=1", false, false, "a query"},
		{"https://api.bctrl.ai#x", false, false, "a fragment"},
		{"https://api.bctrl.ai/a/../b", false, false, "a dot segment"},
		{"https://api.bctrl.ai//a", false, false, "an empty segment"},
		{"https://api.bctrl.ai/a%2fb", false, false, "an escape"},
		{"https://api.bctrl.ai/v1", false, false, "routes begin with it"},
		{"api.bctrl.ai", false, false, "no scheme"},
		{"https://", false, false, "no host"},
		{"https://:443", false, false, "no host"},
		{"mailto:a@b", false, false, "no host"},
	} {
		opts := []Option{WithAPIKey(NewSecret("k")), WithBaseURL(tc.base)}
		if tc.insecure {
			opts = append(opts, WithInsecureHTTP())
		}
		_, err := New(opts...)
		require.Equal(t, tc.ok, err == nil, "%s: %s: %v", tc.base, tc.why, err)
	}
}

func TestAKeyThatIsNoHeaderIsRefusedWithoutShowingIt(t *testing.T) {
	for _, key := range []string{canary + "\n", canary + " x", canary + "\x00", canary + "é"} {
		_, err := New(WithAPIKey(NewSecret(key)))
		require.ErrorIs(t, err, ErrInvalid)
		require.NotContains(t, err.Error(), canary)
	}
}

func TestPageOptionsReachTheServer(t *testing.T) {
	f := always(200, `{"browserProfiles":[{"id":"a"}],"nextCursor":"c2"}`)
	page, err := clientOn(t, f).Profiles.Page(t.Context(), PageOptions{Limit: 7, Cursor: "c 1"})
	require.NoError(t, err)
	require.Equal(t, Cursor("c2"), page.NextCursor)
	require.Equal(t, "cursor=c+1&limit=7", f.requests()[0].query)
}

func TestListsAreLazyAndStartOver(t *testing.T) {
	f := &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
		switch r.URL.Query().Get("cursor") {
		case "":
			return answered(200, `{"keys":["a","b"],"nextCursor":"2"}`), nil
		case "2":
			return answered(200, `{"keys":["c"],"nextCursor":null}`), nil
		}
		return answered(400, ""), nil
	}}
	seq := clientOn(t, f).Vault.List(t.Context(), "prod/")
	require.Empty(t, f.requests(), "nothing is sent before it is ranged over")
	for range 2 {
		var keys []string
		for key, err := range seq {
			require.NoError(t, err)
			keys = append(keys, key)
		}
		require.Equal(t, []string{"a", "b", "c"}, keys)
	}
	require.Len(t, f.requests(), 4)
	for _, err := range seq {
		require.NoError(t, err)
		break
	}
	require.Len(t, f.requests(), 5, "pages that nobody reaches are not fetched")
}

func TestAListThatFailsYieldsItsErrorOnce(t *testing.T) {
	f := inTurn(answered(200, `{"keys":["a"],"nextCursor":"2"}`),
		answered(403, refusalBody("vault.outside_mount", "capability_denied")))
	var keys []string
	var errs []error
	for key, err := range clientOn(t, f).Vault.List(t.Context(), "") {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		keys = append(keys, key)
	}
	require.Equal(t, []string{"a"}, keys)
	require.Len(t, errs, 1)
	require.ErrorIs(t, errs[0], ErrOutsideMount)
}

func TestAListThatDoesNotAdvanceEnds(t *testing.T) {
	f := always(200, `{"keys":["a"],"nextCursor":"same"}`)
	var last error
	n := 0
	for _, err := range clientOn(t, f).Vault.List(t.Context(), "") {
		last = err
		n++
		require.Less(t, n, 10)
	}
	require.ErrorContains(t, last, "does not advance")
}

func TestDurationsAreMillisecondsOnTheWire(t *testing.T) {
	f := always(200, `{"ok":true,"provider":"openai","latencyMs":1500,"checkedAt":"2026-01-02T03:04:05Z"}`)
	got, err := clientOn(t, f).AICredentials.Test(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, 1500*time.Millisecond, got.Latency)
	text, err := got.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(text), `"latencyMs":1500`)
}

// TestWhatEndedEarlyIsNotInvalid: the status alone, 422, cannot tell them apart,
// nor can the class that an error inside an answer has.
func TestWhatEndedEarlyIsNotInvalid(t *testing.T) {
	for _, tc := range []struct {
		code  string
		ended bool
		why   string
	}{
		{"executions.cancelled", true, "somebody cancelled it"},
		{"runtimes.ended", true, "its runtime was stopped"},
		{"request.idempotency_mismatch", false, "the request itself is wrong"},
	} {
		answered := clientOn(t, always(422, refusalBody(tc.code, "invalid_input"))).Profiles.Delete(t.Context(), "p")
		inside := &Error{}
		require.NoError(t, json.Unmarshal([]byte(refusalBody(tc.code, "invalid_input")), inside))
		for _, err := range []error{answered, inside} {
			require.Equal(t, tc.ended, errors.Is(err, ErrEnded), tc.why)
			require.Equal(t, !tc.ended, errors.Is(err, ErrInvalid), tc.why)
		}
	}
}

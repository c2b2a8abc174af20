package bctrl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRequestsCarryTheHeadersOfTheContract(t *testing.T) {
	f := always(200, `{"id":"p"}`)
	c := clientOn(t, f, WithApplication("etl", "3"))
	_, err := c.Profiles.Create(t.Context(), BrowserProfileCreate{ID: "p"})
	require.NoError(t, err)
	_, err = c.Profiles.Get(t.Context(), "p")
	require.NoError(t, err)

	create, get := f.requests()[0], f.requests()[1]
	require.Equal(t, "Bearer "+testKey, create.header.Get("Authorization"))
	require.Equal(t, "bctrl-go/"+Version+" etl/3", create.header.Get("User-Agent"))
	require.Equal(t, Version, create.header.Get("x-sdk-version"))
	require.Equal(t, "application/json", create.header.Get("Content-Type"))
	require.Len(t, create.header.Get("Idempotency-Key"), 36)
	require.Len(t, create.header.Get("x-request-id"), 36)
	require.JSONEq(t, `{"id":"p"}`, create.body)
	require.Empty(t, get.header.Get("Idempotency-Key"), "a read has nothing to repeat")
	require.NotEqual(t, create.header.Get("x-request-id"), get.header.Get("x-request-id"))
}

func TestAnIDStaysOnePathSegmentWhateverItHolds(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f, WithBaseURL("https://api.example.test/gateway"))
	hostile := rapid.OneOf(
		rapid.String(),
		rapid.StringMatching(`[a-z./%\\?#;@:&=+ 2efF5c]{1,12}`),
		rapid.SampledFrom([]string{
			"", ".", "..", "/", "//", "a/b", "a/../b", "../../admin", "%2e%2e", "%2E%2e/x", "..%2f..", "%252e%252e", "a%2fb",
			`..\..\x`,
			"a?force=true", "a#b", "a b", "a;b", "\x00", "a\nb", "\x7f", "é", "\xff\xfe", "%", "%zz", "https://evil.test/",
			"@evil.test", "a//b", "/a", "a/",
		}),
	)
	rapid.Check(t, func(rt *rapid.T) {
		id := hostile.Draw(rt, "id")
		before := len(f.requests())
		_, err := c.Profiles.Get(context.Background(), id)
		if err != nil {
			require.ErrorIs(rt, err, ErrInvalid)
			require.Len(rt, f.requests(), before, "refused ids are refused before a request")
			return
		}
		got := f.requests()[before]
		require.Equal(rt, "api.example.test", got.host)
		require.Empty(rt, got.query)
		segments := strings.Split(got.path, "/")
		require.Len(rt, segments, 5, got.path)
		require.Equal(rt, []string{"", "gateway", "v1", "browser-profiles"}, segments[:4])
		decoded, err := url.PathUnescape(segments[4])
		require.NoError(rt, err)
		require.Equal(rt, id, decoded, "what arrives is what was given")
		for again := decoded; ; {
			for piece := range strings.SplitSeq(strings.ReplaceAll(again, `\`, "/"), "/") {
				require.NotContains(rt, []string{"", ".", ".."}, piece, "decoding anywhere on the way must not move the path")
			}
			next, err := url.PathUnescape(again)
			if err != nil || next == again {
				break
			}
			again = next
		}
	})
}

func TestAnIDStaysOneSegmentBehindABaseThatIsEscaped(t *testing.T) {
	f := always(200, `{}`)
	for base, want := range map[string]string{
		"https://api.example.test/gate%20way/": "/gate%20way",
		"https://api.example.test/caf%C3%A9":   "/caf%C3%A9",
		"https://api.example.test/a+b/c%3Fd":   "/a+b/c%3Fd",
	} {
		c := clientOn(t, f, WithBaseURL(base))
		require.NoError(t, c.Vault.Delete(t.Context(), "prod/crm"), base)
		_, err := c.Profiles.Get(t.Context(), "sf-bot")
		require.NoError(t, err, base)
		sent := f.requests()[len(f.requests())-2:]
		require.Equal(t, []string{want + "/v1/vault/prod%2Fcrm", want + "/v1/browser-profiles/sf-bot"},
			[]string{sent[0].path, sent[1].path}, base)
	}
}

func TestHostileIDsAreRefusedWithoutRepeatingThem(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f)
	for _, tc := range []struct{ id, why string }{
		{"", "an empty segment is another route"},
		{".", "a dot segment is removed on the way"},
		{"..", "a dot segment climbs"},
		{"%2e%2e", "an escaped one too, where something decodes twice"},
		{"%252E.", "escaped more often"},
		{`..\x`, "backslashes are slashes to some"},
		{"a//b", "an empty piece is merged by some"},
		{"zebra\r\nX: y", "a control character"},
		{"zebra\x00", "a NUL ends strings in some"},
	} {
		_, err := c.AICredentials.Get(t.Context(), tc.id)
		require.ErrorIs(t, err, ErrInvalid, tc.why)
		require.NotContains(t, err.Error(), "zebra", tc.why)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "/v1/ai-credentials/{id}", e.PathTemplate)
	}
	require.Empty(t, f.requests())
}

func TestDoKeepsEachSegmentApart(t *testing.T) {
	f := always(200, `{"x":1}`)
	c := clientOn(t, f)
	var out struct{ X int }
	require.NoError(t, c.Do(t.Context(), http.MethodPut, []string{"v1", "vault", "prod/crm"}, map[string]int{"a": 1},
		&out))
	require.Equal(t, "/v1/vault/prod%2Fcrm", f.requests()[0].path)
	require.Equal(t, 1, out.X)
	for _, segments := range [][]string{nil, {""}, {"v1", ".."}, {"v1", "vault", ""}} {
		require.ErrorIs(t, c.Do(t.Context(), http.MethodGet, segments, nil, nil), ErrInvalid)
	}
	require.ErrorIs(t, c.Do(t.Context(), "GET /x", []string{"v1"}, nil, nil), ErrInvalid)
	require.Len(t, f.requests(), 1)
}

func TestRedirectsAreNeverFollowedAndTheKeyStaysAtItsOrigin(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		f := always(status, "", "Location", "https://evil.test/collect")
		c := clientOn(t, f)
		_, err := c.Vault.Set(t.Context(), "prod/crm", VaultCredential{Password: NewSecret(canary)})
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, status, e.Status)
		require.Contains(t, e.Message, "redirect")
		require.False(t, e.Retryable)
		_, err = c.Storage("ns").Open(t.Context(), "a.csv")
		require.Error(t, err)
		require.Len(t, f.requests(), 2, "one request a call, and none elsewhere")
		for _, r := range f.requests() {
			require.Equal(t, "api.example.test", r.host)
		}
	}
}

func TestAUsersRedirectPolicyIsNotUsed(t *testing.T) {
	f := always(302, "", "Location", "https://evil.test/")
	hc := &http.Client{Transport: f, CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	c := clientOn(t, f, WithHTTPClient(hc))
	_, err := c.Profiles.Get(t.Context(), "p")
	require.Error(t, err)
	require.Len(t, f.requests(), 1)
}

func TestAnswersAreBounded(t *testing.T) {
	endless := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		resp := answered(200, "")
		resp.ContentLength, resp.Body = -1, io.NopCloser(io.MultiReader(strings.NewReader(`{"label":"`), zeros{}))
		return resp, nil
	}}
	_, err := clientOn(t, endless).Profiles.Get(t.Context(), "p")
	require.ErrorIs(t, err, ErrTooLarge)
	require.Len(t, endless.requests(), 1, "asking again gives the same")

	declared := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		resp := answered(200, "{}")
		resp.ContentLength = 1 << 40
		return resp, nil
	}}
	_, err = clientOn(t, declared).Profiles.Get(t.Context(), "p")
	require.ErrorIs(t, err, ErrTooLarge, "a length is not believed with memory")

	refused := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		resp := answered(403, "")
		resp.ContentLength, resp.Body = -1, io.NopCloser(zeros{})
		return resp, nil
	}}
	_, err = clientOn(t, refused).Profiles.Get(t.Context(), "p")
	require.ErrorIs(t, err, ErrForbidden)
}

// stub is a transport as people write one for a test: of the answer it says no more than
// they care for.
type stub struct {
	status int
	body   string
}

func (s stub) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Body: io.NopCloser(strings.NewReader(s.body))}, nil
}

func TestATransportThatSaysNoLengthIsUnderstood(t *testing.T) {
	profile, err := clientOn(t, stub{200, `{"id":"p"}`}).Profiles.Get(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, "p", profile.ID)

	_, err = clientOn(t, stub{404, refusalBody("profiles.not_found", "not_found")}).Profiles.Get(t.Context(), "p")
	requireRoute(t, err, "profiles.not_found", "")

	files := clientOn(t, stub{200, "a,b"}).Storage("ns")
	content, err := files.Get(t.Context(), "a.csv")
	require.NoError(t, err)
	require.Equal(t, "a,b", string(content))
	r, err := files.Open(t.Context(), "a.csv")
	require.NoError(t, err)
	require.EqualValues(t, -1, r.Length)
	content, err = io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, "a,b", string(content))
	require.NoError(t, r.Close())
}

func TestAnAnswerIsAsLongAsItsLength(t *testing.T) {
	for _, length := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 512<<10 + 7, 512<<10 + 8, 512<<10 + 9, 5 << 20} {
		content := bytes.Repeat([]byte("0123456789abcde"), length/15+1)[:length]
		got, err := readBounded(iotest.HalfReader(bytes.NewReader(content)), int64(length), maxAnswer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got), length)
		_, err = readBounded(bytes.NewReader(content), int64(length)+1, maxAnswer)
		require.Error(t, err, "%d: one less", length)
		_, err = readBounded(bytes.NewReader(append(content, 'x')), int64(length), maxAnswer)
		require.ErrorIs(t, err, errTooLong, "%d: one more", length)
		broken := io.MultiReader(bytes.NewReader(content), iotest.ErrReader(io.ErrClosedPipe))
		_, err = readBounded(broken, int64(length), maxAnswer)
		require.ErrorIs(t, err, io.ErrClosedPipe, "%d: it breaks off", length)
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], manyZeros)
	}
	return len(p), nil
}

var manyZeros = strings.Repeat("0", 64<<10)

func TestErrorsSayWhatTheServerSaid(t *testing.T) {
	body := `{"error":"mounts widen their ceiling","code":"mounts.scope_widening","reasonClass":"invalid_input",
		"requestId":"r-1","hint":"narrow it",
		"details":{"problems":[{"code":"mounts.scope_widening","field":"mounts.vault.allow[0]","value":"prod/",
		"witness":"prod/0","ceiling":"prod/crm/"},
		{"code":"mounts.denied_by_ceiling","field":"mounts.vault.allow[1]"}]}}`
	f := always(400, body, "x-request-id", "r-1")
	_, err := clientOn(t, f).Profiles.Get(t.Context(), "p")
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "mounts.scope_widening", e.Code)
	require.Equal(t, "mounts.vault.allow[0]", e.Field)
	require.Equal(t, "prod/0", e.Witness)
	require.Equal(t, "narrow it", e.Hint)
	require.Equal(t, "r-1", e.RequestID)
	require.Equal(t, "GET", e.Method)
	require.Equal(t, "/v1/browser-profiles/{id}", e.PathTemplate)
	require.Len(t, e.Problems, 2)
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorIs(t, err, ErrWidening)
	require.NotContains(t, err.Error(), "\n")
}

func TestAnErrorThatIsNoJSONIsSaneAndHoldsNoBody(t *testing.T) {
	for _, body := range []string{"<html>" + canary + "</html>", "", canary, `"` + canary + `"`,
		`{"message":"` + canary + `"}`, "[]", "null"} {
		f := always(404, body)
		_, err := clientOn(t, f).Profiles.Get(t.Context(), "p")
		require.ErrorIs(t, err, ErrNotFound)
		require.NotContains(t, err.Error(), canary)
		require.Contains(t, err.Error(), "404 Not Found")
	}
	f := always(200, "<html>"+canary)
	_, err := clientOn(t, f).Profiles.Get(t.Context(), "p")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotContains(t, err.Error(), canary)
	require.Len(t, f.requests(), 1)
}

func TestTransportErrorsHoldNoURL(t *testing.T) {
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }}
	_, err := clientOn(t, f, WithMaxRetries(0)).Vault.Get(t.Context(), "prod/zebra")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Contains(t, err.Error(), "connection refused")
	require.NotContains(t, err.Error(), "zebra")
	require.NotContains(t, err.Error(), "example.test")
	var u *url.Error
	require.NotErrorAs(t, err, &u, "net/http's own error quotes the address")
}

func TestHookAndLogSeeTheRouteAndNoValue(t *testing.T) {
	f := inTurn(answered(503, ""), answered(200, `{"key":"prod/zebra"}`, "x-request-id", "srv-1"))
	var log bytes.Buffer
	var attempts []Attempt
	c := clientOn(t, f, WithRetryWait(0, 0),
		WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		WithHook(func(_ context.Context, a Attempt) { attempts = append(attempts, a) }))
	var info ResponseInfo
	_, err := c.Vault.Set(t.Context(), "prod/zebra", VaultCredential{Password: NewSecret(canary)}, CaptureResponse(&info),
		WithIdempotencyKey("mine"))
	require.NoError(t, err)
	require.Len(t, attempts, 2)
	require.Equal(t, "PUT", attempts[1].Method)
	require.Equal(t, "/v1/vault/{key}", attempts[1].PathTemplate)
	require.Equal(t, 2, attempts[1].Number)
	require.Equal(t, []int{503, 200}, []int{attempts[0].Status, attempts[1].Status})
	require.Equal(t, "srv-1", attempts[1].RequestID)
	require.Equal(t, ResponseInfo{
		Status:         200,
		RequestID:      "srv-1",
		Attempts:       2,
		IdempotencyKey: "mine",
	}, info)
	for _, never := range []string{canary, testKey, "zebra", "mine"} {
		require.NotContains(t, log.String(), never)
	}
	require.Contains(t, log.String(), "/v1/vault/{key}")
}

func TestHookAndLogSeeWhatAProvidersSDKSendsToo(t *testing.T) {
	broken := false
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		if broken {
			return nil, errors.New("connection refused")
		}
		return answered(http.StatusTeapot, "{}", "x-request-id", "srv-1"), nil
	}}
	var log bytes.Buffer
	var attempts []Attempt
	c := clientOn(t, f,
		WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		WithHook(func(_ context.Context, a Attempt) { attempts = append(attempts, a) })).ForSubaccount(uuid.NewString())
	ask := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://api.openai.com/v1/zebra?key=zebra",
			nil)
		require.NoError(t, err)
		req.Header.Set("X-Request-Id", "theirs")
		req.Header.Set("User-Agent", "their-sdk")
		resp, err := c.Capabilities.HTTPClient(CallTarget{Capability: "openai/"}).Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	require.NoError(t, ask())
	broken = true
	require.Error(t, ask())
	require.Len(t, attempts, 2)
	for i, want := range []Attempt{{Status: http.StatusTeapot, RequestID: "srv-1"}, {Err: attempts[1].Err}} {
		want.Method, want.PathTemplate, want.Number = http.MethodPatch, "/v1/proxy/{target}/{path}", 1
		want.Duration = attempts[i].Duration
		require.Equal(t, want, attempts[i])
	}
	require.EqualError(t, attempts[1].Err, "connection refused")
	for _, never := range []string{testKey, "zebra", "openai", "theirs"} {
		require.NotContains(t, log.String(), never)
	}
	for _, sent := range f.requests() {
		require.NotEmpty(t, sent.header.Get("BCTRL-Subaccount-Id"))
		require.Equal(t, []string{"theirs"}, sent.header["X-Request-Id"], "it is for the provider")
		require.Equal(t, []string{"their-sdk"}, sent.header["User-Agent"])
		require.NotContains(t, sent.header, "X-Sdk-Version")
	}
}

func TestCallTimeoutEndsTheCall(t *testing.T) {
	hang := &fake{answer: func(_ int, r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}}
	_, err := clientOn(t, hang).Profiles.Get(t.Context(), "p", WithCallTimeout(time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, ErrUnavailable)
	require.Len(t, hang.requests(), 1)
}

func TestACancelledCallIsNotAnUnavailableServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := clientOn(t, always(200, "{}")).Profiles.Get(ctx, "p")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrUnavailable)
}

func TestInvalidIdempotencyKeysAreRefused(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f)
	for _, key := range []string{"", strings.Repeat("k", 201), "a b", "a\r\nb", "é"} {
		_, err := c.Profiles.Create(t.Context(), BrowserProfileCreate{ID: "p"}, WithIdempotencyKey(key))
		require.ErrorIs(t, err, ErrInvalid)
	}
	require.Empty(t, f.requests())
}

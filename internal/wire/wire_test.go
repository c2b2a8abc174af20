package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/davecgh/go-spew/spew"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const canary = "canary-Xy7"

func TestAShapePrintsNoSecretAndSendsIt(t *testing.T) {
	for _, v := range []any{
		NewValue(canary), AICredentialCreate{APIKey: NewValue(canary)}, AICredentialUpdate{APIKey: NewValue(canary)},
		VaultCredential{Password: NewValue(canary), TOTP: NewValue(canary)}, TOTPCode{Code: NewValue(canary)},
		SignedURL{URL: NewValue(canary)}, Connection{URL: NewValue(canary)},
	} {
		hidden := struct{ inner any }{v}
		for _, s := range []any{v, &v, hidden, []any{v}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				require.NotContains(t, fmt.Sprintf(verb, s), canary)
			}
			require.NotContains(t, spew.Sdump(s), canary)
			bare := spew.ConfigState{DisableMethods: true, DisablePointerMethods: true}
			require.NotContains(t, bare.Sdump(s), canary)
			var log bytes.Buffer
			slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", s)
			require.NotContains(t, log.String(), canary)
		}
		text, err := json.Marshal(v)
		require.NoError(t, err)
		require.Contains(t, string(text), canary, "this is the wire")
	}
}

func TestAValueSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := VaultCredential{Password: NewValue(rapid.String().Draw(rt, "password")), Fill: "direct"}
		text, err := json.Marshal(in)
		require.NoError(rt, err)
		var out VaultCredential
		require.NoError(rt, json.Unmarshal(text, &out))
		require.Equal(rt, in.Password.Reveal(), out.Password.Reveal())
		require.True(rt, out.TOTP.IsZero())
	})
}

// TestAValueIsReadAsEncodingJSONReadsAString, whatever stands between its quotes.
func TestAValueIsReadAsEncodingJSONReadsAString(t *testing.T) {
	pieces := []string{"a", "ä", `\"`, `"`, `\`, `\u00e4`, `\ud800`, "\xff", "\x00", "\n", "\x7f", "<", ""}
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 4).Draw(rt, "pieces"), "")
		text = rapid.SampledFrom([]string{`"` + text + `"`, text, "null"}).Draw(rt, "text")
		var want string
		wrong := json.Unmarshal([]byte(text), &want)
		var got Value
		err := got.UnmarshalJSON([]byte(text))
		require.Equal(rt, wrong == nil, err == nil, "%q", text)
		require.Equal(rt, want, got.Reveal(), "%q", text)
	})
}

func TestAValueThatIsNoStringIsRefusedWithoutRepeatingIt(t *testing.T) {
	var out VaultCredential
	err := json.Unmarshal([]byte(`{"password":{"v":"`+canary+`"}}`), &out)
	require.Error(t, err)
	require.NotContains(t, err.Error(), canary)
}

func TestAListIsItsPluralAndACursor(t *testing.T) {
	for _, tc := range []struct {
		list List[string]
		want string
	}{
		{List[string]{Plural: VaultKeys, Items: []string{"a"}, NextCursor: "c"}, `{"keys":["a"],"nextCursor":"c"}`},
		{List[string]{Plural: VaultKeys}, `{"keys":[],"nextCursor":null}`},
	} {
		text, err := json.Marshal(tc.list)
		require.NoError(t, err)
		require.JSONEq(t, tc.want, string(text))
		back := List[string]{Plural: VaultKeys}
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, tc.list.NextCursor, back.NextCursor)
		require.NotNil(t, back.Items)
		require.Len(t, back.Items, len(tc.list.Items))
	}
}

func TestEveryStatusHasAClassAndEveryClassAStatus(t *testing.T) {
	for status, class := range map[int]string{
		400: "invalid_input", 401: "unauthorized", 403: "capability_denied", 404: "not_found", 405: "invalid_input",
		409: "conflict",
		412: "conflict", 413: "capability_limit_exceeded", 422: "invalid_input", 429: "rate_limited", 500: "server",
		502: "upstream", 503: "server",
	} {
		require.Equal(t, class, ReasonClass(status), "%d", status)
		require.Equal(t, class, ReasonClass(StatusOf(class)), "%s", class)
	}
	require.Equal(t, 500, StatusOf("nonsense"))
}

func TestAnObjectTravelsInAHeader(t *testing.T) {
	type object struct {
		Path string
		At   time.Time
	}
	h := http.Header{}
	in := object{"报告/\"q1\".csv\n", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	require.NoError(t, EncodeObject(h, in))
	require.NotContains(t, h.Get(HeaderObject), "\n")
	var out object
	require.NoError(t, DecodeObject(h, &out))
	require.Equal(t, in, out)
	require.Error(t, DecodeObject(http.Header{}, &out))
	require.Error(t, DecodeObject(http.Header{HeaderObject: {"%%"}}, &out))
}

func TestHeadersThatAreOursAreKnownInAnyCase(t *testing.T) {
	for name, own := range map[string]bool{
		HeaderRuntime: true, "BCTRL-Mounts": true, "bctrl-x": true, "Bctrl-": true,
		"Bctrl": false, "X-Bctrl-Runtime": false, HeaderRequestID: false, "": false,
	} {
		require.Equal(t, own, IsOwnHeader(name), name)
	}
	require.Equal(t, "BCTRL-Runtime", Spelled(HeaderRuntime))
	require.Equal(t, "Idempotency-Key", Spelled(HeaderIdempotencyKey))
}

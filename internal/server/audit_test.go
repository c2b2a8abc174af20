package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestEventsAreListedNewestFirstWithTheirOutcomes(t *testing.T) {
	h := newHarness(t)
	h.setLogin("a")
	require.Equal(t, 200, h.do("GET", []string{"vault", "a"}, nil, nil).Status)
	require.Equal(t, 401, h.send("GET", "/v1/vault/a", nil).Status)
	require.Equal(t, 404, h.do("DELETE", []string{"vault", "none"}, nil, nil).Status)
	got := h.log(bctrl.AuditFilter{})
	var told []string
	for _, e := range got[:3] {
		told = append(told, strings.Join([]string{e.Action, e.Object, string(e.Decision), e.Outcome}, " "))
		require.WithinDuration(t, time.Now(), e.Time, time.Minute)
		require.True(t, strings.HasPrefix(e.Caller, "key:"))
	}
	require.Equal(t, []string{
		"vault.write none allow vault.secret_not_found", "vault.readRaw a allow ok", "vault.write a allow ok",
	}, told, "a refusal of nobody is nobody's")
	require.NotZero(t, got[1].EndedSeq)
	require.False(t, got[1].EndedAt.Before(got[1].Time))
	require.EqualValues(t, 1, got[1].Version)
	require.Equal(t, got[2].UID, got[1].UID)
}

func TestFiltersSelectAndPagesMeet(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	for i := range 7 {
		h.setLogin(fmt.Sprintf("prod/crm/k%d", i))
	}
	rt := h.launch(ws, "crm", nil)
	for i := range 7 {
		require.Equal(t, 200, h.do("GET", []string{"vault", fmt.Sprintf("prod/crm/k%d", i), "totp"}, nil, nil,
			as(rt)...).Status)
		require.Equal(t, 403, h.do("GET", []string{"vault", "root", "totp"}, nil, nil, as(rt)...).Status)
	}
	all := h.log(bctrl.AuditFilter{})
	mid := all[len(all)/2]
	for _, tc := range []struct {
		why string
		f   bctrl.AuditFilter
	}{
		{"all", bctrl.AuditFilter{}},
		{"an action", bctrl.AuditFilter{Action: "vault.use"}},
		{"an object", bctrl.AuditFilter{Object: "prod/crm/k3"}},
		{"an object and an action", bctrl.AuditFilter{Object: "prod/crm/k3", Action: "vault.use"}},
		{"a runtime", bctrl.AuditFilter{RuntimeID: rt.ID}},
		{"a workspace", bctrl.AuditFilter{WorkspaceID: ws.ID}},
		{"what was denied", bctrl.AuditFilter{Decision: bctrl.AuditDenied}},
		{"what was allowed", bctrl.AuditFilter{Decision: bctrl.AuditAllowed}},
		{"an outcome", bctrl.AuditFilter{Outcome: "vault.outside_mount"}},
		{"what went well", bctrl.AuditFilter{Outcome: bctrl.AuditOK, Action: "vault.use"}},
		{"from a time on", bctrl.AuditFilter{Since: mid.Time}},
		{"up to a time", bctrl.AuditFilter{Until: mid.Time}},
		{"between numbers", bctrl.AuditFilter{After: all[9].Seq, Before: all[2].Seq}},
		{"nothing", bctrl.AuditFilter{Object: "nothing"}},
	} {
		var want []bctrl.AuditEvent
		for _, e := range all {
			if audit.Matches(tc.f, e) {
				want = append(want, e)
			}
		}
		require.Equal(t, tc.why == "nothing", len(want) == 0, tc.why)
		require.Equal(t, want, h.log(tc.f), tc.why)
		var paged []bctrl.AuditEvent
		for p := (bctrl.PageOptions{Limit: 2}); ; {
			page, err := h.sdk(straight).Audit.Page(t.Context(), tc.f, p)
			require.NoError(t, err)
			paged = append(paged, page.Items...)
			if p.Cursor = page.NextCursor; p.Cursor == "" {
				break
			}
		}
		require.Equal(t, want, paged, "%s: in pages", tc.why)
		var exported bytes.Buffer
		require.NoError(t, h.sdk(straight).Audit.Export(t.Context(), &exported, tc.f))
		lines := strings.Count(exported.String(), "\n")
		require.Equal(t, len(want), lines, "%s: exported", tc.why)
	}
	for _, query := range []string{"decision=maybe", "since=yesterday", "before=-1", "before=0", "cursor=!", "limit=0",
		"workspace=x"} {
		require.Equal(t, 400, h.send("GET", "/v1/audit?"+query, nil, "Authorization", "Bearer "+h.key).Status, query)
	}
	none := h.send("GET", "/v1/audit?until=0001-01-01T00:00:00Z", nil, "Authorization", "Bearer "+h.key)
	require.JSONEq(t, `{"events":[],"nextCursor":null}`, string(none.Body))
}

func TestAnOrganizationSeesNoOthersEvents(t *testing.T) {
	h := newHarness(t)
	h.setLogin("mine")
	key, hash := newKey()
	o := store.Organization{ID: web.NewID(), Name: "b", CreatedAt: time.Now()}
	h.write(func(tx *store.Tx) error { return tx.InsertOrganization(t.Context(), o) })
	h.write(func(tx *store.Tx) error {
		return tx.InsertAPIKey(t.Context(), store.APIKey{
			ID:        web.NewID(),
			Org:       o.ID,
			Hash:      hash,
			CreatedAt: time.Now(),
		})
	})
	mine := h.log(bctrl.AuditFilter{})
	h.key = key.Expose()
	h.setLogin("theirs")
	theirs := h.log(bctrl.AuditFilter{})
	require.Len(t, theirs, 2, "its data key, and its login: %v", theirs)
	var exported bytes.Buffer
	require.NoError(t, h.sdk(straight).Audit.Export(t.Context(), &exported, bctrl.AuditFilter{}))
	for _, e := range mine {
		require.NotContains(t, exported.String(), e.ID)
	}
	require.Empty(t, h.log(bctrl.AuditFilter{Object: "mine"}))
}

// failLog makes the audit log refuse what is written to it, from now on.
func (h *harness) failLog() {
	h.Helper()
	h.alter(`CREATE TRIGGER full BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no'); END`)
}

// alter changes the schema behind the server's back.
func (h *harness) alter(statement string) {
	h.Helper()
	db := h.raw()
	defer db.Close()
	_, err := db.ExecContext(h.Context(), h.statement(statement))
	require.NoError(h, err)
}

func TestWhatCannotBeRecordedDoesNotHappen(t *testing.T) {
	asked := 0
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(`{"data":[]}`))
	}))
	defer provider.Close()
	h := newHarness(t)
	h.setLogin("k")
	credential := object{"id": "mine", "provider": "openai", "apiKey": "sk", "baseUrl": provider.URL}
	require.Equal(t, 200, h.do("POST", []string{"ai-credentials"}, nil, credential).Status)
	require.Equal(t, 200, h.do("POST", []string{"ai-credentials", "mine", "test"}, nil, nil).Status)
	orgs, err := h.db.Read().Organizations(t.Context())
	require.NoError(t, err)
	c, err := h.db.Read().AICredential(t.Context(), orgs[0].ID, "mine")
	require.NoError(t, err)
	before := asked
	require.NotZero(t, before)

	rt := h.launch(h.made("w", object{"ai": object{"allow": []string{"mine"}}}), "r", nil)

	h.failLog()
	get := h.do("GET", []string{"vault", "k"}, nil, nil)
	require.Equal(t, 500, get.Status)
	require.NotContains(t, string(get.Body), "password")
	code := h.do("GET", []string{"vault", "k", "totp"}, nil, nil)
	require.Equal(t, 500, code.Status)
	require.NotContains(t, string(code.Body), "expiresAt")
	require.Equal(t, 500, h.do("POST", []string{"ai-credentials", "mine", "test"}, nil, nil).Status)
	require.Error(t, h.asks(rt, calls.ChosenModel{Credential: c, Model: "m"}), "a model call")
	require.Equal(t, before, asked, "the provider was asked")
	require.Equal(t, 500, h.do("PUT", []string{"vault", "k"}, nil, object{"password": "new"}).Status)
	require.Equal(t, 500, h.do("PUT", []string{"vault", "another"}, nil, object{"password": "new"}).Status)
	require.Equal(t, 500, h.do("DELETE", []string{"vault", "k"}, nil, nil).Status)
	refused := h.send("GET", "/v1/vault/k", nil)
	require.Equal(t, 500, refused.Status, "a refusal, too")

	h.alter("DROP TRIGGER full")
	back := h.do("GET", []string{"vault", "k"}, nil, nil)
	require.Equal(t, 200, back.Status)
	require.Contains(t, string(back.Body), `"password":"p"`)
	require.Equal(t, 404, h.do("GET", []string{"vault", "another"}, nil, nil).Status)
}

func TestNoTextForgesAnEvent(t *testing.T) {
	h := newHarness(t)
	forgeries := []string{
		"a\nb", "a\r\nid: 1\ndata: {}", "\u2028\u2029\u0085", `","outcome":"ok","x":"`, `{"seq":1}`, "\x1b[2J\x7f",
		"\u202egnp.exe", "\xff\xfe",
		strings.Repeat("é", 5000), "</script>", "\x00",
	}
	for i, text := range forgeries {
		e := audit.Event{
			Org:       h.org(),
			Caller:    "key:k",
			Action:    "test.forge",
			Object:    text,
			Host:      text,
			RequestID: fmt.Sprint(i),
			Outcome:   audit.OK,
		}
		require.NoError(t, h.server.Audit.Record(t.Context(), e))
	}
	events := h.log(bctrl.AuditFilter{Action: "test.forge"})
	require.Len(t, events, len(forgeries))
	for i, e := range events {
		text := forgeries[len(forgeries)-1-i]
		require.Equal(t, fmt.Sprint(len(forgeries)-1-i), e.RequestID)
		require.Equal(t, audit.OK, e.Outcome)
		require.LessOrEqual(t, len(e.Object), 2100)
		if len(text) < 100 {
			require.Equal(t, strings.ToValidUTF8(text, "\ufffd\ufffd"), strings.ReplaceAll(e.Object, "\ufffd", "\ufffd"))
		} else {
			require.Contains(t, e.Object, "… and ")
		}
	}
	var exported bytes.Buffer
	require.NoError(t, h.sdk(straight).Audit.Export(t.Context(), &exported, bctrl.AuditFilter{Action: "test.forge"}))
	for _, c := range exported.Bytes() {
		require.True(t, c == '\n' || c >= ' ' && c < 0x7f, "%q", c)
	}
	require.Equal(t, len(forgeries), strings.Count(exported.String(), "\n"))
	for line := range strings.Lines(exported.String()) {
		var e bctrl.AuditEvent
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		require.Equal(t, "test.forge", e.Action)
	}
}

func TestAnEffectThatACrashCutOffReadsAsUnknown(t *testing.T) {
	h := newHarness(t)
	_, err := h.server.Audit.Begin(t.Context(), audit.Event{Org: h.org(), Caller: "key:k", Action: "test.crash"})
	require.NoError(t, err)
	require.Empty(t, h.log(bctrl.AuditFilter{Action: "test.crash"})[0].Outcome, "it runs")
	for range 2 { // also on every later start
		require.NoError(t, audit.New(h.db).Start(t.Context()))
		got := h.log(bctrl.AuditFilter{Outcome: bctrl.AuditUnknown})
		require.Len(t, got, 1)
		require.Equal(t, "test.crash", got[0].Action)
	}
}

func TestATailShowsEventsAsTheyComeAndGoesOnAfterABreak(t *testing.T) {
	h := newHarness(t)
	live := httptest.NewServer(h.server)
	defer live.Close()
	client, err := bctrl.New(bctrl.WithBaseURL(live.URL), bctrl.WithAPIKey(bctrl.NewSecret(h.key)),
		bctrl.WithRetryWait(time.Millisecond, 5*time.Millisecond))
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	h.setLogin("before")
	seen := make(chan bctrl.AuditEvent)
	ended := make(chan error, 1)
	from := h.log(bctrl.AuditFilter{})[0].Seq
	go func() {
		for e, err := range client.Audit.Tail(ctx, bctrl.AuditFilter{After: from}) {
			if err != nil {
				ended <- err
				return
			}
			seen <- e
		}
	}()
	var last int64
	for i := range 20 {
		key := fmt.Sprintf("k%d", i)
		h.setLogin(key)
		e := <-seen
		require.Equal(t, key, e.Object)
		require.Greater(t, e.Seq, last, "none twice")
		last = e.Seq
		if i%5 == 4 {
			live.CloseClientConnections()
		}
	}
	require.Equal(t, 200, h.do("GET", []string{"vault", "k0"}, nil, nil).Status)
	first, second := <-seen, <-seen
	require.Empty(t, first.Outcome)
	require.Equal(t, audit.OK, second.Outcome)
	require.Equal(t, first.Seq, second.Seq)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func TestAStreamEndsWithTheServerAndWithItsKey(t *testing.T) {
	h := newHarness(t)
	live := httptest.NewServer(h.server)
	defer live.Close()
	req, err := http.NewRequestWithContext(t.Context(), "GET", live.URL+"/v1/audit/stream", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+h.key)
	resp, err := live.Client().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	h.server.EndStreams()
	var rest bytes.Buffer
	_, err = rest.ReadFrom(resp.Body)
	require.NoError(t, err, "it ends, and does not break")
	require.True(t, strings.HasPrefix(rest.String(), "retry: "))
}

func TestAStreamThatGoesOnAfterNothingHasAllEvents(t *testing.T) {
	h := newHarness(t)
	h.setLogin("k")
	h.server.EndStreams() // each ends once it has sent what there is
	srv := h.live()
	stream := func(query string) string {
		_, in := h.dial(srv, "GET /v1/audit/stream"+query+" HTTP/1.0", "Authorization: Bearer "+h.key, "", "")
		all, err := io.ReadAll(in)
		require.NoError(t, err)
		return string(all)
	}
	require.Contains(t, stream("?after=0"), `"action":"vault.write"`)
	require.NotContains(t, stream(""), "data:", "what comes next alone")
}

func TestVerifyThroughTheServer(t *testing.T) {
	h := newHarness(t)
	h.setLogin("k")
	report, err := h.sdk(straight).Audit.Verify(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Problems, 1, "the harness keeps no head outside")
	require.Equal(t, bctrl.AuditHeadMissing, report.Problems[0].Kind)
	h.tamper("UPDATE vault_entries SET meta = '{}' WHERE key = 'k'")
	report, err = h.sdk(straight).Audit.Verify(t.Context())
	require.NoError(t, err)
	require.False(t, report.OK)
	require.Equal(t, bctrl.AuditRecordChanged, report.Problems[len(report.Problems)-1].Kind)
}

package bctrltest_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// TestNoValueOfAScopedSecretIsFoundAnywhere stores, changes and deletes secrets
// with scopes, well and badly, and then looks for their values in all that came
// out: there is no place where one is meant to be.
func TestNoValueOfAScopedSecretIsFoundAnywhere(t *testing.T) {
	ctx, start := t.Context(), time.Now()
	sc := &scanner{}
	var log, sdk syncBuffer
	everything := &slog.HandlerOptions{Level: slog.Level(-100), AddSource: true}
	srv := bctrltest.New(t, bctrltest.WithLog(slog.New(slog.NewJSONHandler(&log, everything))))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := srv.Client(bctrl.WithHTTPClient(&http.Client{Transport: listening{sc, transport}}),
		bctrl.WithLogger(slog.New(slog.NewTextHandler(&sdk, everything))),
		bctrl.WithHook(func(_ context.Context, a bctrl.Attempt) { _, _ = fmt.Fprintf(&sdk, "%+v %v\n", a, a.Err) }))
	canary := func(name string) string {
		core := rand.Text()
		sc.canaries = append(sc.canaries, newCanary(name, core))
		return `q<"&\é%2B+/` + core + `'$#=`
	}
	first, second, imported, refused := canary("first value"), canary("second value"), canary("imported value"),
		canary("refused value")

	_, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	create := bctrl.SecretCreate{
		Name:    "OPENAI_API_KEY",
		Value:   bctrl.NewSecret(first),
		Scope:   bctrl.InWorkspace("sales"),
		Aliases: []string{"gpt"},
	}
	s, err := client.Secrets.Create(ctx, create)
	require.NoError(t, err)
	sc.text("a secret printed", []byte(fmt.Sprintf("%v %+v %#v %+v", s, *s, *s, create)))
	_, err = client.Secrets.AttachGroup(ctx, s.ID, "sales", "g")
	require.NoError(t, err)
	_, err = client.Secrets.Update(ctx, s.ID, bctrl.SecretUpdate{Name: new("OTHER")})
	require.NoError(t, err)
	_, err = client.Secrets.Rotate(ctx, s.ID, bctrl.NewSecret(second))
	require.NoError(t, err)
	quoted := "A='" + imported[:len(imported)-4] + "'\n"
	_, err = client.Secrets.Import(ctx, bctrl.SecretImport{Scope: bctrl.Global(), Text: bctrl.NewSecret(quoted)})
	require.NoError(t, err)
	for _, err := range client.Secrets.List(ctx, bctrl.SecretFilter{}) {
		require.NoError(t, err)
	}
	for _, err := range client.Audit.Events(ctx, bctrl.AuditFilter{}) {
		require.NoError(t, err)
	}

	for _, call := range []func() error{
		func() error {
			_, err := client.Secrets.Create(ctx, bctrl.SecretCreate{Name: refused, Value: bctrl.NewSecret(refused),
				Scope: bctrl.Global()})
			return err
		},
		func() error {
			_, err := client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "B", Value: bctrl.NewSecret(refused),
				Scope: bctrl.InWorkspace(refused)})
			return err
		},
		func() error {
			_, err := client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "OTHER", Value: bctrl.NewSecret(refused),
				Scope: bctrl.InWorkspace("sales")})
			return err
		},
		func() error {
			_, err := client.Secrets.Create(ctx, bctrl.SecretCreate{
				Name:    "B",
				Aliases: []string{refused},
				Value:   bctrl.NewSecret(refused),
				Scope:   bctrl.Global(),
			})
			return err
		},
		func() error { _, err := client.Secrets.Rotate(ctx, refused, bctrl.NewSecret(refused)); return err },
		func() error { _, err := client.Secrets.AttachGroup(ctx, s.ID, "sales", refused); return err },
		func() error {
			_, err := client.Secrets.Page(ctx, bctrl.SecretFilter{Name: refused}, bctrl.PageOptions{})
			return err
		},
		func() error {
			_, err := client.Secrets.Import(ctx, bctrl.SecretImport{Scope: bctrl.Global(),
				Text: bctrl.NewSecret("A=1\n" + refused)})
			return err
		},
		func() error {
			_, err := client.Secrets.Import(ctx, bctrl.SecretImport{Scope: bctrl.Global(),
				Text: bctrl.NewSecret("B=1\nB='" + refused)})
			return err
		},
		func() error {
			return client.Do(ctx, "POST", []string{"v1", "secrets"}, map[string]any{"name": "B", "value": []string{refused}},
				nil)
		},
		func() error {
			return client.Do(ctx, "POST", []string{"v1", "secrets"}, map[string]any{"name": "B", refused: 1}, nil)
		},
		func() error {
			return client.Do(ctx, "POST", []string{"v1", "secrets"}, map[string]any{"name": "B", "value": refused,
				"scope": map[string]any{"type": refused, refused: 1}}, nil)
		},
		func() error {
			return client.Do(ctx, "PATCH", []string{"v1", "secrets", s.ID}, map[string]any{"value": refused}, nil)
		},
		func() error { return client.Do(ctx, "POST", []string{"v1", "secrets", "import"}, refused, nil) },
	} {
		err := call()
		require.Error(t, err)
		sc.text("an error", []byte(fmt.Sprintf("%v\n%+v\n%#v", err, err, err)))
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		sc.text("an error as JSON", raw)
	}
	require.Positive(t, sc.files("the data directory", srv.DataDir()), "while it is stored")
	require.NoError(t, client.Secrets.Delete(ctx, s.ID))
	require.Positive(t, sc.files("the data directory", srv.DataDir()), "after it was deleted")
	for place, b := range map[string]*syncBuffer{"the server's log": &log, "the SDK's log and hooks": &sdk} {
		require.NotEmpty(t, b.Bytes())
		sc.text(place, b.Bytes())
	}
	seed, _ := newSeed("none")
	sc.check(t, seed, start)
	require.Greater(t, len(sc.sources), 60)
}

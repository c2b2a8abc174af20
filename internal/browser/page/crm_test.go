package page_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/democrm"
	"github.com/bctrl-go/bctrl/internal/totp"
)

// TestAWholeLogin logs in to a real application: a form driven by scripts
// under a strict content security policy, a code in a second step, a download.
func TestAWholeLogin(t *testing.T) {
	const seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	crm, err := democrm.New(democrm.Config{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(browsertest.Hunter),
		TOTPSeed: bctrl.NewSecret(seed),
	})
	require.NoError(t, err)
	server := httptest.NewServer(crm)
	t.Cleanup(server.Close)
	key, err := totp.Parse(bctrl.NewSecret(seed))
	require.NoError(t, err)

	save, saved := browsertest.Deliveries()
	ctx, p, b := openPageOf(t, browser.Spec{ID: "crm", OnDownload: save})
	obs := browsertest.Open(ctx, t, p, server.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Username").Ref,
		browsertest.Login("username", "bot@company.com", server.URL)))
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", browsertest.Hunter, server.URL)))
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Log in").Ref, browser.Click{}))
	obs = browsertest.Settle(ctx, t, p)
	code, _ := key.Code(time.Now())
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Verification code").Ref,
		browsertest.Login("totp", code.Expose(), server.URL)))
	require.NoError(t, p.Press(ctx, "Enter"))
	obs = browsertest.Settle(ctx, t, p)
	require.Equal(t, democrm.Counts{Logins: 1}, crm.Counts())
	require.Contains(t, obs.Outline,
		"row: D-1001 | Driftwood Health | Chiara Russo | Qualification | 2026-01-05 | $110,500\n")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Export CSV").Ref, browser.Click{}))
	select {
	case file := <-saved:
		require.Contains(t, file.Filename, ".csv")
		require.NotEmpty(t, file.Text)
	case <-ctx.Done():
		require.NoError(t, ctx.Err())
	}
	browsertest.RequireUnseen(t, browsertest.Hunter, obs.Outline, browsertest.InputValues(ctx, t, b))
}

package page_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestNoFrameIsTooFarDownToHideWhatWasFilled has a page repeat a password in its last frame.
func TestNoFrameIsTooFarDownToHideWhatWasFilled(t *testing.T) {
	ctx, p, _ := openPage(t)
	for _, frames := range []int{3, 60} {
		s := browsertest.NewSite(t, map[string]string{"/": `<input type=password aria-label=Password ` +
			`oninput="last.contentDocument.querySelector('span').textContent = value">` +
			strings.Repeat(`<iframe style="width:9px;height:9px;border:0" srcdoc="x"></iframe>`, frames) +
			`<iframe id=last srcdoc="<span style='color:#f0f;background:#f0f'></span>"></iframe>`})
		login := browsertest.Login("password", "Zebra-Quarry-77", s.URL)
		login.Direct = true
		obs := browsertest.Open(ctx, t, p, s.URL+"/")
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, login))
		filled, err := p.Picture(ctx, browser.PictureOptions{})
		if frames > 40 {
			require.ErrorContains(t, err, "page.too_large")
			continue
		}
		require.NoError(t, err)
		require.False(t, showsMagenta(decodePicture(t, filled)))
	}
}

package browsertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"mime"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// Observe reads the page and checks what holds for every observation.
func Observe(ctx context.Context, t *testing.T, p browser.Page) *browser.Observation {
	t.Helper()
	obs, err := p.Observe(ctx)
	require.NoError(t, err)
	require.LessOrEqual(t, len(obs.Outline), browser.MaxOutline)
	for _, e := range obs.Elements {
		require.Contains(t, obs.Outline, "["+string(e.Ref)+"] "+e.Role)
	}
	return obs
}

// Find returns the element of a role and name.
func Find(t *testing.T, obs *browser.Observation, role, name string) browser.Element {
	t.Helper()
	for _, e := range obs.Elements {
		if e.Role == role && strings.Contains(e.Name, name) {
			return e
		}
	}
	require.Failf(t, "no such element", "%s %q in\n%s", role, name, obs.Outline)
	return browser.Element{}
}

// Open shows a page of a site and reads it.
func Open(ctx context.Context, t *testing.T, p browser.Page, url string) *browser.Observation {
	t.Helper()
	require.NoError(t, p.Goto(ctx, url, ""))
	return Observe(ctx, t, p)
}

// Settle waits for the page and reads it.
func Settle(ctx context.Context, t *testing.T, p browser.Page) *browser.Observation {
	t.Helper()
	require.NoError(t, p.Settle(ctx, 5*time.Second))
	return Observe(ctx, t, p)
}

// Scroll scrolls the page by whole viewports, as far as it goes.
func Scroll(ctx context.Context, t *testing.T, p browser.Page, pages int) {
	t.Helper()
	_, err := p.Scroll(ctx, "", pages)
	require.NoError(t, err)
}

// ClickUntil clicks a button and observes until the outline holds a text.
func ClickUntil(ctx context.Context, t *testing.T, p browser.Page, obs *browser.Observation, button, text string) {
	t.Helper()
	require.NoError(t, p.Click(ctx, Find(t, obs, "button", button).Ref, browser.Click{}))
	require.Eventually(t, func() bool { return strings.Contains(Observe(ctx, t, p).Outline, text) },
		10*time.Second, 20*time.Millisecond, "%s: %s", button, text)
}

// MaskedPixels counts the pixels of a picture that were painted over.
func MaskedPixels(t *testing.T, shot []byte) int {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	require.NoError(t, err)
	return bytes.Count(Pixels(img).Pix, []byte{0x60, 0x60, 0x60, 0xff})
}

// Pixels copies a picture without transparency, whose pixels are four bytes each then: a
// million of them are told from one another in a hundredth of the time that At takes.
func Pixels(img image.Image) *image.RGBA {
	all := image.NewRGBA(img.Bounds())
	draw.Draw(all, all.Rect, img, img.Bounds().Min, draw.Src)
	return all
}

// Hunter is a password with everything that encodings treat apart.
const Hunter = `Hunter2 &=+%"\'<é日>`

// Login is a password or a code for a site.
func Login(field, value string, origins ...string) browser.Fill {
	return browser.Fill{Field: field, Value: bctrl.NewSecret(value), Origins: origins}
}

// RequireUnseen fails when a text holds the value in any usual form. It prints
// neither.
func RequireUnseen(t *testing.T, value string, texts ...string) {
	t.Helper()
	for i, text := range texts {
		for _, form := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), strings.ToUpper(value),
			base64.StdEncoding.EncodeToString([]byte(value)), fmt.Sprintf("%x", value),
		} {
			require.False(t, strings.Contains(text, form), "text %d holds the value", i)
		}
	}
}

// JSONString follows keys into JSON, through the first element of an array.
func JSONString(body string, path ...string) string {
	var at any
	if json.Unmarshal([]byte(body), &at) != nil {
		return ""
	}
	for _, key := range path {
		if list, ok := at.([]any); ok && len(list) > 0 {
			at = list[0]
		}
		object, _ := at.(map[string]any)
		at = object[key]
	}
	if list, ok := at.([]any); ok && len(list) > 0 {
		at = list[0]
	}
	text, _ := at.(string)
	return text
}

// FormPart returns a field of a multipart form.
func FormPart(r Received, name string) string {
	_, params, err := mime.ParseMediaType(r.ContentType)
	if err != nil {
		return ""
	}
	form, err := multipart.NewReader(strings.NewReader(r.Body), params["boundary"]).ReadForm(1 << 20)
	if err != nil || len(form.Value[name]) != 1 {
		return ""
	}
	return form.Value[name][0]
}

package page_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func decodePicture(t *testing.T, p *browser.Picture) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(p.PNG.Bytes()))
	require.NoError(t, err)
	require.Equal(t, image.Pt(p.Width, p.Height), img.Bounds().Size())
	return img
}

// TestMarksAreInThePictureAndNotInThePage marks elements, also in a frame of another
// site, and looks where the marks are.
func TestMarksAreInThePictureAndNotInThePage(t *testing.T) {
	ctx, p, _ := openPage(t)
	inner := browsertest.NewSite(t, map[string]string{"/in": `<body style="margin:0"><button>Inner</button>`})
	s := browsertest.NewSite(t, map[string]string{"/": `<body style="margin:0"><button ` +
		`style="position:absolute;left:100px;` +
		`top:200px;width:80px;height:40px">Here</button>` +
		`<iframe style="position:absolute;left:400px;top:300px;border:0" src="` +
		inner.LocalhostURL() + `/in"></iframe><button style="position:absolute;top:3000px">Below</button>
<p id=seen>nothing</p><script>
new MutationObserver(m => { seen.dataset.n = 1 }).observe(document, {subtree: true, childList: true, attributes: true});
</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	plain, err := p.Picture(ctx, browser.PictureOptions{})
	require.NoError(t, err)
	require.Empty(t, plain.Marked)
	marked, err := p.Picture(ctx, browser.PictureOptions{Marks: true})
	require.NoError(t, err)
	require.ElementsMatch(t, []browser.Ref{
		browsertest.Find(t, obs, "button", "Here").Ref,
		browsertest.Find(t, obs, "button", "Inner").Ref,
	}, marked.Marked, "those in view")
	require.Zero(t, marked.Left)
	require.Zero(t, marked.Top)

	without, with := decodePicture(t, plain), decodePicture(t, marked)
	differ := func(x, y float64) bool {
		at := image.Pt(int(x/marked.Scale), int(y/marked.Scale))
		return without.At(at.X, at.Y) != with.At(at.X, at.Y)
	}
	require.True(t, differ(101, 220), "the left side of the box")
	require.True(t, differ(140, 201), "its upper side")
	require.True(t, differ(104, 190), "the number")
	require.True(t, differ(401, 310), "in the frame")
	require.False(t, differ(140, 220), "what it marks stays legible")
	require.False(t, differ(600, 600))

	whole, err := p.Picture(ctx, browser.PictureOptions{Marks: true, FullPage: true})
	require.NoError(t, err)
	require.Contains(t, whole.Marked, browsertest.Find(t, obs, "button", "Below").Ref)
	require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "data-n")
	got, err := p.Read(ctx, browser.ReadOptions{})
	require.NoError(t, err)
	require.Contains(t, got.Text, "nothing")
}

// TestPicturesAreBounded takes pictures of a viewport and of a page that are larger than
// a model is sent, and finds a place again.
func TestPicturesAreBounded(t *testing.T) {
	ctx, p, _ := openPageOf(t, browser.Spec{ID: "page", Config: bctrl.LaunchConfig{Width: 2000, Height: 1000}})
	s := browsertest.NewSite(t, map[string]string{
		"/": `<body style="margin:0"><div style="position:absolute;left:1000px;top:500px;width:50px;height:50px;` +
			`background:#f00"></div><div style="height:9000px;width:10px"></div>`,
	})
	browsertest.Open(ctx, t, p, s.URL+"/")
	picture, err := p.Picture(ctx, browser.PictureOptions{})
	require.NoError(t, err)
	img := decodePicture(t, picture)
	require.LessOrEqual(t, max(picture.Width, picture.Height), browser.MaxPictureSide)
	require.InDelta(t, 2000.0/browser.MaxPictureSide, picture.Scale, .1)
	r, g, b, _ := img.At(int(1025/picture.Scale), int(525/picture.Scale)).RGBA()
	require.Equal(t, [3]uint32{0xff, 0, 0}, [3]uint32{r >> 8, g >> 8, b >> 8})

	whole, err := p.Picture(ctx, browser.PictureOptions{FullPage: true})
	require.NoError(t, err)
	require.LessOrEqual(t, whole.Width, browser.MaxPictureSide)
	require.LessOrEqual(t, whole.Height, 4*browser.MaxPictureSide)
}

// TestPicturesMaskEveryPassword takes pictures of a password that nobody filled, and of a
// field that was.
func TestPicturesMaskEveryPassword(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<form method=post><input name=p aria-label=Code></form>`,
		"/own": `<div id=host></div><script>host.attachShadow({mode: 'closed'}).innerHTML = ` +
			`'<input type=password value="in the page">'</script>`,
		"/none": `<input value=open>`,
	})
	take := func() int {
		picture, err := p.Picture(ctx, browser.PictureOptions{})
		require.NoError(t, err)
		return browsertest.MaskedPixels(t, picture.PNG.Bytes())
	}
	browsertest.Open(ctx, t, p, s.URL+"/none")
	require.Zero(t, take())
	browsertest.Open(ctx, t, p, s.URL+"/own")
	require.Greater(t, take(), 1000, "a password of the page's own")

	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Code").Ref,
		browsertest.Login("totp", "482913", s.URL)))
	require.Greater(t, take(), 1000, "a filled field, whatever its type")
}

// TestAPictureOfWhatJumpsIsRefused takes pictures for a program and for a model of a page whose
// filled field is elsewhere all the time, so that nobody knows where to paint, and of one on
// which it has come to rest.
func TestAPictureOfWhatJumpsIsRefused(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/jumps": castForm + jumps + `}</script>`, "/rests": castForm + `p.type = 'text'; p.style.left = '400px'; }</script>`,
		"/done/jumps": "done", "/done/rests": "done",
	})
	for _, c := range []struct{ path, code string }{{"/rests", ""}, {"/jumps", "page.picture_unsteady"}} {
		obs := browsertest.Open(ctx, t, p, s.URL+c.path)
		login := browsertest.Login("password", "Zebra-Quarry-77", s.URL)
		login.Direct = true
		require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, login))
		require.Eventually(t, func() bool { return len(s.RequestsTo("/done"+c.path)) > 0 }, 30*time.Second,
			20*time.Millisecond, "%s has done what it does", c.path)
		shot, err := p.Screenshot(ctx, false)
		_, errOfModel := p.Picture(ctx, browser.PictureOptions{})
		if c.code != "" {
			for _, err := range []error{err, errOfModel} {
				refused, ok := errors.AsType[*bctrl.Error](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, c.code, refused.Code)
			}
			continue
		}
		require.NoError(t, errors.Join(err, errOfModel))
		img, err := png.Decode(bytes.NewReader(shot))
		require.NoError(t, err)
		require.Zero(t, magenta(img))
		require.Greater(t, browsertest.MaskedPixels(t, shot), 1000)
	}
}

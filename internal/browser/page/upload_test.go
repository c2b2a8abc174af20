package page_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// fileOf is a file of a text.
func fileOf(name, contentType, text string) browser.File {
	return browser.File{
		Name: name, ContentType: contentType, Size: int64(len(text)),
		WriteTo: func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		},
	}
}

// uploadSite takes forms and says what was in them.
func uploadSite(t *testing.T, pages map[string]string) *browsertest.Site {
	t.Helper()
	s := browsertest.NewSite(t, pages)
	s.Handlers["/upload"] = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := r.ParseMultipartForm(1 << 20); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, all := range r.MultipartForm.File {
			for _, h := range all {
				f, err := h.Open()
				if err != nil {
					continue
				}
				text, _ := io.ReadAll(f)
				_ = f.Close()
				fmt.Fprintf(w, "<p>got %s, %s, %s</p>", h.Filename, h.Header.Get("Content-Type"), text)
			}
		}
	}
	return s
}

const uploadPage = `<h1>Import</h1><form method=post action=/upload enctype=multipart/form-data>
<input type=file name=one aria-label=One><input type=file name=many multiple aria-label=Many>
<label for=hidden>Choose</label><input id=hidden type=file name=hidden style="position:absolute;left:-9999px">
<label>Attach<input type=file name=styled style="display:none"></label>
<button>Send</button></form>
<input type=file aria-label=Off disabled>
<button onclick="pick()">Browse</button><button>Nothing</button>
<div id=zone role=button tabindex=0 aria-label=Zone style="width:200px;height:80px">Drop here</div><p id=out></p>
<script>
const show = files => out.textContent = [...files].map(f => f.name + ' ' + f.type + ' ' + f.size).join(', ');
function pick() {
	const i = document.createElement('input'); i.type = 'file'; i.multiple = true;
	i.onchange = () => show(i.files); i.click();
}
zone.ondragover = e => e.preventDefault();
zone.ondrop = e => { e.preventDefault(); e.dataTransfer.files[0].text().then(t => out.textContent = 'dropped ' + t); };
document.querySelector('[name=one]').onchange = e => out.textContent = 'changed ' + e.target.files[0].name;
</script>`

func TestFilesAreGivenToPages(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := uploadSite(t, map[string]string{"/": uploadPage})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	ref := func(role, name string) browser.Ref { return browsertest.Find(t, obs, role, name).Ref }

	const name = "Q1 päivä \"x\".csv"
	require.NoError(t, p.SetFiles(ctx, ref("button", "One"), []browser.File{fileOf(name, "text/csv", "a,b")}))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "changed Q1 päivä")
	require.NoError(t, p.SetFiles(ctx, ref("button", "Many"), []browser.File{
		fileOf("a.txt", "text/plain", "first"), fileOf("b.txt", "text/plain", "second"),
	}))
	require.NoError(t, p.SetFiles(ctx, ref("button", "Browse"),
		[]browser.File{fileOf("c.pdf", "application/pdf", "%PDF")}),
		"a button that asks for files")
	requireShown(ctx, t, p, "c.pdf application/pdf 4")
	require.NoError(t, p.SetFiles(ctx, ref("button", "Zone"), []browser.File{fileOf("d.txt", "", "let go")}))
	requireShown(ctx, t, p, "dropped let go")
	require.NoError(t, p.SetFiles(ctx, ref("button", "Attach"), []browser.File{fileOf("e.txt", "text/plain", "styled")}),
		"a label of an input that is not drawn")
	require.NoError(t, p.Click(ctx, ref("button", "Send"), browser.Click{}))
	obs = requireShown(ctx, t, p, "got")
	for _, want := range []string{
		`got Q1 päivä`, "text/csv, a,b", "got a.txt, text/plain, first", "got b.txt, text/plain, second",
		"got e.txt, text/plain, styled",
	} {
		require.Contains(t, obs.Outline, want)
	}
}

// TestThePageAroundAFrameGetsNoFilesOfIt has the page ask for files itself when a button in
// a frame of another site is clicked.
func TestThePageAroundAFrameGetsNoFilesOfIt(t *testing.T) {
	ctx, p, _ := openPage(t)
	inner := browsertest.NewSite(t, map[string]string{"/in": `<button onclick="">Sign here</button>`})
	s := uploadSite(t, map[string]string{"/": `<p id=out>none</p><input type=file id=theirs style="display:none">
<iframe src="` + inner.LocalhostURL() + `/in"></iframe>
<script>theirs.onchange = () => out.textContent = 'took ' + theirs.files[0].name;
onblur = () => {
	let n = 0;
	const again = setInterval(() => { theirs.click(); if (++n > 20) clearInterval(again); }, 50);
};
</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	err := p.SetFiles(ctx, browsertest.Find(t, obs, "button", "Sign here").Ref,
		[]browser.File{fileOf("contract.txt", "text/plain", "secret terms")})
	require.Error(t, err)
	require.NotContains(t, browsertest.Observe(ctx, t, p).Outline, "took")
}

func TestWhatTakesNoFilesSaysSo(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := uploadSite(t, map[string]string{"/": uploadPage})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	ref := func(role, name string) browser.Ref { return browsertest.Find(t, obs, role, name).Ref }
	one := []browser.File{fileOf("a.txt", "", "a")}
	broken := errors.New("not any more")
	for _, c := range []struct {
		ref   browser.Ref
		files []browser.File
		want  string
	}{
		{ref("button", "One"), nil, "page.invalid_files"},
		{ref("button", "One"), slices.Repeat(one, browser.MaxFiles+1), "page.invalid_files"},
		{ref("button", "One"), []browser.File{fileOf("../a", "", "a")}, "page.invalid_files"},
		{ref("button", "One"), []browser.File{fileOf("a\x00b", "", "a")}, "page.invalid_files"},
		{ref("button", "One"), []browser.File{fileOf("", "", "a")}, "page.invalid_files"},
		{ref("button", "One"), slices.Repeat(one, 2), "page.one_file"},
		{ref("button", "Nothing"), one, "page.not_an_upload"},
		{"e9999", one, "page.unknown_ref"},
		{ref("button", "One"), []browser.File{{Name: "a", Size: browser.MaxUpload + 1}}, "page.uploads_full"},
		{ref("button", "One"), []browser.File{{
			Name: "a", Size: 1, WriteTo: func(_ context.Context, w io.Writer) error {
				_, err := w.Write(make([]byte, 9))
				return err
			},
		}}, "page.file_changed"},
		{ref("button", "One"), []browser.File{{
			Name: "a", Size: 1, WriteTo: func(context.Context, io.Writer) error { return broken },
		}}, broken.Error()},
	} {
		require.ErrorContains(t, p.SetFiles(ctx, c.ref, c.files), c.want)
	}
	require.Zero(t, p.UploadedBytes(), "what failed keeps nothing")

	// A click alone asks, and the view says how to answer.
	require.NoError(t, p.Click(ctx, ref("button", "Browse"), browser.Click{}))
	requireShown(ctx, t, p, "note: the page asks for a file, several at once")
}

// TestCopiesOfFilesGoWithTheirPage looks at what is left on the machine.
func TestCopiesOfFilesGoWithTheirPage(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := uploadSite(t, map[string]string{"/": uploadPage, "/away": "<h1>Away</h1>"})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for range 3 {
		require.NoError(t, p.SetFiles(ctx, browsertest.Find(t, obs, "button", "One").Ref,
			[]browser.File{fileOf("a.txt", "", strings.Repeat("x", 1000))}))
	}
	require.EqualValues(t, 3000, p.UploadedBytes())
	p.SetUploadGrace(10 * time.Millisecond)
	require.NoError(t, p.Goto(ctx, s.URL+"/away", ""))
	require.Eventually(t, func() bool { return p.UploadedBytes() == 0 }, 10*time.Second, 10*time.Millisecond)
}

package bctrl

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// stored answers an upload as a server that kept all of it.
func stored(r *http.Request, body string) *http.Response {
	return answered(200, `{"id":"o","logicalPath":"a.csv","sizeBytes":`+strconv.Itoa(len(body))+`}`)
}

// failsOnce breaks the first attempt after its body has been read.
func failsOnce() *fake {
	f := &fake{}
	f.answer = func(n int, r *http.Request) (*http.Response, error) {
		if n == 1 {
			return answered(503, ""), nil
		}
		return stored(r, f.seen[n-1].body), nil
	}
	return f
}

// onlySeeks hides every other method of a reader.
type onlySeeks struct{ io.ReadSeeker }

func TestAnUploadIsSentAgainFromWhereItsReaderStood(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(file, []byte("skipped,content"), 0o600))
	opened, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { opened.Close() })
	for why, r := range map[string]io.ReadSeeker{
		"bytes":   bytes.NewReader([]byte("skipped,content")),
		"strings": strings.NewReader("skipped,content"),
		"seeker":  onlySeeks{strings.NewReader("skipped,content")},
		"file":    opened,
	} {
		_, err := r.Seek(8, io.SeekStart)
		require.NoError(t, err)
		f := failsOnce()
		_, err = clientOn(t, f, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv", r)
		require.NoError(t, err, why)
		require.Len(t, f.requests(), 2, why)
		for _, sent := range f.requests() {
			require.Equal(t, "content", sent.body, why)
			require.Equal(t, f.requests()[0].header.Get("Idempotency-Key"), sent.header.Get("Idempotency-Key"))
		}
	}
}

func TestAnUploadThatCannotBeReadAgainIsNotSentAgain(t *testing.T) {
	f := failsOnce()
	_, err := clientOn(t, f, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv",
		io.MultiReader(strings.NewReader("once")))
	require.ErrorIs(t, err, ErrUnavailable)
	require.Len(t, f.requests(), 1, "half a file must never be stored as a whole one")

	unread := &fake{}
	refusals := 0
	once := io.MultiReader(strings.NewReader("once"))
	dial := roundTripper(func(r *http.Request) (*http.Response, error) {
		if refusals++; refusals == 1 {
			return nil, errors.New("connection refused")
		}
		return unread.RoundTrip(r)
	})
	unread.answer = func(n int, r *http.Request) (*http.Response, error) { return stored(r, unread.seen[n-1].body), nil }
	_, err = clientOn(t, dial, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv", once)
	require.NoError(t, err, "nothing was read, so nothing is lost")
	require.Equal(t, "once", unread.requests()[0].body)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReopenMakesAStreamReadableAgain(t *testing.T) {
	f := failsOnce()
	opened, closed := 0, 0
	_, err := clientOn(t, f, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv",
		io.MultiReader(strings.NewReader("twice")),
		WithReopen(func() (io.ReadCloser, error) {
			opened++
			return closer{strings.NewReader("twice"), &closed}, nil
		}), WithSize(5))
	require.NoError(t, err)
	require.Equal(t, []string{"twice", "twice"}, []string{f.requests()[0].body, f.requests()[1].body})
	require.Equal(t, 1, opened)
	require.Equal(t, 1, closed, "what was opened is closed")
}

type closer struct {
	io.Reader
	n *int
}

func (c closer) Close() error { *c.n++; return nil }

func TestAReaderThatFailsIsNotAskedAgain(t *testing.T) {
	f := failsOnce()
	broken := io.MultiReader(strings.NewReader("part"), iotest.ErrReader(errors.New("disk gone")))
	f.answer = func(int, *http.Request) (*http.Response, error) { return nil, nil }
	sends := 0
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		sends++
		_, err := io.Copy(io.Discard, r.Body)
		return nil, err
	})
	_, err := clientOn(t, rt, WithRetryWait(0, 0)).Storage("ns").Upload(t.Context(), "a.csv", broken)
	require.ErrorContains(t, err, "disk gone")
	require.Equal(t, 1, sends)
}

func TestUploadConditionsBecomeHeaders(t *testing.T) {
	f := &fake{}
	f.answer = func(n int, r *http.Request) (*http.Response, error) { return stored(r, f.seen[n-1].body), nil }
	s := clientOn(t, f).Storage("ns")
	_, err := s.Upload(t.Context(), "Q1 (final)/a b.csv", strings.NewReader("x"), WithIfMatch(`"e1"`),
		WithContentType("text/csv"), WithIdempotencyKey("k"))
	require.NoError(t, err)
	_, err = s.Upload(t.Context(), "a.csv", strings.NewReader("x"), WithIfAbsent())
	require.NoError(t, err)
	first, second := f.requests()[0], f.requests()[1]
	require.Equal(t, "/v1/storage/namespaces/ns/files/Q1%20%28final%29%2Fa%20b.csv", first.path)
	require.Equal(t, []string{`"e1"`, "text/csv", "k"}, []string{first.header.Get("If-Match"),
		first.header.Get("Content-Type"), first.header.Get("Idempotency-Key")})
	require.Equal(t, "*", second.header.Get("If-None-Match"))
}

func TestAnUploadThatWasStoredShortIsAnError(t *testing.T) {
	_, err := clientOn(t, always(200, `{"sizeBytes":3}`)).Storage("ns").Upload(t.Context(), "a.csv",
		strings.NewReader("longer"))
	require.ErrorContains(t, err, "storage.incomplete_upload")
}

func TestStoragePathsAreRefusedBeforeARequest(t *testing.T) {
	f := always(200, `{}`)
	s := clientOn(t, f).Storage("ns")
	for _, path := range []string{"", "/a", "a/", "a//b", "../a", "a/./b", `a\b`, "a\x00b", "\xff"} {
		_, err := s.Upload(t.Context(), path, nil)
		require.ErrorIs(t, err, ErrInvalid, "%q", path)
		_, err = s.Open(t.Context(), path)
		require.ErrorIs(t, err, ErrInvalid, "%q", path)
		require.ErrorIs(t, s.Delete(t.Context(), path), ErrInvalid, "%q", path)
	}
	_, err := clientOn(t, f).Storage("../x").Stat(t.Context(), "a")
	require.ErrorIs(t, err, ErrInvalid)
	require.Empty(t, f.requests())
}

// serves a file as the contract says, and breaks off each body after some
// bytes.
func breaking(content string, after int, etag string) *fake {
	sum := sha256.Sum256([]byte(content))
	return &fake{answer: func(n int, r *http.Request) (*http.Response, error) {
		if m := r.Header.Get("If-Match"); m != "" && m != etag {
			return answered(412, refusalBody("storage.changed", "conflict")), nil
		}
		part, status, from := content, 200, 0
		if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			first, last, _ := strings.Cut(text, "-")
			from, _ = strconv.Atoi(first)
			part, status = content[from:], 206
			if last != "" {
				end, _ := strconv.Atoi(last)
				part = content[from : end+1]
			}
		}
		resp := answered(status, part, "ETag", etag, "Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":",
			"Content-Range", "bytes "+strconv.Itoa(from)+"-"+strconv.Itoa(from+len(part)-1)+"/"+strconv.Itoa(len(content)))
		if after > 0 && len(part) > after {
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(part[:after]),
				iotest.ErrReader(errors.New("connection reset"))))
		}
		return resp, nil
	}}
}

func TestABrokenDownloadIsTakenUpWhereItBroke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := breaking("0123456789", 4, `"v1"`)
		r, err := clientOn(t, f).Storage("ns").Open(t.Context(), "a.csv")
		require.NoError(t, err)
		defer r.Close()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "0123456789", string(got))
		require.Equal(t, []string{"", "bytes=4-9", "bytes=8-9"}, []string{
			f.requests()[0].header.Get("Range"), f.requests()[1].header.Get("Range"), f.requests()[2].header.Get("Range"),
		})
		require.Equal(t, `"v1"`, f.requests()[1].header.Get("If-Match"), "never parts of two files")
	})
}

func TestADownloadThatStaysBrokenIsAnError(t *testing.T) {
	for _, tc := range []struct {
		etag, why string
		requests  int
	}{
		{`"v1"`, "resumed as often as calls are retried", 3},
		{`W/"v1"`, "a weak ETag does not promise the same bytes", 1},
		{``, "nor does none", 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := breaking("0123456789", 1, tc.etag)
			_, err := clientOn(t, f).Storage("ns").Get(t.Context(), "a.csv")
			require.ErrorIs(t, err, ErrUnavailable, tc.why)
			require.ErrorContains(t, err, "storage.broken_download", tc.why)
			require.Len(t, f.requests(), tc.requests, tc.why)
		})
	}
}

func TestADownloadOfAFileThatChangesIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := breaking("0123456789", 4, `"v1"`), breaking("ABCDEFGHIJ", 0, `"v2"`)
		rt := roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Range") == "" {
				return first.RoundTrip(r)
			}
			return second.RoundTrip(r)
		})
		_, err := clientOn(t, rt).Storage("ns").Get(t.Context(), "a.csv")
		require.ErrorIs(t, err, ErrConflict)
	})
}

func TestDownloadsAreCheckedAgainstLengthAndDigest(t *testing.T) {
	corrupt := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		return answered(200, "tampered", "Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(make([]byte, 32))+":"),
			nil
	}}
	_, err := clientOn(t, corrupt).Storage("ns").Get(t.Context(), "a.csv")
	require.ErrorContains(t, err, "storage.corrupt_download")

	short := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		resp := answered(200, "short")
		resp.ContentLength = 9
		return resp, nil
	}}
	_, err = clientOn(t, short).Storage("ns").Get(t.Context(), "a.csv")
	require.ErrorContains(t, err, "broke off at byte 5")
}

func TestRangesAreAskedForAndChecked(t *testing.T) {
	f := breaking("0123456789", 0, `"v1"`)
	s := clientOn(t, f).Storage("ns")
	for _, tc := range []struct {
		offset, length int64
		want           string
	}{{2, 3, "234"}, {7, -1, "789"}, {0, 1, "0"}} {
		r, err := s.Open(t.Context(), "a.csv", WithRange(tc.offset, tc.length))
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, tc.want, string(got))
		require.Equal(t, int64(len(tc.want)), r.Length)
	}
	for _, bad := range [][2]int64{{-1, 3}, {0, 0}} {
		_, err := s.Open(t.Context(), "a.csv", WithRange(bad[0], bad[1]))
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err := clientOn(t, always(200, "all of it")).Storage("ns").Open(t.Context(), "a.csv", WithRange(2, 3))
	require.ErrorContains(t, err, "storage.range_ignored")
}

func TestAReaderThatIsClosedReadsNoMore(t *testing.T) {
	r, err := clientOn(t, always(200, "content")).Storage("ns").Open(t.Context(), "a.csv")
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.ErrorContains(t, err, "closed")
}

func TestGetHoldsNoMoreThanItsBound(t *testing.T) {
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		resp := answered(200, "")
		resp.ContentLength, resp.Body = maxHeldFile+1, io.NopCloser(zeros{})
		return resp, nil
	}}
	_, err := clientOn(t, f).Storage("ns").Get(t.Context(), "a.csv")
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestStatReadsTheDescriptionFromTheHeader(t *testing.T) {
	want := StorageObject{
		ID:          "o",
		Workspace:   "ns",
		LogicalPath: "报告/a.csv",
		Filename:    "a.csv",
		SizeBytes:   50 << 20,
		Source:      SourceDownload,
	}
	h := http.Header{}
	require.NoError(t, wire.EncodeObject(h, want))
	f := always(200, "", "Bctrl-Object", h.Get("Bctrl-Object"), "Content-Length", "52428800")
	got, err := clientOn(t, f).Storage("ns").Stat(t.Context(), want.LogicalPath)
	require.NoError(t, err)
	require.Equal(t, want, *got)
	require.Equal(t, http.MethodHead, f.requests()[0].method)

	f = always(200, "", "Content-Length", "52428800", "ETag", `"e"`, "Content-Type", "text/csv")
	got, err = clientOn(t, f).Storage("ns").Stat(t.Context(), "a.csv")
	require.NoError(t, err)
	require.Equal(t, StorageObject{
		Workspace:   "ns",
		LogicalPath: "a.csv",
		SizeBytes:   50 << 20,
		ETag:        `"e"`,
		ContentType: "text/csv",
	}, *got)
}

func TestBrowseMergesFilesAndFoldersByPath(t *testing.T) {
	f := inTurn(
		answered(200, `{"files":[{"logicalPath":"a.csv"},{"logicalPath":"c.csv"}],"folders":[{"path":"b/","fileCount":2}],`+
			`"nextCursor":"2"}`),
		answered(200, `{"files":[],"folders":[{"path":"d/"}],"nextCursor":null}`))
	var paths []string
	for item, err := range clientOn(t, f).Storage("ns").Browse(t.Context(), BrowseOptions{Prefix: "x/", Delimiter: "/"}) {
		require.NoError(t, err)
		require.Equal(t, item.File == nil, item.Folder != nil)
		paths = append(paths, item.Path)
	}
	require.Equal(t, []string{"a.csv", "b/", "c.csv", "d/"}, paths)
	require.Equal(t, "delimiter=%2F&limit=500&prefix=x%2F", f.requests()[0].query)
}

// TestStreamsStayStreams moves 1 GiB each way over a real connection and holds
// the process, client and test server together, to 32 MiB above where it was.
func TestStreamsStayStreams(t *testing.T) {
	const size, bound = 1 << 30, 32 << 20
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r.Body}, make([]byte, 256<<10))
			if err != nil {
				http.Error(w, "broken", http.StatusBadRequest)
				return
			}
			_, _ = io.WriteString(w, `{"sizeBytes":`+strconv.FormatInt(n, 10)+`}`) // the client checks it
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		// the client checks the length
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, size), make([]byte, 256<<10))
	}))
	defer srv.Close()
	c, err := New(WithAPIKey(NewSecret(testKey)), WithBaseURL(srv.URL))
	require.NoError(t, err)
	defer c.CloseIdleConnections()

	start, peak := heap(), uint64(0)
	watch := func() { peak = max(peak, heap()) }
	_, err = c.Storage("ns").Upload(t.Context(), "big", &watched{r: io.LimitReader(zeros{}, size), every: 8 << 20,
		f: watch}, WithSize(size))
	require.NoError(t, err)
	r, err := c.Storage("ns").Open(t.Context(), "big")
	require.NoError(t, err)
	defer r.Close()
	n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{&watched{r: r, every: 8 << 20, f: watch}},
		make([]byte, 256<<10))
	require.NoError(t, err)
	require.Equal(t, int64(size), n)
	require.Less(t, peak, start+bound)
}

// heap is how much memory the heap occupies, garbage included.
func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// watched calls f as bytes go by.
type watched struct {
	r       io.Reader
	every   int
	pending int
	f       func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if w.pending += n; w.pending >= w.every {
		w.pending = 0
		w.f()
	}
	return n, err
}

func TestACancelledDownloadSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := breaking("0123456789", 4, `"v1"`)
	r, err := clientOn(t, f).Storage("ns").Open(ctx, "a.csv")
	require.NoError(t, err)
	defer r.Close()
	cancel()
	_, err = io.ReadAll(r)
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, f.requests(), 1)
}

func TestAnAnswerWithoutFilesIsNotAnEmptyFolder(t *testing.T) {
	for _, answer := range []string{`{}`, `{"status":"ok"}`, `{"files":null,"folders":[],"nextCursor":null}`} {
		c := clientOn(t, always(200, answer))
		_, err := c.Storage("ns").BrowsePage(t.Context(), BrowseOptions{}, PageOptions{})
		requireRoute(t, err, "transport.bad_answer", answer)
		for _, err := range c.Vault.List(t.Context(), "") {
			requireRoute(t, err, "transport.bad_answer", answer)
		}
	}
}

func TestAnAnswerWithoutTheTextThatWasAskedForIsNone(t *testing.T) {
	c := clientOn(t, always(200, `{"ok":true}`))
	f := crmServer(map[string]string{
		"GET /v1/workspaces/ws-1/runtimes/crm/connect": `{}`,
		"POST /v1/workspaces/ws-1/runtimes/crm/tokens": `{}`,
	})
	_, rt := crm(t, f)
	for what, ask := range map[string]func() (string, error){
		"DownloadURL": func() (string, error) { return c.Storage("ns").DownloadURL(t.Context(), "a.csv", time.Minute) },
		"TOTP":        func() (string, error) { return c.Vault.TOTP(t.Context(), "k") },
		"ConnectURL":  func() (string, error) { return rt.ConnectURL(t.Context()) },
		"Connect":     func() (string, error) { _, err := rt.Connect(t.Context()); return "", err },
		"Token":       func() (string, error) { _, err := rt.Token(t.Context(), TokenRequest{}); return "", err },
	} {
		_, err := ask()
		requireRoute(t, err, "transport.bad_answer", what)
	}
}

package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/vectors"
)

func TestAFileComesBackAsItWasPut(t *testing.T) {
	h := newHarness(t)
	o := h.stored("sales", "exports/q1.csv", "a,b\n1,2\n", "Content-Type", "text/csv; charset=utf-8")
	require.Equal(t, "sales/exports/q1.csv", o.ObjectKey)
	require.Equal(t, "text/csv; charset=utf-8", o.ContentType)
	require.Equal(t, "q1.csv", o.Filename)
	require.Equal(t, bctrl.SourceUpload, o.Source)

	got := h.do("GET", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
	require.Equal(t, "a,b\n1,2\n", string(got.Body))
	require.Equal(t, "text/csv; charset=utf-8", got.Header.Get("Content-Type"))
	require.Equal(t, o.ETag, got.Header.Get("ETag"))
	head := h.do("HEAD", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusOK, head.Status)
	require.Equal(t, "8", head.Header.Get("Content-Length"))
	require.Empty(t, head.Body)

	require.Equal(t, http.StatusOK, h.do("DELETE", file("sales", "exports/q1.csv"), nil, nil).Status)
	gone := h.do("GET", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusNotFound, gone.Status)
	require.Equal(t, "storage.file_not_found", gone.code())
	require.Zero(t, h.kept(), "its bytes")
}

func TestAnOverwriteIsANewVersionAndLeavesNothingOfTheOld(t *testing.T) {
	h := newHarness(t)
	first := h.stored("sales", "a", "one")
	second := h.stored("sales", "a", "one")
	require.NotEqual(t, first.ID, second.ID)
	require.NotEqual(t, first.ETag, second.ETag, "the same bytes, yet another version")
	require.Equal(t, 1, h.kept())
	require.Equal(t, http.StatusNotFound, h.do("GET", []string{"storage", "objects", first.ID}, nil, nil).Status)
}

func TestRangesAndConditionsOfADownload(t *testing.T) {
	h := newHarness(t)
	o := h.stored("sales", "f", "0123456789")
	for _, tc := range []struct {
		why     string
		headers []string
		status  int
		body    string
	}{
		{"the beginning", []string{"Range", "bytes=0-3"}, 206, "0123"},
		{"from a place on", []string{"Range", "bytes=7-"}, 206, "789"},
		{"the end", []string{"Range", "bytes=-2"}, 206, "89"},
		{"past the end is cut", []string{"Range", "bytes=8-99"}, 206, "89"},
		{"nothing of it", []string{"Range", "bytes=10-"}, 416, ""},
		{"the last none", []string{"Range", "bytes=-0"}, 416, ""},
		{"the last none of the same version", []string{"Range", "bytes=-0", "If-Range", o.ETag}, 416, ""},
		{"the last none of what is known already", []string{"Range", "bytes=-0", "If-None-Match", o.ETag}, 304, ""},
		{"not a range", []string{"Range", "bytes=a-b"}, 416, ""},
		{"another unit is no range", []string{"Range", "lines=1-2"}, 200, "0123456789"},
		{"the rest of the same version", []string{"Range", "bytes=5-", "If-Range", o.ETag}, 206, "56789"},
		{"all of another version", []string{"Range", "bytes=5-", "If-Range", `"other"`}, 200, "0123456789"},
		{"known already", []string{"If-None-Match", o.ETag}, 304, ""},
		{"another is known", []string{"If-None-Match", `"other"`}, 200, "0123456789"},
		{"this version", []string{"If-Match", o.ETag}, 200, "0123456789"},
		{"any version", []string{"If-Match", "*"}, 200, "0123456789"},
		{"not this version", []string{"If-Match", `"other"`}, 412, ""},
		{"no version", []string{"If-Match", ""}, 412, ""},
		{"this version in the second line", []string{"If-Match", `"other"`, "If-Match", o.ETag}, 200, "0123456789"},
		{"known by the second line", []string{"If-None-Match", `"other"`, "If-None-Match", o.ETag}, 304, ""},
		{"a resumed download of what has changed", []string{"If-Match", `"other"`, "Range", "bytes=5-"}, 412, ""},
	} {
		got := h.do("GET", file("sales", "f"), nil, nil, tc.headers...)
		require.Equal(t, tc.status, got.Status, tc.why)
		if tc.status < 400 {
			require.Equal(t, tc.body, string(got.Body), tc.why)
			require.Equal(t, o.ETag, got.Header.Get("ETag"), tc.why)
			continue
		}
		require.NotEmpty(t, got.code(), "%s: a refusal is JSON: %s", tc.why, got.Body)
		require.Empty(t, got.Header.Get("ETag"), tc.why)
	}
	h.stored("sales", "empty", "")
	for spec, status := range map[string]int{
		"bytes=0-": 200, "bytes=0-9": 200, "bytes=-5": 200, "bytes=1-": 416, "bytes=5-9": 416,
		"bytes=99999999999999999999-": 416, "bytes=-0": 416,
	} {
		got := h.do("GET", file("sales", "empty"), nil, nil, "Range", spec)
		require.Equal(t, status, got.Status, "%s of an empty file", spec)
		if status == 416 {
			require.Equal(t, "bytes */0", got.Header.Get("Content-Range"))
			require.Equal(t, "storage.invalid_range", got.code())
		}
	}
	many := h.do("GET", file("sales", "f"), nil, nil, "Range", "bytes=0-0,9-9")
	require.Equal(t, 206, many.Status)
	require.Contains(t, many.Header.Get("Content-Type"), "multipart/byteranges")
}

func TestConditionsOfAChange(t *testing.T) {
	h := newHarness(t)
	require.Equal(t, 412, h.put("s", "f", "x", "If-Match", "*").Status, "there is none")
	first := h.stored("s", "f", "one", "If-None-Match", "*")
	refused := h.put("s", "f", "two", "If-None-Match", "*")
	require.Equal(t, 412, refused.Status)
	require.Equal(t, "storage.exists", refused.code())
	second := h.stored("s", "f", "two", "If-Match", `"other", `+first.ETag)
	stale := h.put("s", "f", "three", "If-Match", first.ETag)
	require.Equal(t, 412, stale.Status)
	require.Equal(t, 412, h.put("s", "f", "three", "If-Match", "W/"+second.ETag).Status, "a weak tag promises nothing")
	require.Equal(t, 412, h.put("s", "f", "three", "If-Match", "").Status, "no version is meant, and not any")
	require.Equal(t, 412, h.do("DELETE", file("s", "f"), nil, nil, "If-Match", "").Status)
	known := `"other", W/` + second.ETag
	require.Equal(t, 412, h.put("s", "f", "three", "If-None-Match", known).Status, "but says that it is known")
	require.Equal(t, 412, h.do("DELETE", file("s", "f"), nil, nil, "If-Match", first.ETag).Status)
	require.Equal(t, "two", string(h.do("GET", file("s", "f"), nil, nil).Body))
	require.Equal(t, 1, h.kept(), "refused uploads")
	require.Equal(t, 200, h.do("DELETE", file("s", "f"), nil, nil, "If-Match", second.ETag).Status)
	require.Equal(t, 404, h.do("DELETE", file("s", "f"), nil, nil).Status)
}

func TestPathsThatAreNoneAreRefusedAndOthersStayOneSegment(t *testing.T) {
	h := newHarness(t)
	list, err := vectors.StorageKeys()
	require.NoError(t, err)
	require.NotEmpty(t, list)
	for _, v := range list {
		got := h.put("s", v.Key, v.Key)
		if v.Valid {
			require.Equal(t, 200, got.Status, "%s: %s", v.Why, got.Body)
			require.Equal(t, v.Key, string(h.do("GET", file("s", v.Key), nil, nil).Body), v.Why)
		} else {
			require.Equal(t, 400, got.Status, "%s: %q", v.Why, v.Key)
		}
	}
	for _, path := range []string{"a%2Fb", "%2e%2e/x", "..a", "a?b#c&d", "a b+c", "q\"uote", "<script>", "~/.ssh", "a:b",
		"{ns}", "files/x/download-url"} {
		h.stored("s", path, path)
		require.Equal(t, path, string(h.do("GET", file("s", path), nil, nil).Body))
	}
	require.Equal(t, 404, h.do("GET", file("s", "a/b"), nil, nil).Status, "a%2Fb is a name, not a path")
	for _, ns := range []string{"-x", "a b", "a/b", "ä", "..", strings.Repeat("a", 129)} {
		require.Equal(t, 400, h.put(ns, "f", "x").Status, ns)
	}
}

func TestAPathIsBroughtToNFCAtTheBorder(t *testing.T) {
	h := newHarness(t)
	o := h.stored("s", "cafe\u0301/menu", "x")
	require.Equal(t, "caf\u00e9/menu", o.LogicalPath)
	require.Equal(t, 200, h.do("GET", file("s", "caf\u00e9/menu"), nil, nil).Status)
	require.Equal(t, 200, h.do("GET", file("s", "cafe\u0301/menu"), nil, nil).Status)
	require.Equal(t, 1, h.kept())
}

func TestATypeIsKeptWhenGivenAndElseSuggested(t *testing.T) {
	h := newHarness(t)
	png := "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
	for _, tc := range []struct{ given, content, want string }{
		{"text/csv", png, "text/csv"},
		{"application/x-made-up; q=1", "x", "application/x-made-up; q=1"},
		{"", png, "image/png"},
		{"application/octet-stream", png, "image/png"},
		{"", "<!DOCTYPE html><p>", "text/html; charset=utf-8"},
		{"", "", "text/plain"},
	} {
		headers := []string{}
		if tc.given != "" {
			headers = []string{"Content-Type", tc.given}
		}
		require.Equal(t, tc.want, h.stored("s", "f", tc.content, headers...).ContentType)
		require.Equal(t, tc.want, h.do("GET", file("s", "f"), nil, nil).Header.Get("Content-Type"))
	}
	for _, bad := range []string{"html", "text/html; x", "text/\u00fc", "text/" + strings.Repeat("x", 300)} {
		require.Equal(t, 400, h.put("s", "f", "x", "Content-Type", bad).Status, bad)
	}
}

func TestAJSONFileIsAFileAndNotARequest(t *testing.T) {
	h := newHarness(t)
	big := `["` + strings.Repeat("x", 2*web.MaxBody) + `"]`
	first := h.put("s", "f.json", big, "Content-Type", "application/json", "Idempotency-Key", "k")
	o := h.storedObject(first)
	require.EqualValues(t, len(big), o.SizeBytes)
	again := h.put("s", "f.json", big, "Content-Type", "application/json", "Idempotency-Key", "k")
	require.Equal(t, string(first.Body), string(again.Body), "one effect")
	require.Equal(t, 422, h.put("s", "f.json", big+" ", "Content-Type", "application/json", "Idempotency-Key", "k").Status)
	h.stored("s", "broken.json", `{"a":`, "Content-Type", "application/json")
}

func TestAKeyWasUsedForTheContentThatWasSentWithIt(t *testing.T) {
	h := newHarness(t)
	for what, send := range map[string]func(content string) answer{
		"a file": func(content string) answer { return h.put("s", "f", content, "Idempotency-Key", "k") },
		"a form": func(content string) answer {
			return h.post([]string{"workspace", "s", "path", "form", "file", content}, "Idempotency-Key", "l")
		},
		"a field of a form": func(content string) answer {
			return h.post([]string{"workspace", "s", "path", "field", "target", content, "file", "x"}, "Idempotency-Key", "m")
		},
	} {
		t.Run(what, func(t *testing.T) {
			first := send("one")
			require.Equal(t, 200, first.Status)
			for range 2 {
				other := send("two") // as long
				require.Equal(t, 422, other.Status, "nothing of it is stored")
				require.Equal(t, "request.idempotency_mismatch", other.code())
				again := send("one")
				require.Equal(t, string(first.Body), string(again.Body), "one effect")
			}
		})
	}
	require.Equal(t, "one", string(h.do("GET", file("s", "f"), nil, nil).Body))
	require.Equal(t, 3, h.kept())
}

func TestAKeyIsNotUsedForOtherConditions(t *testing.T) {
	h := newHarness(t)
	h.stored("s", "f", "x", "If-None-Match", `"other"`, "Idempotency-Key", "k")
	h.stored("s", "f", "x", "If-None-Match", `"other"`, "Idempotency-Key", "k")
	for why, more := range map[string][]string{
		"an empty one": {"If-Match", ""}, "a second line": {"If-None-Match", "*"},
	} {
		got := h.put("s", "f", "x", append([]string{"If-None-Match", `"other"`, "Idempotency-Key", "k"}, more...)...)
		refused(t, got, 422, "request.idempotency_mismatch", why)
	}
}

func TestADigestThatIsSentIsHeld(t *testing.T) {
	h := newHarness(t)
	sum := sha256.Sum256([]byte("content"))
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	for _, name := range []string{"Repr-Digest", "Content-Digest"} {
		h.stored("s", "f", "content", name, "md5=:AAAA:, "+digest)
		h.stored("s", "f", "content", name, digest, "Idempotency-Key", name)
		for _, headers := range [][]string{{name, digest}, {name, digest, "Idempotency-Key", name}} {
			refused := h.put("s", "f", "c0ntent", headers...)
			require.Equal(t, 400, refused.Status)
			require.Equal(t, "storage.digest_mismatch", refused.code(), "also of content that the key was not used for")
		}
	}
	require.Equal(t, 400, h.put("s", "f", "content", "Repr-Digest", "sha-256=:AAAA:").Status)
	other := "sha-256=:" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":"
	for _, headers := range [][]string{{"Repr-Digest", digest, "Content-Digest", other},
		{"Repr-Digest", digest + ", " + other}} {
		refused := h.put("s", "f", "content", headers...)
		require.Equal(t, "storage.invalid_digest", refused.code(), "it cannot have both")
	}
	require.Equal(t, 400, h.put("s", "f", "content", "Repr-Digest", "sha-256="+strings.Trim(digest[8:], ":")).Status)
	got := h.do("GET", file("s", "f"), nil, nil)
	require.Equal(t, "content", string(got.Body), "what was refused replaced nothing")
	require.Equal(t, digest, got.Header.Get("Repr-Digest"))
	require.Equal(t, 1, h.kept())
}

func TestAFileOverTheLimitIsRefusedWhole(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxFile = 10 })
	require.Equal(t, 200, h.put("s", "f", "0123456789").Status)
	declared := h.put("s", "g", "0123456789a")
	require.Equal(t, 413, declared.Status)
	require.Equal(t, "storage.too_large", declared.code())
	undeclared := h.send("PUT", target(file("s", "g"), nil), struct{ *bytes.Reader }{bytes.NewReader(make([]byte, 11))},
		"Authorization", "Bearer "+h.key, "Transfer-Encoding", "chunked")
	require.Equal(t, 413, undeclared.Status)
	require.Equal(t, 400, h.put("s", "g", "x", "Content-Range", "bytes 0-0/9").Status, "a part is not a file")
	require.Equal(t, 400, h.put("s", "g", "x", "Content-Encoding", "gzip").Status)
	require.Equal(t, 1, h.kept())
}

// inert fails the test when a browser could show or run the answer.
func inert(t *testing.T, a answer) {
	t.Helper()
	require.Regexp(t, "^attachment; ", a.Header.Get("Content-Disposition"))
	require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "sandbox; default-src 'none'", a.Header.Get("Content-Security-Policy"))
	require.Equal(t, "same-origin", a.Header.Get("Cross-Origin-Resource-Policy"))
	require.Empty(t, a.Header.Values("Set-Cookie"))
	require.Contains(t, a.Header.Get("Cache-Control"), "private")
}

func TestNoDownloadExecutesInABrowser(t *testing.T) {
	h := newHarness(t)
	for _, contentType := range []string{"text/html", "image/svg+xml", "text/javascript", "application/xhtml+xml",
		"application/pdf", "text/xml"} {
		h.stored("s", "evil", "<script>alert(1)</script>", "Content-Type", contentType)
		for _, headers := range [][]string{nil, {"Range", "bytes=0-3"}, {"If-None-Match", `"x"`}} {
			got := h.do("GET", file("s", "evil"), nil, nil, headers...)
			require.Equal(t, contentType, got.Header.Get("Content-Type"), "its own type, never sniffed")
			inert(t, got)
		}
	}
}

func TestARuntimeReachesItsOwnNamespaceAlone(t *testing.T) {
	h := newHarness(t)
	rt := h.launch(h.workspace("sales", sales()), "crm", nil)
	mine := h.stored("sales-exports", "mine", "mine")
	other := h.stored("hr", "theirs", "theirs")

	require.Equal(t, "mine", string(h.do("GET", file("sales-exports", "mine"), nil, nil, as(rt)...).Body))
	made := h.stored("sales-exports", "made", "made", as(rt)...)
	require.Equal(t, rt.ID, made.RuntimeID)
	require.Equal(t, 404, h.do("GET", file("sales-exports", "missing"), nil, nil, as(rt)...).Status, "inside its mounts")

	same := func(why string, a, b answer) {
		t.Helper()
		require.Equal(t, 403, a.Status, why)
		require.Equal(t, besidesID(a), besidesID(b), why)
	}
	for _, method := range []string{"GET", "DELETE", "PUT"} {
		same(method, h.do(method, file("hr", "theirs"), nil, nil, as(rt)...), h.do(method, file("hr", "missing"), nil, nil,
			as(rt)...))
	}
	for _, route := range [][]string{{}, {"presign-download"}} {
		at := func(id string) answer {
			return h.do("GET", append([]string{"storage", "objects", id}, route...), nil, nil, as(rt)...)
		}
		require.Equal(t, 200, at(mine.ID).Status)
		same("by id", at(other.ID), at(web.NewID()))
	}
	same("deleted by id", h.do("DELETE", []string{"storage", "objects", other.ID}, nil, nil, as(rt)...),
		h.do("DELETE", []string{"storage", "objects", web.NewID()}, nil, nil, as(rt)...))
	require.Equal(t, 404, h.do("GET", []string{"storage", "objects", web.NewID()}, nil, nil).Status,
		"an organization may know")
	require.Equal(t, 403, h.do("GET", []string{"storage", "namespaces", "hr", "browse"}, nil, nil, as(rt)...).Status)
	require.Equal(t, 403, h.do("GET", append(file("hr", "theirs"), "download-url"), nil, nil, as(rt)...).Status)

	dropped := as(rt, `{"storage":{"access":"none"}}`)
	require.Equal(t, 403, h.do("GET", file("sales-exports", "mine"), nil, nil, dropped...).Status)
	require.Equal(t, 403, h.do("GET", []string{"storage", "objects", mine.ID}, nil, nil, dropped...).Status)
	require.Equal(t, 403, h.do("GET", []string{"storage", "objects"}, nil, nil, dropped...).Status)
}

// besidesID is an answer without what differs between any two.
func besidesID(a answer) string {
	body := strings.ReplaceAll(string(a.Body), a.Header.Get("x-request-id"), "")
	header := a.Header.Clone()
	header.Del("x-request-id")
	text, _ := json.Marshal(header)
	return body + string(text)
}

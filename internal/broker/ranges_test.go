package broker

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ranges serves bytes that take ranges, what echoes says of the request among
// them.
func ranges(t *testing.T, content func(r *http.Request) string) (*Broker, string) {
	return provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content(r)))
	})
}

func ask(t require.TestingT, c *Client, base, asked string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(http.MethodGet, base, nil)
	require.NoError(t, err)
	if asked != "" {
		req.Header.Set("Range", asked)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// TestAnEchoedKeyIsNotHadInPieces puts what ranges of every size give together.
func TestAnEchoedKeyIsNotHadInPieces(t *testing.T) {
	encodings := map[string]func(string) string{
		"plain":    func(v string) string { return v },
		"percents": func(v string) string { return "%" + strings.ReplaceAll(fmt.Sprintf("% x", v), " ", "%") },
		"utf-16":   func(v string) string { return strings.Join(strings.Split(v, ""), "\x00") + "\x00" },
		"base64 as entities in utf-16": func(v string) (out string) {
			for _, c := range base64.StdEncoding.EncodeToString([]byte(v + v))[:len(v)*4/3] {
				for _, c := range fmt.Sprintf(`&amp;#x%04x;\r\n`, c) {
					out += string(c) + "\x00"
				}
			}
			return out
		},
	}
	for name, encode := range encodings {
		b, base := ranges(t, func(r *http.Request) string {
			return "0123456789 " + encode(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) + " the end"
		})
		c := client(t, b, Target{BaseURL: base})
		_, whole, err := ask(t, c, base, "")
		require.NoError(t, err)
		size := 11 + len(encode(canary)) + 8
		for _, step := range []int{1, 8, 20} {
			var all []byte
			for at := 0; at < size; at += step {
				resp, part, err := ask(t, c, base, fmt.Sprintf("bytes=%d-%d", at, at+step-1))
				require.NoError(t, err)
				require.Equal(t, http.StatusPartialContent, resp.StatusCode)
				all = append(all, part...)
			}
			require.Len(t, all, size)
			require.False(t, bytes.Contains(all, []byte(encode(canary)[:6])), "%s by %d", name, step)
			require.True(t, bytes.HasPrefix(all, []byte("0123456789 [secret]")), "%s by %d", name, step)
			require.True(t, bytes.HasSuffix(all, []byte(" the end")))
			require.False(t, bytes.Contains(whole, []byte(encode(canary)[:6])))
		}
	}
}

// TestARangeIsWhatWasAskedFor compares with what net/http answers by itself.
func TestARangeIsWhatWasAskedFor(t *testing.T) {
	content := strings.Repeat("0123456789", 300)
	b, base := ranges(t, func(*http.Request) string { return content })
	kept, signed := client(t, b, Target{BaseURL: base}),
		client(t, b, func() Target { s := signing(); s.BaseURL = base; return s }())
	rapid.Check(t, func(t *rapid.T) {
		first, n := rapid.IntRange(0, 3100).Draw(t, "first"), rapid.IntRange(0, 3100).Draw(t, "n")
		asked := rapid.SampledFrom([]string{fmt.Sprintf("bytes=%d-%d", first, first+n), fmt.Sprintf("bytes=%d-", first),
			fmt.Sprintf("bytes=-%d", n+1)}).Draw(t, "asked")
		mine, part, err := ask(t, kept, base, asked)
		require.NoError(t, err)
		theirs, want, err := ask(t, signed, base, asked)
		require.NoError(t, err)
		require.Equal(t, theirs.StatusCode, mine.StatusCode, asked)
		require.Equal(t, theirs.Header.Get("Content-Range"), mine.Header.Get("Content-Range"), asked)
		if mine.StatusCode == http.StatusPartialContent {
			require.Equal(t, theirs.ContentLength, mine.ContentLength)
			require.True(t, bytes.Equal(want, part), asked)
		}
	})
}

func TestPartsThatNobodyCanLookThroughAreRefused(t *testing.T) {
	b, base := ranges(t, func(*http.Request) string { return strings.Repeat("x", 100) })
	c := client(t, b, Target{BaseURL: base})
	for _, asked := range []string{"bytes=0-1,5-6", "bytes=5-1", "bytes=-", "bytes=x-1", "bytes=-0", "bytes",
		"bytes=1-2;3", "bytes=99999999999999999999-"} {
		_, _, err := ask(t, c, base, asked)
		require.ErrorIs(t, err, ErrRange, asked)
	}
	_, _, err := ask(t, client(t, b, Target{BaseURL: base, Unpack: true}), base, "bytes=1-")
	require.ErrorIs(t, err, ErrRange, "fields are hidden")
	resp, _, err := ask(t, c, base, "items=0-24")
	require.NoError(t, err, "a page of things is whole")
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, resp.StatusCode)

	unasked, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", r.Header.Get("X-Answer"))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, "part")
	})
	for answer, refused := range map[string]bool{"bytes 1-4/9": true, "items 1-4/9": false, "": false} {
		req := request(t, t.Context(), base)
		req.Header.Set("X-Answer", answer)
		req.Header.Set("X-Ms-Range", "bytes=1-4")
		resp, err := client(t, unasked, Target{BaseURL: base}).Do(req)
		if refused {
			require.ErrorIs(t, err, ErrAnswer, answer)
			continue
		}
		require.NoError(t, err, answer)
		require.NoError(t, resp.Body.Close())
	}
	packed, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(pack(t, []byte(canary), "gzip")))
	})
	_, _, err = ask(t, client(t, packed, Target{BaseURL: base}), base, "bytes=0-3")
	require.ErrorIs(t, err, ErrAnswer)
	s := signing()
	s.BaseURL = base
	resp, _, err = ask(t, client(t, packed, s), base, "bytes=0-3,6-7")
	require.NoError(t, err)
	require.Equal(t, http.StatusPartialContent, resp.StatusCode, "what is signed has no key to give away")
}

func TestFieldsHideInNoOtherEncoding(t *testing.T) {
	text := strings.Join(strings.Split(`{"email":"a@b"}`, ""), "\x00") + "\x00"
	r, ok := NewRedactor([]string{"email"}).Reader(strings.NewReader(text), "application/json")
	require.True(t, ok)
	got, err := io.ReadAll(r)
	require.ErrorIs(t, err, ErrAnswer)
	require.Empty(t, got)
}

func TestWhatIsSaidOfARangeIsOfTheOneAskedFor(t *testing.T) {
	b, base := ranges(t, func(*http.Request) string { return strings.Repeat("x", 10_000) })
	req, err := http.NewRequest(http.MethodHead, base, nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=5000-5009")
	resp, err := client(t, b, Target{BaseURL: base}).Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 10, resp.ContentLength)
	require.Equal(t, "bytes 5000-5009/10000", resp.Header.Get("Content-Range"))
}

// TestADigestOfMoreThanWasAskedForIsNotPassedOn: a digest of the content is of the range that came.
func TestADigestOfMoreThanWasAskedForIsNotPassedOn(t *testing.T) {
	content := strings.Repeat("0123456789", 300)
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Repr-Digest", "sha-256=:"+base64Of(content)+":")
		var first, last int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		h.Set("Content-Digest", "sha-256=:"+base64Of(content[first:last+1])+":")
		h.Set("Content-Md5", "of the range")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	kept, err := b.Client(Target{BaseURL: base, Auth: header("X-Key", "{key}"), Secrets: secrets("key", "key-0123")})
	require.NoError(t, err)
	s := signing()
	s.BaseURL = base
	for _, c := range []*Client{kept, client(t, b, s)} {
		resp, part, err := ask(t, c, base, "bytes=1000-1009")
		require.NoError(t, err)
		require.Equal(t, "0123456789", string(part))
		if sent := resp.Header.Get("Content-Digest"); sent != "" {
			require.Equal(t, "sha-256=:"+base64Of(string(part))+":", sent)
		}
		require.Equal(t, c == kept, resp.Header.Get("Content-Md5") == "")
		require.Equal(t, "sha-256=:"+base64Of(content)+":", resp.Header.Get("Repr-Digest"), "of the whole")
	}
}

func base64Of(content string) string {
	sum := sha256.Sum256([]byte(content))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestAPartComesOfWhatIsNotPacked is about clients that accept codings in every
// request, of servers that pack what they send.
func TestAPartComesOfWhatIsNotPacked(t *testing.T) {
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "identity") // as some say of what is not packed
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	})
	req, err := http.NewRequest(http.MethodGet, base, nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=2-4")
	req.Header.Set("Accept-Encoding", "gzip, deflate")
	resp, err := client(t, b, Target{BaseURL: base}).Do(req)
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "234", string(got))
}

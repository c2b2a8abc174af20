package broker

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// packings write a body in a content coding.
var packings = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"deflate": func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"br":      func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err)
		}
		return z
	},
}

func pack(t *testing.T, text []byte, codings ...string) []byte {
	t.Helper()
	for _, name := range codings {
		var out bytes.Buffer
		w := packings[name](&out)
		_, err := w.Write(text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		text = out.Bytes()
	}
	return text
}

// keptAs serves a body with a header, as an object that is kept somewhere.
func keptAs(
	t *testing.T, body []byte, sized bool, header map[string]string, target Target,
) (*http.Response, []byte, error) {
	t.Helper()
	b, base := provider(t, func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		if sized {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		} else {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(body)
	})
	target.BaseURL = base
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
	require.NoError(t, err)
	resp, err := client(t, b, target).Do(req)
	if err != nil {
		return nil, nil, err
	}
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, resp.Body.Close())
	return resp, got, err
}

// TestWhatIsKeptPackedComesBackToTheByte holds for each coding, large and small,
// with a length and without, for credentials that are sent and that sign.
func TestWhatIsKeptPackedComesBackToTheByte(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1<<20) // well beyond the first look
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	texts := map[string][]byte{
		"small":    []byte("hello"),
		"empty":    {},
		"repeated": bytes.Repeat([]byte("hello world "), 100_000),
		"noise":    noise,
	}
	for _, codings := range [][]string{{"gzip"}, {"deflate"}, {"br"}, {"zstd"}, {"gzip", "br"}, {"gzip", "gzip"}} {
		for name, text := range texts {
			body := pack(t, text, codings...)
			for _, sized := range []bool{true, false} {
				for _, target := range []Target{{}, signing()} {
					why := fmt.Sprintf("%v %s sized=%v %s", codings, name, sized, target.Auth.Type)
					header := map[string]string{
						"Content-Encoding":     strings.Join(codings, ", "),
						"Content-Type":         "text/plain",
						"Etag":                 `"abc"`,
						"Cache-Control":        "max-age=60",
						"Content-Disposition":  "attachment",
						"Vary":                 "Accept-Encoding",
						"Last-Modified":        "Mon, 02 Jan 2006 15:04:05 GMT",
						"X-Amz-Checksum-Crc32": "AAAAAA==",
					}
					resp, got, err := keptAs(t, body, sized, header, target)
					require.NoError(t, err, why)
					require.True(t, bytes.Equal(body, got), why)
					for h, value := range header {
						require.Equal(t, value, resp.Header.Get(h), why)
					}
					if sized {
						require.EqualValues(t, len(body), resp.ContentLength, why)
					}
				}
			}
		}
	}
}

// TestASecretInAPackedAnswerIsTakenOut unpacks such an answer, where it can be
// seen at its beginning, and ends it elsewhere.
func TestASecretInAPackedAnswerIsTakenOut(t *testing.T) {
	for coding := range packings {
		for _, kind := range []string{"text/plain", "application/json", "text/event-stream"} {
			for _, sized := range []bool{true, false} {
				body := pack(t, []byte("data: "+canary+"\n\n"), coding)
				resp, got, err := keptAs(t, body, sized, map[string]string{
					"Content-Encoding": coding,
					"Content-Type":     kind,
					"Etag":             "x",
				}, Target{})
				require.NoError(t, err)
				require.Equal(t, "data: [secret]\n\n", string(got), coding)
				require.Empty(t, resp.Header.Get("Content-Encoding"))
				require.Empty(t, resp.Header.Get("Etag"), "it is another body")
				require.EqualValues(t, -1, resp.ContentLength)
			}
		}
		noise := make([]byte, 1<<20)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		body := pack(t, slices.Concat(noise, []byte(canary)), coding)
		_, got, err := keptAs(t, body, true, map[string]string{"Content-Encoding": coding}, Target{})
		require.ErrorIs(t, err, ErrAnswer, coding)
		require.Less(t, len(got), len(body))
		unpacked, _ := findCoding(coding)
		r, err := unpacked.open(bufio.NewReader(bytes.NewReader(got)))
		if err == nil {
			text, _ := io.ReadAll(r)
			require.False(t, bytes.Contains(text, []byte(canary[:8])), "not a piece of it")
		}
	}
}

func TestAFileOfPackedTextIsLookedInto(t *testing.T) {
	header := map[string]string{"Content-Type": "application/gzip"}
	clean, secret := pack(t, []byte("log"), "gzip"), pack(t, []byte("log "+canary), "gzip")
	_, got, err := keptAs(t, clean, true, header, Target{})
	require.NoError(t, err)
	require.True(t, bytes.Equal(clean, got))
	_, _, err = keptAs(t, secret, true, header, Target{})
	require.ErrorIs(t, err, ErrAnswer)
	_, got, err = keptAs(t, []byte("no gzip at all"), true, header, Target{})
	require.NoError(t, err)
	require.Equal(t, "no gzip at all", string(got))
}

// TestWhatIsNotPackedAsItSaysPassesWhereNothingWasSent and is refused where a
// key was: nobody could see it.
func TestWhatIsNotPackedAsItSaysPassesWhereNothingWasSent(t *testing.T) {
	large := bytes.Repeat([]byte("plain "), 40_000)
	for _, c := range []struct {
		why, coding string
		body        []byte
	}{
		{"another coding", "gzip", []byte("plain")},
		{"nothing knows it", "compress", []byte("plain")},
		{"cut short", "gzip", pack(t, large, "gzip")[:100]},
		{"more behind it", "zstd", append(pack(t, []byte("x"), "zstd"), "trailing"...)},
		{"too many", "gzip, gzip, gzip", pack(t, []byte("x"), "gzip", "gzip", "gzip")},
	} {
		header := map[string]string{"Content-Encoding": c.coding}
		_, got, err := keptAs(t, c.body, true, header, signing())
		require.NoError(t, err, c.why)
		require.True(t, bytes.Equal(c.body, got), c.why)
		_, _, err = keptAs(t, c.body, true, header, Target{})
		require.ErrorIs(t, err, ErrAnswer, c.why)
	}
	_, _, err := keptAs(t, []byte(awsKey+" in plain text"), true, map[string]string{"Content-Encoding": "gzip"}, signing())
	require.ErrorIs(t, err, ErrAnswer, "what was not packed is seen all the same")
}

// TestAPackedBodyIsReadInAnyPieces reads what comes byte by byte.
func TestAPackedBodyIsReadInAnyPieces(t *testing.T) {
	set := scrub.New(bctrl.NewSecret(canary))
	for name := range packings {
		c, _ := findCoding(name)
		body := pack(t, bytes.Repeat([]byte("hello"), 10_000), name)
		p, _, err := newPacked(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), []coding{c}, set, true)
		require.NoError(t, err)
		got, err := io.ReadAll(iotest.OneByteReader(p))
		require.NoError(t, err)
		require.True(t, bytes.Equal(body, got), name)
		body = pack(t, []byte("hello "+canary), name)
		_, first, err := newPacked(t.Context(), iotest.OneByteReader(bytes.NewReader(body)), []coding{c}, set, true)
		require.ErrorIs(t, err, errHeld)
		require.True(t, bytes.HasPrefix(body, first))
	}
}

func TestNoBodyIsPackedAsAnything(t *testing.T) {
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "gzip, br"} {
		for _, unpack := range []bool{false, true} {
			for _, sized := range []bool{false, true} {
				_, got, err := keptAs(t, nil, sized, map[string]string{"Content-Encoding": coding, "Content-Type": "text/plain"},
					Target{Unpack: unpack})
				require.NoError(t, err, coding)
				require.Empty(t, got)
			}
		}
	}
}

// TestBareDeflateIsLookedInto is about servers that leave out what zlib puts
// around it.
func TestBareDeflateIsLookedInto(t *testing.T) {
	for _, text := range []string{"hello hello", canary} {
		var body bytes.Buffer
		w, err := flate.NewWriter(&body, flate.BestCompression)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		_, got, err := keptAs(t, body.Bytes(), true,
			map[string]string{"Content-Encoding": "deflate", "Content-Type": "text/plain"}, Target{})
		require.NoError(t, err)
		if text == canary {
			require.True(t, string(got) == scrub.Mark)
		} else {
			require.True(t, bytes.Equal(body.Bytes(), got))
		}
	}
}

// TestNobodyLooksOnOnceTheCallHasEnded has a little say a lot, of which nothing
// more is unpacked.
func TestNobodyLooksOnOnceTheCallHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c, _ := findCoding("gzip")
	_, _, err := newPacked(ctx, bytes.NewReader(pack(t, make([]byte, 4<<20), "gzip")), []coding{c},
		scrub.New(bctrl.NewSecret(canary)), true)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWhoReadsAnAnswerGetsItUnpacked(t *testing.T) {
	body := pack(t, []byte(`{"a":1}`), "gzip")
	resp, got, err := keptAs(t, body, true,
		map[string]string{"Content-Encoding": "gzip", "Etag": "x"}, Target{Unpack: true})
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(got))
	require.Empty(t, resp.Header.Get("Content-Encoding"))
}

func TestCodingsThatCanBeLookedIntoAreAskedFor(t *testing.T) {
	b, base, last := recording(t)
	for asked, want := range map[string]string{
		"":                        "identity",
		"gzip":                    "gzip",
		"gzip, deflate, br, zstd": "gzip, deflate, br, zstd",
		"compress, gzip;q=0.5, *": "gzip;q=0.5",
		"dcb":                     "identity",
		"identity":                "identity",
	} {
		req := request(t, t.Context(), base)
		if asked != "" {
			req.Header.Set("Accept-Encoding", asked)
		}
		send(t, client(t, b, Target{BaseURL: base}), req)
		require.Equal(t, want, last.header.Get("Accept-Encoding"), asked)
	}
}

package page_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestNoAddressIsTakenForAnotherOrigin compares mutated addresses with what Chromium makes
// of them: where a login may go by our reading, Chromium's must be of that origin, or of that
// pattern.
// BCTRL_FUZZ_ORIGINS says how many, BCTRL_FUZZ_SEED which.
func TestNoAddressIsTakenForAnotherOrigin(t *testing.T) {
	t.Parallel()
	_, p, b := openPage(t)
	ctx := t.Context() // millions take longer than a test has else
	count, seed := 100_000, uint64(time.Now().UnixNano())
	if text := os.Getenv("BCTRL_FUZZ_ORIGINS"); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	if text := os.Getenv("BCTRL_FUZZ_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, seed))
	s := browsertest.NewSite(t, map[string]string{"/": "here"})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	defer o.Leave()
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	tree, err := protocol.Call(ctx, tab, cdppage.GetFrameTree, cdp.Empty{})
	require.NoError(t, err)
	world, err := protocol.Call(ctx, tab, cdppage.CreateIsolatedWorld, cdppage.CreateIsolatedWorldParams{
		FrameID: tree.FrameTree.Frame.ID, WorldName: "test",
	})
	require.NoError(t, err)
	browsers := func(ctx context.Context, urls []string) (origins []string) {
		list, err := json.Marshal(urls)
		require.NoError(t, err)
		value := true
		got, err := protocol.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{
			ContextID: world.ExecutionContextID, ReturnByValue: &value,
			Expression: string(list) + `.map(u => { try { return new URL(u).origin } catch { return '' } })`,
		})
		require.NoError(t, err)
		require.Nil(t, got.ExceptionDetails)
		require.NoError(t, json.Unmarshal(got.Result.Value, &origins))
		require.Len(t, origins, len(urls))
		return origins
	}
	logins := []string{
		"https://bank.example", "http://bank.example:8080", "https://a.bank.example", "https://[2001:db8::1]",
		"https://b.bank.example:8443", "https://c.a.bank.example",
	}
	// What a pattern means, written down another way than where it is matched.
	patterns := map[string]*regexp.Regexp{
		"https://*.bank.example":      regexp.MustCompile(`^https://[^./:@]+\.bank\.example$`),
		"https://*.bank.example:8443": regexp.MustCompile(`^https://[^./:@]+\.bank\.example:8443$`),
		"https://*.a.bank.example":    regexp.MustCompile(`^https://[^./:@]+\.a\.bank\.example$`),
	}
	yes, byPattern := 0, map[string]int{}
	for done := 0; done < count; {
		urls := make([]string, min(20_000, count-done))
		for i := range urls {
			urls[i] = mutatedURL(random, logins)
		}
		for i, is := range browsers(ctx, urls) {
			if entry, err := bctrl.ParseOrigin(urls[i]); err == nil {
				require.Equal(t, entry, is, "%q is an entry's origin", urls[i])
			}
			read := fill.CanonicalOrigin(urls[i])
			for pattern, means := range patterns {
				f := browser.Fill{Patterns: []string{pattern}}
				if fill.MayGoTo(f, read) {
					byPattern[pattern]++
					require.Regexp(t, means, is, "%q is taken for one of %s", urls[i], pattern)
				}
			}
			for _, at := range logins {
				if fill.MayGoTo(browsertest.Login("password", browsertest.Hunter, at), read) {
					yes++
					require.Equal(t, at, is, "%q is taken for %s", urls[i], at)
				}
			}
		}
		done += len(urls)
	}
	require.NotZero(t, yes, "some addresses are where a login may go")
	for pattern := range patterns {
		require.NotZero(t, byPattern[pattern], "some addresses are of %s", pattern)
	}
	t.Logf("%d addresses, %d of them where a login may go, by pattern %v, 0 unsafe", count, yes, byPattern)
}

// mutatedURL returns an address of one of some origins with a few changes that browsers
// and libraries are known to read differently.
func mutatedURL(random *rand.Rand, origins []string) string {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	text := pick(origins...) + pick("", "/", "/login", "?x=1", "#top", ":443", ":80", ":0443", ":8080",
		"@evil.example/", ".")
	for range random.IntN(4) {
		at := random.IntN(len(text) + 1)
		switch random.IntN(4) {
		case 0:
			text = text[:at] + pick("@", ":", "/", "\\", "?", "#", ".", "%", "%2e", "%40", "%2f", "%00", "\t", "\n", " ",
				"[", "]", "\u3002", "\uff0f", "\u00ad", "\u200d", "\u212a", "\u0430", "\u00df", "evil.example", "xn--", "0x", ";",
				"&",
				"|", "^", "user:pw@", "https:", "blob:", "//") + text[at:]
		case 1:
			text = text[:at] + text[min(len(text), at+1+random.IntN(3)):]
		case 2:
			text = text[:at] + strings.ToUpper(text[at:])
		default:
			text = text[:at] + string(rune(random.IntN(256))) + text[at:]
		}
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

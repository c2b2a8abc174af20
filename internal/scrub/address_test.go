package scrub

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnAddressIsKeptWithoutWhatMayBeACredential(t *testing.T) {
	const site = "https://crm.example.com/deals"
	for _, c := range []struct{ address, want, why string }{
		{site, site, "nothing to mask"},
		{site + "?q=red+shoes&page=2&sort=-created", site + "?q=red+shoes&page=2&sort=-created", "a search"},
		{site + "?from=2026-01-01&to=2026-01-31T00:00:00Z", site + "?from=2026-01-01&to=2026-01-31T00:00:00Z", "times"},
		{site + "?code=DE&state=open&key=name", site + "?code=DE&state=open&key=name", "words of harmless things, too"},
		{site + "?report=q1-2026-pipeline-by-owner", site + "?report=q1-2026-pipeline-by-owner", "a long text of words"},
		{site + "?dealId=0198f3c0-6a3c-7f1e-8c1d-3b2a5d9e4f60", site + "?dealId=0198f3c0-6a3c-7f1e-8c1d-3b2a5d9e4f60",
			"what somebody works on"},
		{site + "?a&b=&c", site + "?a&b=&c", "names alone"},
		{site + "#/open/17", site + "#/open/17", "a place in an application"},
		{site + "?token=abc", site + "?token=[secret]", "its name says so"},
		{site + "?page=2&accessToken=abc&x=1", site + "?page=2&accessToken=[secret]&x=1", "a word of its name says so"},
		{site + "?SAMLResponse=PHNhbWw", site + "?SAMLResponse=[secret]", "single sign-on"},
		{site + "?PHPSESSID=abc", site + "?PHPSESSID=[secret]", "a session"},
		{site + "?X-Amz-Credential=AKIA&X-Amz-Date=20260101T000000Z&X-Amz-Signature=ab",
			site + "?X-Amz-Credential=[secret]&X-Amz-Date=20260101T000000Z&X-Amz-Signature=[secret]", "a signed address"},
		{site + "?to%6Ben=abc", site + "?to%6Ben=[secret]", "its name, written otherwise"},
		{site + "?code=4b0Ad8f1c2e97755aa01", site + "?code=[secret]", "it looks like one"},
		{site + "?session=0198f3c0-6a3c-7f1e-8c1d-3b2a5d9e4f60", site + "?session=[secret]", "a UUID that is no id"},
		{site + "?4b0ad8f1c2e97755aa01", site + "?[secret]", "a value without a name"},
		{site + "?q=%zz", site + "?q=[secret]", "who knows"},
		{site + "?next=%2Fdeals%3Fpage%3D2", site + "?next=%2Fdeals%3Fpage%3D2", "an address in another"},
		{site + "?next=%2Fdeals%3Ftoken%3Dabc", site + "?next=[secret]", "one in which there is a credential"},
		{site + "#access_token=abc&scope=all", site + "#access_token=[secret]&scope=all", "the implicit grant of OAuth 2"},
		{site + "#/open?token=abc", site + "#/open?token=[secret]", "a query in the fragment"},
		{"https://user:pass@crm.example.com/?q=1", "https://crm.example.com/?q=1", "user info"},
		{"https://user:pa@ss@crm.example.com/a@b?q=1", "https://crm.example.com/a@b?q=1", "a password with an @ in it"},
		{"https://user:pass@crm.example.com", "https://crm.example.com", "user info before nothing else"},
		{"user:pass@crm.example.com", "[secret]", "user info that reads as a scheme"},
		{"https:/user:pass@crm.example.com", "[secret]", "what a browser reads as user info, and a path to others"},
		{site + "?next=/@me%3Ftab=1", site + "?next=/@me%3Ftab=1", "a path with an @ in it"},
		{site + "?filter=name;asc&&x=1&", site + "?filter=name;asc&&x=1&", "separators as they are written"},
		{site + "?a=1;token=abc", site + "?a=1;token=[secret]", "a parameter after the other separator"},
		{site + "#4b0ad8f1c2e97755aa01", site + "#[secret]", "a fragment that nobody reads"},
		{"https://%zz", "[secret]", "no address"},
	} {
		require.Equal(t, c.want, Address(c.address), c.why)
		require.Equal(t, c.want, Address(c.want), "%s: once is enough", c.why)
	}
}

// TestWhatIsKeptOfAnAddressIsOneOfTheSamePlace: masking changes nothing but values.
func TestWhatIsKeptOfAnAddressIsOneOfTheSamePlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-zA-Z0-9_.-]{1,24}`)
		values := url.Values{}
		for range rapid.IntRange(0, 5).Draw(t, "parameters") {
			values.Add(word.Draw(t, "name"), rapid.String().Draw(t, "value"))
		}
		whole := url.URL{Scheme: "https", Host: "a.example", Path: "/" + word.Draw(t, "path"), RawQuery: values.Encode()}
		kept, err := url.Parse(Address(whole.String()))
		require.NoError(t, err)
		require.Equal(t, whole.Host, kept.Host)
		require.Equal(t, whole.Path, kept.Path)
		for name, all := range kept.Query() {
			for i, v := range all {
				if strings.Contains(name, Mark) || v == Mark {
					continue
				}
				require.Equal(t, values[name][i], v)
			}
		}
	})
}

package bctrl

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestParseCookiesReadsWhatOthersWrite, each the same cookie.
func TestParseCookiesReadsWhatOthersWrite(t *testing.T) {
	ends := time.Date(2027, 1, 1, 0, 0, 0, 500_000_000, time.UTC)
	for _, tc := range []struct {
		why, text string
		want      Cookie
	}{
		{"Playwright, context.cookies()", `[{"name":"sid","value":"v","domain":".example.com","path":"/",` +
			`"expires":1798761600.5,"httpOnly":true,"secure":true,"sameSite":"Lax"}]`,
			Cookie{Domain: ".example.com", Expires: ends, SameSite: SameSiteLax}},
		{"Playwright, storageState", `{"cookies":[{"name":"sid","value":"v","domain":"app.example.com","path":"/",` +
			`"expires":-1,"httpOnly":true,"secure":true,"sameSite":"None"}],` +
			`"origins":[{"origin":"https://example.com","localStorage":[]}]}`,
			Cookie{Domain: "app.example.com", SameSite: SameSiteNone}},
		{"Puppeteer, page.cookies()", `[{"name":"sid","value":"v","domain":"app.example.com","path":"/","expires":-1,` +
			`"size":4,"httpOnly":true,"secure":true,"session":true,"priority":"Medium","sameParty":false,` +
			`"sourceScheme":"Secure","sourcePort":443}]`,
			Cookie{Domain: "app.example.com", SourceScheme: "Secure", SourcePort: 443}},
		{"DevTools, partitioned", `{"cookies":[{"name":"sid","value":"v","domain":"app.example.com","path":"/",` +
			`"expires":-1,"httpOnly":true,"secure":true,"sameSite":"None","partitionKey":{` +
			`"topLevelSite":"https://shop.example","hasCrossSiteAncestor":true}}]}`,
			Cookie{
				Domain:    "app.example.com",
				SameSite:  SameSiteNone,
				Partition: &CookiePartition{TopLevelSite: "https://shop.example", HasCrossSiteAncestor: true},
			}},
		{"an extension of Chrome", `[{"domain":".App.example.com","expirationDate":1798761600.5,"hostOnly":true,` +
			`"httpOnly":true,"name":"sid","path":"/","sameSite":"no_restriction","secure":true,"session":false,` +
			`"storeId":"0","value":"v","id":1}]`,
			Cookie{Domain: "app.example.com", Expires: ends, SameSite: SameSiteNone}},
		{"an extension, of the session", `[{"domain":".example.com","hostOnly":false,"httpOnly":true,"name":"sid",` +
			`"path":"/","sameSite":"unspecified","secure":true,"session":true,"value":"v"}]`,
			Cookie{Domain: ".example.com"}},
	} {
		got, err := ParseCookies(NewSecret(tc.text))
		require.NoError(t, err, tc.why)
		require.Len(t, got, 1, tc.why)
		require.True(t, got[0].Value.Equal(NewSecret("v")), tc.why)
		require.NoError(t, CookieImport{Cookies: got}.Validate(), tc.why)
		tc.want.Name, tc.want.Path, tc.want.HTTPOnly, tc.want.Secure = "sid", "/", true, true
		got[0].Value = Secret{}
		require.Equal(t, tc.want, got[0], tc.why)
	}
	for _, text := range []string{
		"", "name=hunter2", `"hunter2"`, `[{"name":"sid","value":"hunter2"`, `[{"value":{"a":"hunter2"}}]`,
	} {
		_, err := ParseCookies(NewSecret(text))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "profiles.invalid_cookies", e.Code)
		require.False(t, strings.Contains(err.Error(), "hunter2"))
	}
}

// TestAnImportIsCheckedBeforeItIsSent, by the code that the server has.
func TestAnImportIsCheckedBeforeItIsSent(t *testing.T) {
	f := always(http.StatusOK, `{}`)
	c := clientOn(t, f)
	_, err := c.Profiles.ImportCookies(t.Context(), "p", CookieImport{Cookies: []Cookie{
		{Name: "a", Value: NewSecret("hunter2"), Domain: "example.com"},
		{Name: "b;", Value: NewSecret("hunter2\n"), Domain: "http://example.com"},
	}})
	var e *Error
	require.ErrorAs(t, err, &e)
	require.ErrorIs(t, err, ErrInvalid)
	require.Len(t, e.Problems, 3, "everything that is wrong")
	require.Equal(t, "cookies[1].name", e.Problems[0].Field)
	require.False(t, strings.Contains(err.Error(), "hunter2"))
	require.Empty(t, f.requests())

	long := Cookie{Name: "a", Value: NewSecret("v"), Domain: "example.com", Expires: time.Unix(-5, 0)}
	require.Positive(t, long.wire().Expires, "what ended before 1970 is no cookie of the session")
}

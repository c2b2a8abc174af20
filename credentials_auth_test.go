package bctrl

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func headerAuth(pairs ...string) CredentialAuth {
	a := CredentialAuth{Type: AuthHeader, Headers: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		a.Headers[pairs[i]] = pairs[i+1]
	}
	return a
}

// wholeAuths holds a valid auth of every type.
func wholeAuths() map[AuthType]CredentialAuth {
	return map[AuthType]CredentialAuth{
		AuthNone:   {Type: AuthNone, Headers: map[string]string{"Notion-Version": "2022-06-28"}},
		AuthHeader: headerAuth("Authorization", "Bearer {apiKey}", "X-Org", "{org?}", "Accept", "application/json"),
		AuthQuery:  {Type: AuthQuery, Query: map[string]string{"key": "{apiKey}", "token": "{token}"}},
		AuthPath:   {Type: AuthPath, Path: "/bot{token}"},
		AuthBasic: {
			Type:     AuthBasic,
			Username: "{accountSid}",
			Password: "{authToken}",
			Public:   []string{"accountSid"},
		},
		AuthOAuth2: {Type: AuthOAuth2, OAuth2: &OAuth2Auth{Grant: GrantRefreshToken,
			TokenURL: "https://accounts.example.com/api/token", Scopes: []string{"a:b", "c"}}},
		AuthAWSSigV4: {Type: AuthAWSSigV4, SigV4: &SigV4Auth{Service: "s3"}},
		AuthHMAC: {Type: AuthHMAC, Headers: map[string]string{"X-Sig": "v1={signature}", "X-Key": "{keyId}"},
			HMAC: &HMACAuth{Algorithm: "sha256"}},
		AuthMTLS: {Type: AuthMTLS, Headers: map[string]string{"Authorization": "Bearer {apiKey?}"}},
	}
}

func TestAnAuthOfEveryTypeSurvivesJSON(t *testing.T) {
	for of, auth := range wholeAuths() {
		require.NoError(t, auth.Validate(), of)
		text, err := json.Marshal(auth)
		require.NoError(t, err)
		var back CredentialAuth
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, auth, back)
	}
}

func TestFieldsAreThoseThatTheStrategyReads(t *testing.T) {
	for of, want := range map[AuthType][2]string{
		AuthNone: {"", ""}, AuthHeader: {"apiKey", "org"}, AuthQuery: {"apiKey token", ""}, AuthPath: {"token", ""},
		AuthBasic: {"accountSid authToken", ""}, AuthOAuth2: {"clientId refreshToken", "clientSecret"},
		AuthAWSSigV4: {"accessKeyId secretAccessKey", "sessionToken"}, AuthHMAC: {"keyId secret", ""},
		AuthMTLS: {"certificate privateKey", "apiKey"},
	} {
		required, optional := wholeAuths()[of].Fields()
		require.Equal(t, want, [2]string{strings.Join(required, " "), strings.Join(optional, " ")}, of)
	}
	machine := CredentialAuth{Type: AuthOAuth2, OAuth2: &OAuth2Auth{Grant: GrantClientCredentials}}
	required, optional := machine.Fields()
	require.Equal(t, []string{"clientId", "clientSecret"}, required, "a machine has no refresh token")
	require.Empty(t, optional)
}

func TestAMalformedAuthIsRefusedByField(t *testing.T) {
	of := func(t AuthType, change func(*CredentialAuth)) CredentialAuth {
		a := wholeAuths()[t]
		change(&a)
		return a
	}
	for _, c := range []struct {
		why, field string
		auth       CredentialAuth
	}{
		{"no type", "auth.type", CredentialAuth{}},
		{"an unknown type", "auth.type", CredentialAuth{Type: "Header"}},
		{"none with a secret", "auth.type", CredentialAuth{Type: AuthNone, Headers: map[string]string{"A": "{a}"}}},
		{"another type's part", "auth.path", of(AuthHeader, func(a *CredentialAuth) { a.Path = "/x{a}" })},
		{"another type's part", "auth.oauth2", of(AuthBasic, func(a *CredentialAuth) { a.OAuth2 = &OAuth2Auth{} })},
		{"a template that is none", "auth.headers.A", headerAuth("A", "{a")},
		{"a line break", "auth.headers.A", headerAuth("A", "{a}\r\nB: c")},
		{"a header without field", "auth.headers", headerAuth("A", "b")},
		{"a header's name", "auth.headers", headerAuth("A b", "{a}")},
		{"a header's name with a colon", "auth.headers", headerAuth("A:", "{a}")},
		{"a header of the transport", "auth.headers.Content-Length", headerAuth("Content-Length", "{a}")},
		{"two spellings", "auth.headers.a", headerAuth("A", "{a}", "a", "{b}")},
		{"a parameter without field", "auth.query", of(AuthQuery, func(a *CredentialAuth) {
			a.Query = map[string]string{"a": "b"}
		})},
		{"a parameter's name", "auth.query", of(AuthQuery, func(a *CredentialAuth) {
			a.Query = map[string]string{"a&b": "{b}"}
		})},
		{"a path without field", "auth.path", of(AuthPath, func(a *CredentialAuth) { a.Path = "/bot" })},
		{"a path with an optional field", "auth.path", of(AuthPath, func(a *CredentialAuth) { a.Path = "/bot{a?}" })},
		{"a path that climbs", "auth.path", of(AuthPath, func(a *CredentialAuth) { a.Path = "/../{a}" })},
		{"a path with a query", "auth.path", of(AuthPath, func(a *CredentialAuth) { a.Path = "/{a}?b" })},
		{"a relative path", "auth.path", of(AuthPath, func(a *CredentialAuth) { a.Path = "bot{a}" })},
		{"basic without field", "auth.username", CredentialAuth{Type: AuthBasic, Username: "a", Password: "b"}},
		{"a colon in the user name", "auth.username", CredentialAuth{Type: AuthBasic, Username: "a:", Password: "{b}"}},
		{"basic and another Authorization", "auth.headers.authorization", of(AuthBasic, func(a *CredentialAuth) {
			a.Headers = map[string]string{"authorization": "{a}"}
		})},
		{"oauth2 without its part", "auth.oauth2", CredentialAuth{Type: AuthOAuth2}},
		{"an unknown grant", "auth.oauth2.grant", of(AuthOAuth2, func(a *CredentialAuth) { a.OAuth2.Grant = "password" })},
		{"a token endpoint without TLS", "auth.oauth2.tokenUrl", of(AuthOAuth2, func(a *CredentialAuth) {
			a.OAuth2.TokenURL = "http://a.example/t"
		})},
		{"a token endpoint with a query", "auth.oauth2.tokenUrl", of(AuthOAuth2, func(a *CredentialAuth) {
			a.OAuth2.TokenURL += "?a=b"
		})},
		{"a scope with a space", "auth.oauth2.scopes[0]", of(AuthOAuth2, func(a *CredentialAuth) {
			a.OAuth2.Scopes = []string{"a b"}
		})},
		{"a client authentication", "auth.oauth2.clientAuth", of(AuthOAuth2, func(a *CredentialAuth) {
			a.OAuth2.ClientAuth = "jwt"
		})},
		{"a parameter of the grant", "auth.oauth2.params", of(AuthOAuth2, func(a *CredentialAuth) {
			a.OAuth2.Params = map[string]string{"Client_Secret": "x"}
		})},
		{"the client secret in a header", "auth.headers.A", of(AuthOAuth2, func(a *CredentialAuth) {
			a.Headers = map[string]string{"A": "{clientSecret}"}
		})},
		{"the signing key in a parameter", "auth.query.a", of(AuthAWSSigV4, func(a *CredentialAuth) {
			a.Query = map[string]string{"a": "{secretAccessKey}"}
		})},
		{"the MAC's key in a header", "auth.headers.B", of(AuthHMAC, func(a *CredentialAuth) {
			a.Headers["B"] = "{secret}"
		})},
		{"the private key in a header", "auth.headers.B", of(AuthMTLS, func(a *CredentialAuth) {
			a.Headers["B"] = "{privateKey}"
		})},
		{"aws-sigv4 without its part", "auth.sigv4", CredentialAuth{Type: AuthAWSSigV4}},
		{"no service", "auth.sigv4.service", of(AuthAWSSigV4, func(a *CredentialAuth) { a.SigV4.Service = "" })},
		{"a header of the signature", "auth.headers.X-Amz-Date", of(AuthAWSSigV4, func(a *CredentialAuth) {
			a.Headers = map[string]string{"X-Amz-Date": "x"}
		})},
		{"hmac without its part", "auth.hmac",
			CredentialAuth{Type: AuthHMAC, Headers: map[string]string{"A": "{signature}"}}},
		{"a broken hash", "auth.hmac.algorithm", of(AuthHMAC, func(a *CredentialAuth) { a.HMAC.Algorithm = "md5" })},
		{"a signature that is not sent", "auth.headers", of(AuthHMAC, func(a *CredentialAuth) { a.Headers = nil })},
		{"a message of nothing", "auth.hmac.message", of(AuthHMAC, func(a *CredentialAuth) { a.HMAC.Message = "hello" })},
		{"a message with a secret", "auth.hmac.message", of(AuthHMAC, func(a *CredentialAuth) {
			a.HMAC.Message = "{body}{secret}"
		})},
		{"a public field that is none", "auth.public[1]", of(AuthBasic, func(a *CredentialAuth) {
			a.Public = []string{"accountSid", "other"}
		})},
		{"a public key", "auth.public[0]", of(AuthAWSSigV4, func(a *CredentialAuth) {
			a.Public = []string{"secretAccessKey"}
		})},
		{"nothing secret", "auth.public", of(AuthBasic, func(a *CredentialAuth) {
			a.Public = []string{"accountSid", "authToken"}
		})},
		{"too many", "auth.headers", headerAuth(manyHeaders()...)},
	} {
		err := c.auth.Validate()
		require.ErrorIs(t, err, ErrInvalid, c.why)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "credentials.invalid_auth", e.Code)
		var fields []string
		for _, p := range e.Problems {
			fields = append(fields, p.Field)
		}
		require.Contains(t, fields, c.field, c.why)
	}
}

func manyHeaders() (pairs []string) {
	for i := range maxAuthEntries + 1 {
		pairs = append(pairs, "A"+strings.Repeat("a", i), "{a}")
	}
	return pairs
}

func TestARefusedAuthDoesNotQuote(t *testing.T) {
	a := CredentialAuth{
		Type:     AuthType(canary),
		Headers:  map[string]string{"A": canary + "{"},
		Query:    map[string]string{"b": "{" + canary + " }"},
		Path:     canary,
		Username: canary,
	}
	require.NotContains(t, a.Validate().Error(), canary)
}

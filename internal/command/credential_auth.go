package command

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
)

// authFlags are the flags that say how a credential's secrets are sent.
type authFlags struct {
	kind, header, value, param, prefix, username, password string
	headers, params                                        []string
	grant, endpoint                                        string
	scopes                                                 []string
	service, region, algorithm                             string
}

// authKinds are the values of --auth; the multi ones are header and query with
// more than one entry.
var authKinds = []string{"header", "query", "multi-header", "multi-query", "path", "basic", "oauth2", "aws-sigv4",
	"hmac", "mtls", "none"}

func addAuthFlags(cmd *cobra.Command) *authFlags {
	a := &authFlags{}
	f := cmd.Flags()
	f.StringVar(&a.kind, "auth", "", "`kind` of authentication, of the table above")
	f.StringVar(&a.header, "header-name", "", "`name` of the header")
	f.StringVar(&a.value, "value-template", "", "`template` of the header's value")
	f.StringVar(&a.param, "query-param", "", "`name` of the parameter")
	f.StringVar(&a.prefix, "path-prefix-template", "", "`template` put before the path")
	f.StringVar(&a.username, "username-template", "", "`template` of the user name")
	f.StringVar(&a.password, "password-template", "{{secret}}", "`template` of the password, which names a secret or is "+
		"empty")
	f.StringArrayVar(&a.headers, "auth-header", nil, "`name=template` of a header; may be repeated")
	f.StringArrayVar(&a.params, "auth-query", nil, "`name=template` of a parameter; may be repeated")
	f.StringVar(&a.grant, "grant-type", bctrl.GrantRefreshToken, "refresh_token or client_credentials")
	f.StringVar(&a.endpoint, "token-endpoint", "", "`URL` of the token endpoint")
	f.StringArrayVar(&a.scopes, "oauth-scope", nil, "`scope` to ask a token for; may be repeated")
	f.StringVar(&a.service, "aws-service", "", "`name` that AWS signs for, such as s3")
	f.StringVar(&a.region, "aws-region", "", "`region`, such as us-east-1; else the host's")
	f.StringVar(&a.algorithm, "hmac-algorithm", "sha256", "sha256 or sha512")
	mayBeEmpty(cmd, "username-template", "password-template")
	completeWords(cmd, "auth", authKinds...)
	completeWords(cmd, "grant-type", bctrl.GrantRefreshToken, bctrl.GrantClientCredentials)
	completeWords(cmd, "hmac-algorithm", "sha256", "sha512")
	return a
}

// fits refuses flags that are no part of the kind of authentication, and would change nothing.
func (a *authFlags) fits(cmd *cobra.Command) error {
	if a.kind != "" && !slices.Contains(authKinds, a.kind) {
		return usageError{errors.New("--auth is none of " + joined(authKinds))}
	}
	for _, part := range []struct {
		flag  string
		kinds []string
	}{
		{"header-name", []string{"header", "hmac"}},
		{"value-template", []string{"header", "query", "hmac"}},
		{"query-param", []string{"query"}},
		{"path-prefix-template", []string{"path"}},
		{"username-template", []string{"basic"}},
		{"password-template", []string{"basic"}},
		{"grant-type", []string{"oauth2"}},
		{"token-endpoint", []string{"oauth2"}},
		{"oauth-scope", []string{"oauth2"}},
		{"aws-service", []string{"aws-sigv4"}},
		{"aws-region", []string{"aws-sigv4"}},
		{"hmac-algorithm", []string{"hmac"}},
	} {
		if cmd.Flags().Changed(part.flag) && !slices.Contains(part.kinds, a.kind) {
			return usagef("--%s goes with --auth %s", part.flag, strings.Join(part.kinds, " or "))
		}
	}
	for _, flag := range []string{"auth-header", "auth-query"} {
		if cmd.Flags().Changed(flag) && a.kind == "" {
			return usagef("--%s needs --auth", flag)
		}
	}
	return nil
}

// auth is what the flags say; nil leaves it to the provider.
func (a *authFlags) auth(cmd *cobra.Command) (*bctrl.CredentialAuth, error) {
	if err := a.fits(cmd); err != nil {
		return nil, err
	}
	if a.kind == "" {
		return nil, nil
	}
	headers, err := templates(a.headers)
	if err != nil {
		return nil, err
	}
	params, err := templates(a.params)
	if err != nil {
		return nil, err
	}
	out := &bctrl.CredentialAuth{Headers: headers, Query: params}
	set := func(to *map[string]string, name, text string) {
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = template(text)
	}
	switch out.Type = bctrl.AuthType(a.kind); a.kind {
	case "header":
		set(&out.Headers, cmp.Or(a.header, "Authorization"),
			cmp.Or(a.value, map[bool]string{true: "Bearer {{secret}}", false: "{{secret}}"}[a.header == ""]))
	case "query":
		if a.param == "" {
			return nil, usageError{errors.New("--auth query needs --query-param")}
		}
		set(&out.Query, a.param, cmp.Or(a.value, "{{secret}}"))
	case "multi-header":
		out.Type = bctrl.AuthHeader
	case "multi-query":
		out.Type = bctrl.AuthQuery
	case "path":
		out.Path = template(cmp.Or(a.prefix, "/{{secret}}"))
	case "basic":
		out.Username, out.Password = template(a.username), template(a.password)
	case "oauth2":
		out.OAuth2 = &bctrl.OAuth2Auth{Grant: a.grant, TokenURL: a.endpoint, Scopes: a.scopes}
	case "aws-sigv4":
		out.SigV4 = &bctrl.SigV4Auth{Service: a.service, Region: a.region}
	case "hmac":
		set(&out.Headers, cmp.Or(a.header, "X-Signature"), cmp.Or(a.value, "{{signature}}"))
		out.HMAC = &bctrl.HMACAuth{Algorithm: a.algorithm}
	case "mtls", "none":
	default:
		return nil, usageError{errors.New("--auth is none of " + joined(authKinds))}
	}
	if err := out.Validate(); err != nil {
		return nil, usageError{err}
	}
	return out, nil
}

// template writes {field} for {{field}}.
func template(text string) string {
	return strings.NewReplacer("{{", "{", "}}", "}").Replace(text)
}

// templates reads name=template, each name once.
func templates(given []string) (map[string]string, error) {
	var out map[string]string
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := out[name]; !ok || twice {
			return nil, usageError{errors.New("--auth-header and --auth-query are name=template, each name once")}
		}
		if out == nil {
			out = map[string]string{}
		}
		out[name] = template(value)
	}
	return out, nil
}

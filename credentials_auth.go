package bctrl

import "slices"

// AuthType names an auth strategy. See [CredentialAuth].
type AuthType string

// The auth strategies.
const (
	// AuthNone adds nothing that authenticates.
	AuthNone AuthType = "none"
	// AuthHeader sends secrets in headers, such as a bearer token (RFC 6750 §2.1).
	AuthHeader AuthType = "header"
	// AuthQuery sends secrets in parameters of the query.
	AuthQuery AuthType = "query"
	// AuthPath sends secrets in segments put before the request's path.
	AuthPath AuthType = "path"
	// AuthBasic is the Basic scheme of HTTP (RFC 7617).
	AuthBasic AuthType = "basic"
	// AuthOAuth2 gets, keeps and renews an access token (RFC 6749, sent as RFC
	// 6750 says).
	AuthOAuth2 AuthType = "oauth2"
	// AuthAWSSigV4 signs requests as Amazon Web Services wants it (AWS
	// Signature Version 4).
	AuthAWSSigV4 AuthType = "aws-sigv4"
	// AuthHMAC signs requests with a shared key (RFC 2104).
	AuthHMAC AuthType = "hmac"
	// AuthMTLS presents a client certificate (RFC 8446 §4.4.2, RFC 8705).
	AuthMTLS AuthType = "mtls"
)

// CredentialAuth says how a credential's secrets authenticate a request. It is
// data without any secret: {field} stands for the secret that the credential
// holds under that name, and {field?} for one that may be missing, with which
// the whole header or parameter is left out.
//
// Headers and Query go with every type; with [AuthNone] they name no field. An
// entry that names no field is a default, such as Notion-Version, and a caller's
// own value replaces it. One that does is authentication, and a caller that
// brings its own is refused; one that is left out is the caller's.
//
//	type       what else it takes        fields that it reads itself
//	none       -                         -
//	header     one header with a field   -
//	query      one parameter with a field
//	path       Path                      -
//	basic      Username, Password        -
//	oauth2     OAuth2                    clientId, clientSecret (missing: a public client), refreshToken (of that grant);
//	                                     makes {accessToken}
//	aws-sigv4  SigV4                     accessKeyId, secretAccessKey, sessionToken (may be missing)
//	hmac       HMAC, and {signature} in  secret; makes {signature} and {timestamp}
//	           a header or parameter
//	mtls       -                         certificate and privateKey, both PEM
//
// What a strategy signs or proves itself with (clientSecret, refreshToken,
// secretAccessKey, an HMAC's secret, privateKey) cannot be put into a header or
// a parameter.
type CredentialAuth struct {
	Type AuthType `json:"type"`
	// Headers maps names to templates: {"Authorization": "Bearer {apiKey}"}.
	// With oauth2, a strategy that names {accessToken} nowhere sends it as
	// "Authorization: Bearer {accessToken}".
	Headers map[string]string `json:"headers,omitempty"`
	// Query maps parameters to templates: {"key": "{apiKey}"}. It is the
	// broker that writes the query, so values need no escaping here.
	Query map[string]string `json:"query,omitempty"`
	// Path is put between the provider's base path and the request's:
	// "/bot{token}". Values are escaped as one segment.
	Path string `json:"path,omitempty"`
	// Username and Password are the two halves of basic. One of them may be
	// empty; a user name without colon is the provider's affair.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	// Public names fields that identify and prove nothing, such as the id of an
	// account. They are sealed like the others, but left in answers: an API that
	// writes them everywhere could not be used without.
	Public []string `json:"public,omitempty"`

	OAuth2 *OAuth2Auth `json:"oauth2,omitempty"`
	SigV4  *SigV4Auth  `json:"sigv4,omitempty"`
	HMAC   *HMACAuth   `json:"hmac,omitempty"`
}

// OAuth2Auth says how an access token is had from an authorization server.
// Tokens are kept in memory until shortly before they expire, one request
// renews a token for all that wait for it, and a refresh token that the server
// replaces is stored before the access token that came with it is used.
type OAuth2Auth struct {
	// Grant is "refresh_token" (RFC 6749 §6) or "client_credentials" (§4.4).
	Grant string `json:"grant"`
	// TokenURL is the token endpoint, https. It is reached under the same rules
	// as the provider, and nothing that a request says changes it.
	TokenURL string `json:"tokenUrl"`
	// Scopes are asked for; none leaves them to the server.
	Scopes []string `json:"scopes,omitempty"`
	// ClientAuth is how the client says who it is (RFC 6749 §2.3.1): "basic",
	// also when empty, or "body" for servers that read it there alone.
	ClientAuth string `json:"clientAuth,omitempty"`
	// Params are further parameters of the token request, {"audience": "…"}.
	Params map[string]string `json:"params,omitempty"`
}

// SigV4Auth says what an AWS signature is made for.
type SigV4Auth struct {
	// Service is the name that AWS signs for: "s3", "bedrock". With "s3" paths
	// are escaped once and bodies are not hashed over https.
	Service string `json:"service"`
	// Region is such as "us-east-1"; empty takes it from the host, the label
	// before amazonaws.com, or us-east-1 where that names the service.
	Region string `json:"region,omitempty"`
}

// HMACAuth says what a MAC is made of.
type HMACAuth struct {
	// Algorithm is "sha256" or "sha512".
	Algorithm string `json:"algorithm"`
	// Encoding of {signature} is "hex", also when empty, or "base64".
	Encoding string `json:"encoding,omitempty"`
	// KeyEncoding is how the secret writes the key: as it is when empty, else
	// "hex" or "base64".
	KeyEncoding string `json:"keyEncoding,omitempty"`
	// Timestamp of {timestamp} is "unix", seconds, also when empty, "unix-ms" or
	// "rfc3339".
	Timestamp string `json:"timestamp,omitempty"`
	// Message is what is signed, a template of {timestamp}, {method}, {target}
	// (path and query as sent), {path}, {bodyHash} (in hex, by Algorithm) and
	// {body}. Empty is "{timestamp}\n{method}\n{target}\n{bodyHash}".
	Message string `json:"message,omitempty"`
}

// The values of [OAuth2Auth.Grant].
const (
	GrantRefreshToken      = "refresh_token"
	GrantClientCredentials = "client_credentials"
)

// Fields returns the names of the secrets that a credential with this auth
// holds: those it needs, and those that may be missing, each sorted. It expects
// an auth that [CredentialAuth.Validate] accepts.
func (a CredentialAuth) Fields() (required, optional []string) {
	need := map[string]bool{}
	for _, f := range a.ownFields() {
		need[f.name] = need[f.name] || !f.optional
	}
	derived := a.derivedFields()
	for _, t := range a.templates() {
		for _, f := range t.parsed.Fields() {
			if !slices.Contains(derived, f.Name) {
				need[f.Name] = need[f.Name] || !f.Optional
			}
		}
	}
	for name, must := range need {
		if must {
			required = append(required, name)
		} else {
			optional = append(optional, name)
		}
	}
	slices.Sort(required)
	slices.Sort(optional)
	return required, optional
}

// ownField is a field that a strategy reads by itself. A kept one proves who
// the caller is and so never leaves as it is.
type ownField struct {
	name           string
	optional, kept bool
}

func (a CredentialAuth) ownFields() []ownField {
	switch {
	case a.Type == AuthOAuth2 && a.OAuth2 != nil && a.OAuth2.Grant == GrantClientCredentials:
		return []ownField{{name: "clientId"}, {name: "clientSecret", kept: true}}
	case a.Type == AuthOAuth2:
		return []ownField{{name: "clientId"}, {name: "clientSecret", optional: true, kept: true},
			{name: "refreshToken", kept: true}}
	case a.Type == AuthAWSSigV4:
		return []ownField{{name: "accessKeyId"}, {name: "secretAccessKey", kept: true},
			{name: "sessionToken", optional: true}}
	case a.Type == AuthHMAC:
		return []ownField{{name: "secret", kept: true}}
	case a.Type == AuthMTLS:
		return []ownField{{name: "certificate"}, {name: "privateKey", kept: true}}
	}
	return nil
}

// derivedFields are those that a strategy makes.
func (a CredentialAuth) derivedFields() []string {
	switch a.Type {
	case AuthOAuth2:
		return []string{"accessToken"}
	case AuthHMAC:
		return []string{"signature", "timestamp"}
	}
	return nil
}

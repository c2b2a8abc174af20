package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/template"
)

// The fields that strategies make or read.
const (
	fieldAccessToken = "accessToken"
	fieldSignature   = "signature"
	fieldTimestamp   = "timestamp"
	fieldCertificate = "certificate"
	fieldPrivateKey  = "privateKey"
)

// defaultMessage is what is signed unless the auth says otherwise.
const defaultMessage = "{timestamp}\n{method}\n{target}\n{bodyHash}"

// mac signs requests with a shared key (RFC 2104). What it signs is a template
// of the request, see [bctrl.HMACAuth]; the target is the path and query as
// they are sent, but for parameters with the signature itself.
type mac struct {
	hash      func() hash.Hash
	key       bctrl.Secret
	message   template.Template
	base64    bool
	timestamp string
}

func newMAC(a bctrl.HMACAuth, secret bctrl.Secret) (*mac, error) {
	m := &mac{hash: sha256.New, base64: a.Encoding == "base64", timestamp: a.Timestamp}
	if a.Algorithm == "sha512" {
		m.hash = sha512.New
	}
	key, err := []byte(secret.Expose()), error(nil)
	switch a.KeyEncoding {
	case "hex":
		key, err = hex.DecodeString(secret.Expose())
	case "base64":
		key, err = base64.StdEncoding.DecodeString(secret.Expose())
	}
	if err != nil || len(key) == 0 {
		return nil, fail(ErrTarget, "the secret is not in %s", a.KeyEncoding) // the decoder's error would quote it
	}
	m.key = bctrl.NewSecret(string(key))
	text := a.Message
	if text == "" {
		text = defaultMessage
	}
	if m.message, err = template.ParseLines(text); err != nil {
		return nil, fail(ErrTarget, "%w", err)
	}
	return m, nil
}

// sign puts the signature and the timestamp of a request into values.
func (m *mac) sign(out *http.Request, now time.Time, values map[string]string) error {
	values[fieldTimestamp] = m.stamp(now)
	parts := map[string]string{
		"timestamp": values[fieldTimestamp],
		"method":    out.Method,
		"target":    out.URL.RequestURI(),
		"path":      out.URL.EscapedPath(),
	}
	names := m.message.Fields()
	has := func(name string) bool {
		return slices.ContainsFunc(names, func(f template.Field) bool { return f.Name == name })
	}
	if has("body") {
		body, err := keepBody(out)
		if err != nil {
			return err
		}
		parts["body"] = string(body)
		h := m.hash()
		h.Write(body)
		parts["bodyHash"] = hex.EncodeToString(h.Sum(nil))
	} else if has("bodyHash") {
		h := m.hash()
		if err := hashBody(out, h); err != nil {
			return err
		}
		parts["bodyHash"] = hex.EncodeToString(h.Sum(nil))
	}
	message, _, err := m.message.Expand(func(name string) (string, bool) { return parts[name], true })
	if err != nil {
		return fail(ErrTarget, "%w", err)
	}
	code := hmac.New(m.hash, []byte(m.key.Expose()))
	code.Write([]byte(message))
	if m.base64 {
		values[fieldSignature] = base64.StdEncoding.EncodeToString(code.Sum(nil))
	} else {
		values[fieldSignature] = hex.EncodeToString(code.Sum(nil))
	}
	return nil
}

func (m *mac) stamp(now time.Time) string {
	switch m.timestamp {
	case "unix-ms":
		return strconv.FormatInt(now.UnixMilli(), 10)
	case "rfc3339":
		return now.UTC().Format(time.RFC3339)
	}
	return strconv.FormatInt(now.Unix(), 10)
}

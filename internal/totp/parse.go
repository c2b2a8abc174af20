package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

const (
	// minSeed is 80 bits. RFC 4226 §4 R6 asks for 128, but Google's first
	// authenticators and many sites since issue 16 base32 characters.
	minSeed = 10
	// maxSeed is four times the largest block of a hash: more is no seed.
	maxSeed = 512
	// maxText bounds what is read at all; a URI may carry a label and a logo.
	maxText = 8 << 10
)

// Parse reads a seed: base32 text, or an otpauth://totp/ URI with its
// algorithm, digits and period. Base32 alone means SHA-1, 6 digits, 30 seconds.
// Issuer, label and parameters unknown here are ignored; a parameter given
// twice is refused. The seed must have 80 to 4096 bits.
func Parse(seed bctrl.Secret) (Key, error) {
	text := strings.TrimSpace(seed.Expose())
	if len(text) > maxText {
		return Key{}, fmt.Errorf("TOTP seed: longer than %d bytes", maxText)
	}
	key := Key{algorithm: SHA1, digits: defaultDigits, period: defaultPeriod}
	var err error
	if isURI(text) {
		key, err = parseURI(text)
	} else {
		key.seed, err = parseBase32(text)
	}
	if err != nil {
		return Key{}, fmt.Errorf("TOTP seed: %w", err)
	}
	return key, nil
}

// isURI asks for a colon alone, so that a mistyped scheme is told so and not
// that base32 holds no colon.
func isURI(text string) bool { return strings.Contains(text, ":") }

// parseURI reads the key URI format of the Google Authenticator wiki. What
// net/url says about a malformed text quotes it, so its errors stay here.
func parseURI(text string) (Key, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Key{}, errors.New("not a well-formed URI")
	}
	if u.Scheme != "otpauth" {
		return Key{}, errors.New("neither base32 nor an otpauth:// URI")
	}
	if !strings.EqualFold(u.Host, "totp") {
		return Key{}, errors.New("an otpauth:// URI of another kind than totp")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Key{}, errors.New("the URI's parameters are not well-formed")
	}
	for _, name := range []string{"secret", "algorithm", "digits", "period"} {
		if len(query[name]) > 1 {
			return Key{}, fmt.Errorf("the URI has more than one %s", name)
		}
	}
	key := Key{}
	if key.algorithm, err = parseAlgorithm(query.Get("algorithm")); err != nil {
		return Key{}, err
	}
	if key.digits, err = parseNumber(query, "digits", defaultDigits, minDigits, maxDigits); err != nil {
		return Key{}, err
	}
	seconds, err := parseNumber(query, "period", int(defaultPeriod/time.Second), int(minPeriod/time.Second), int(maxPeriod/time.Second))
	if err != nil {
		return Key{}, err
	}
	key.period = time.Duration(seconds) * time.Second
	key.seed, err = parseBase32(query.Get("secret"))
	return key, err
}

func parseAlgorithm(text string) (Algorithm, error) {
	switch a := Algorithm(strings.ToUpper(text)); a {
	case "":
		return SHA1, nil
	case SHA1, SHA256, SHA512:
		return a, nil
	}
	return "", errors.New("the URI's algorithm is none of SHA1, SHA256, SHA512")
}

func parseNumber(query url.Values, name string, absent, low, high int) (int, error) {
	if !query.Has(name) {
		return absent, nil
	}
	n, err := strconv.ParseUint(query.Get(name), 10, 16)
	if err != nil || int(n) < low || int(n) > high {
		return 0, fmt.Errorf("the URI's %s is not a number from %d to %d", name, low, high)
	}
	return int(n), nil
}

// plain drops what sites put between groups, the last a no-break space, and
// lifts ASCII letters alone: strings.ToUpper would make an S of U+017F.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ', r == '-', r == '\u00a0':
			return -1
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, text)
}

// parseBase32 decodes a seed as sites display it.
func parseBase32(text string) (bctrl.Secret, error) {
	if text == "" {
		return bctrl.Secret{}, errors.New("empty")
	}
	text = strings.TrimRight(plain(text), "=")
	encoding := base32.StdEncoding.WithPadding(base32.NoPadding)
	raw, err := encoding.DecodeString(text)
	defer clear(raw)
	if err != nil {
		return bctrl.Secret{}, errors.New("not base32: letters A to Z and digits 2 to 7")
	}
	// encoding/base32 drops a character too many in silence; it is the best sign
	// that another one is missing. Left-over bits within the last character are
	// accepted: sites that draw characters instead of bytes issue them.
	if encoding.EncodedLen(len(raw)) != len(text) {
		return bctrl.Secret{}, errors.New("not base32: a character is missing or too many")
	}
	if len(raw) < minSeed {
		return bctrl.Secret{}, fmt.Errorf("%d bits are too few, at least %d are needed: it may be cut short", len(raw)*8, minSeed*8)
	}
	if len(raw) > maxSeed {
		return bctrl.Secret{}, fmt.Errorf("more than %d bits", maxSeed*8)
	}
	return bctrl.NewSecret(string(raw)), nil
}

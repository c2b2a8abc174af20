package totp

import (
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"slices"
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
// The label and parameters unknown here are ignored. What would make other codes
// than the site's is refused by name: Steam's encoder, a counter, a parameter
// that is there twice or in upper case, and a character without its escape that
// hides the rest. The seed must have 80 to 4096 bits.
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
	if strings.Contains(text, "#") {
		return Key{}, errors.New("the URI has a #, which ends what is read: write it as %23")
	}
	u, err := url.Parse(text)
	if _, escape := errors.AsType[url.EscapeError](err); escape {
		return Key{}, errors.New("the URI is not well-formed: it has a % that begins no escape, write it as %25")
	}
	if err != nil {
		return Key{}, errors.New("the URI is not well-formed")
	}
	if err := checkKind(u); err != nil {
		return Key{}, err
	}
	query, err := parameters(u.RawQuery)
	if err != nil {
		return Key{}, err
	}
	key := Key{}
	if key.algorithm, err = parseAlgorithm(query.Get("algorithm")); err != nil {
		return Key{}, err
	}
	if key.digits, err = parseNumber(query, "digits", defaultDigits, minDigits, maxDigits); err != nil {
		return Key{}, err
	}
	seconds, err := parseNumber(query, "period", int(defaultPeriod/time.Second), int(minPeriod/time.Second),
		int(maxPeriod/time.Second))
	if err != nil {
		return Key{}, err
	}
	key.period = time.Duration(seconds) * time.Second
	if query.Get("secret") == "" {
		return Key{}, errors.New("the URI's secret is missing or empty: parameters begin after ? and are separated by &")
	}
	key.seed, err = parseBase32(query.Get("secret"))
	return key, err
}

// errSteam: Steam Guard's codes are five letters and digits of an alphabet of
// its own. What is made here would never be accepted there.
var errSteam = errors.New("the codes of Steam are of a kind of its own, which is not made here")

// steam reports whether an issuer or an encoder is Steam's.
func steam(name string) bool { return strings.EqualFold(strings.TrimSpace(name), "Steam") }

// checkKind refuses what is no otpauth://totp/ URI, by the name of what it is.
func checkKind(u *url.URL) error {
	switch u.Scheme {
	case "otpauth":
	case "otpauth-migration":
		return errors.New("an export of an authenticator app, which holds many seeds: set up one at a time")
	case "steam":
		return errSteam
	default:
		return errors.New("neither base32 nor an otpauth:// URI")
	}
	issuer, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":") // of the label
	switch kind := strings.ToLower(u.Host); {
	case kind == "steam", kind == "totp" && steam(issuer):
		return errSteam
	case kind == "totp":
		return nil
	case kind == "hotp":
		return errors.New("an otpauth:// URI of another kind than totp: the codes of hotp are counted, not timed")
	}
	return errors.New("an otpauth:// URI of another kind than totp")
}

// known are the parameters that are read.
var known = []string{"secret", "algorithm", "digits", "period", "encoder", "issuer"}

// unsupported are parameters with which some apps say that their codes are made
// in another way. To ignore one would make codes that no site accepts.
var unsupported = []string{"algo", "hash", "interval", "step", "digit", "pin", "pin_length", "t0", "epoch", "offset"}

// parameters reads the query, and refuses what would be overlooked in it.
func parameters(raw string) (url.Values, error) {
	if strings.Contains(raw, "?") {
		return nil, errors.New("the URI has a second ?: write the one in its label or in a value as %3F")
	}
	if strings.Contains(raw, ";") {
		return nil, errors.New("the URI's parameters are not well-formed: they are separated by &, and a ; is written as %3B")
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, errors.New("the URI's parameters are not well-formed: a % that begins no escape is written as %25")
	}
	for name, values := range query {
		lower := strings.ToLower(name)
		switch is := slices.Contains(known, lower); {
		case is && name != lower:
			return nil, fmt.Errorf("the URI's parameter %s is not written in lower case", lower)
		case is && len(values) > 1 && lower != "issuer":
			return nil, fmt.Errorf("the URI has more than one %s", lower)
		case slices.Contains(unsupported, lower):
			return nil, fmt.Errorf("the URI's parameter %s is not supported: use algorithm, digits and period", lower)
		}
	}
	if steam(query.Get("encoder")) || slices.ContainsFunc(query["issuer"], steam) {
		return nil, errSteam
	}
	if query.Get("encoder") != "" {
		return nil, errors.New("the URI's encoder is not known: codes are made of digits")
	}
	return query, nil
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
		return bctrl.Secret{}, fmt.Errorf("%d bits are too few, at least %d are needed: it may be cut short", len(raw)*8,
			minSeed*8)
	}
	if len(raw) > maxSeed {
		return bctrl.Secret{}, fmt.Errorf("more than %d bits", maxSeed*8)
	}
	return bctrl.NewSecret(string(raw)), nil
}

package bctrl

import (
	"slices"
	"strings"
	"time"
)

// languages are those that have a code of two letters (ISO 639-1).
const languages = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da " +
	"de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii " +
	"ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn " +
	"mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si " +
	"sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi " +
	"yo za zh zu"

// isLocale reports whether text is a language tag of the kind that locales are
// (RFC 5646 §2.1): a language of two or three letters, and behind it a script, a
// region and variants. Extensions and private tags choose no locale.
func isLocale(text string) bool {
	tags := strings.Split(text, "-")
	language := strings.ToLower(tags[0])
	switch len(language) {
	case 2:
		if !slices.Contains(strings.Fields(languages), language) {
			return false
		}
	case 3:
		if !only(language, letter) {
			return false
		}
	default:
		return false
	}
	tags = tags[1:]
	if len(tags) > 0 && len(tags[0]) == 4 && only(tags[0], letter) {
		tags = tags[1:]
	}
	if len(tags) > 0 && (len(tags[0]) == 2 && only(tags[0], letter) || len(tags[0]) == 3 && only(tags[0], digit)) {
		tags = tags[1:]
	}
	for i, variant := range tags {
		long := len(variant) >= 5 && len(variant) <= 8 || len(variant) == 4 && digit(variant[0])
		if !long || !only(variant, func(c byte) bool { return letter(c) || digit(c) }) || slices.Contains(tags[:i], variant) {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// only reports whether every byte of text is one of a kind.
func only(text string, kind func(byte) bool) bool {
	for i := range len(text) {
		if !kind(text[i]) {
			return false
		}
	}
	return true
}

// isTimezone reports whether text names a time zone. Where this machine has no
// database of them it goes by the form of the name alone, and the server says the
// rest.
func isTimezone(text string) bool {
	area, _, _ := strings.Cut(text, "/")
	if len(text) > 64 || slices.Contains([]string{"", "Local", "posix", "right"}, area) ||
		!only(text, func(c byte) bool { return letter(c) || digit(c) || strings.IndexByte("/_+-", c) >= 0 }) {
		return false
	}
	if _, err := time.LoadLocation(text); err == nil {
		return true
	}
	_, err := time.LoadLocation("Europe/Berlin")
	return err != nil
}

// isHeaderText reports whether text may be the value of a header field: printable
// ASCII, and no white space at its ends, which is not part of a value (RFC 9110 §5.5).
func isHeaderText(text string, most int) bool {
	return text != "" && len(text) <= most && strings.TrimSpace(text) == text &&
		only(text, func(c byte) bool { return c >= ' ' && c < 0x7f })
}

// isHeaderName reports whether text is a token (RFC 9110 §5.6.2) of at most 100 bytes.
func isHeaderName(text string) bool {
	return text != "" && len(text) <= 100 && only(text, func(c byte) bool {
		return letter(c) || digit(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
	})
}

// settableHeader reports whether a launch may set a header field: not those that say
// how a message is carried or whom it is for, those that say what a browser may
// know of a site, those that have a setting of their own, and ours.
func settableHeader(name string) bool {
	name = strings.ToLower(name)
	for _, family := range []string{"proxy-", "sec-", "access-control-", "bctrl-"} {
		if strings.HasPrefix(name, family) {
			return false
		}
	}
	return !slices.Contains([]string{
		"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "content-length",
		"content-encoding", "content-type", "content-range", "expect", "http2-settings", "via", "forwarded", "date",
		"cookie", "cookie2", "set-cookie", "origin", "referer", "range", "if-none-match", "if-modified-since", "if-match",
		"if-range", "if-unmodified-since", "accept-encoding", "user-agent", "accept-language", "x-sdk-version",
		"x-request-id", "idempotency-key",
	}, name)
}

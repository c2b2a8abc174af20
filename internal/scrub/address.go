package scrub

import (
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	// tokenLength is how long a value has to be to look like a credential.
	tokenLength = 16
	// tokenChanges is how often letters and digits have to follow on each other in it.
	tokenChanges = 3
	// maxNested bounds how deep an address is looked for in another's query.
	maxNested = 3
)

// Address returns an address with [Mark] in the place of what may be a credential, for
// what is kept of it: in its query, and in a fragment that is written as one, each value
// whose name says so ("token", "sig", "sessionId"), and each that looks like one by
// itself, as 16 and more characters of letters and digits in turns do. An id that is a
// UUID stays ("dealId"), and so does all else, as it is written: what a search was for,
// which page of a list. User info is left out. It is Mark alone of what is no address.
//
// A path stays as it is: sites keep names in it far more often than secrets.
func Address(text string) string { return address(text, 0) }

func address(text string, depth int) string {
	u, err := url.Parse(text)
	if err != nil || depth > maxNested {
		return Mark
	}
	if u.Scheme != "" && u.Host == "" && strings.Contains(text, "@") {
		return Mark // "user:password@host", or a browser takes more for a host than RFC 3986 does
	}
	head, fragment, hasFragment := strings.Cut(text, "#")
	head, query, hasQuery := strings.Cut(head, "?")
	if u.User != nil {
		scheme, rest, _ := strings.Cut(head, "//")
		authority, path, hasPath := strings.Cut(rest, "/")
		head = scheme + "//" + authority[strings.LastIndexByte(authority, '@')+1:] // a password may have an @ in it
		if hasPath {
			head += "/" + path
		}
	}
	if hasQuery {
		head += "?" + parameters(query, depth)
	}
	if hasFragment {
		place, query, isQuery := strings.Cut(fragment, "?")
		switch {
		case isQuery:
			place += "?" + parameters(query, depth)
		case strings.Contains(place, "="), looksRandom(place):
			place = parameters(place, depth)
		}
		head += "#" + place
	}
	return head
}

// parameters masks values of a query, and leaves the rest of it as it is written.
func parameters(query string, depth int) string {
	var kept strings.Builder
	for query != "" {
		end := strings.IndexAny(query, "&;")
		if end < 0 {
			end = len(query)
		}
		kept.WriteString(parameter(query[:end], depth))
		separator := query[end:min(end+1, len(query))]
		kept.WriteString(separator)
		query = query[end+len(separator):]
	}
	return kept.String()
}

// parameter masks the value of one, or what stands there without a name.
func parameter(text string, depth int) string {
	name, value, hasValue := strings.Cut(text, "=")
	if !hasValue {
		if looksRandom(name) {
			return Mark
		}
		return text
	}
	plainName, errName := url.QueryUnescape(name)
	plain, err := url.QueryUnescape(value)
	if value != "" && (errName != nil || err != nil || holdsCredential(plainName, plain, depth)) {
		return name + "=" + Mark
	}
	return text
}

func holdsCredential(name, value string, depth int) bool {
	words := wordsOf(name)
	if slices.ContainsFunc(words, namesCredential) || namesCredential(strings.Join(words, "")) {
		return true
	}
	if strings.Contains(value, "?") || strings.Contains(value, "#") {
		return address(value, depth+1) != value
	}
	if isID := len(words) > 0 && words[len(words)-1] == "id"; isID && isUUID(value) {
		return false
	}
	return looksRandom(value)
}

// namesCredential reports whether a word in the name of a parameter says that its value
// is a credential: those of OAuth 2 and OpenID Connect, of signed addresses of the large
// clouds, and of sessions. "code", "state" and "key" name harmless things as often: there
// the value decides.
func namesCredential(word string) bool {
	switch word {
	case "token", "accesstoken", "authtoken", "csrf", "xsrf", "nonce", "jwt", "assertion", "saml", "samlresponse",
		"secret", "password", "passwd", "passphrase", "pwd", "pin", "otp", "totp", "apikey", "credential", "credentials",
		"auth", "authorization", "sig", "signature", "hmac", "ticket", "invite",
		"session", "sessionid", "sessid", "phpsessid", "jsessionid", "sid":
		return true
	}
	return false
}

// wordsOf splits a name into its words: "X-Amz-Signature", "access_token", "sessionId".
func wordsOf(name string) (words []string) {
	var word []rune
	end := func() {
		if len(word) > 0 {
			words, word = append(words, strings.ToLower(string(word))), nil
		}
	}
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r):
			end()
			continue
		case unicode.IsUpper(r) && len(word) > 0 && unicode.IsLower(word[len(word)-1]):
			end()
		}
		word = append(word, r)
	}
	end()
	return words
}

// looksRandom reports whether a value is one of those that nobody reads.
func looksRandom(value string) bool {
	if strings.HasPrefix(value, "eyJ") { // the JSON of a token, in base64
		return true
	}
	if _, err := time.Parse("20060102T150405Z", value); err == nil {
		return false
	}
	changes := 0
	var before rune
	for _, r := range value {
		switch {
		case r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_.~+/=", r):
			return false
		case unicode.IsLetter(r) && unicode.IsDigit(before), unicode.IsDigit(r) && unicode.IsLetter(before):
			changes++
		}
		before = r
	}
	return len(value) >= tokenLength && changes >= tokenChanges
}

// isUUID reports whether a value has the form of a UUID, RFC 9562 §4.
func isUUID(value string) bool {
	if len(value) != 36 {
		return false
	}
	for i, r := range value {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if r != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
			return false
		}
	}
	return true
}

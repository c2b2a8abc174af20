package broker

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

const (
	sigV4Algorithm  = "AWS4-HMAC-SHA256"
	sigV4Time       = "20060102T150405Z"
	unsignedPayload = "UNSIGNED-PAYLOAD"
	// unsignedTrailer is a body in chunks that end in a checksum.
	unsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	payloadHeader   = "X-Amz-Content-Sha256"
	dateHeader      = "X-Amz-Date"
	sessionHeader   = "X-Amz-Security-Token"
)

// sigV4 signs requests with AWS Signature Version 4, as "Create a signed AWS
// API request" of the IAM User Guide has it.
type sigV4 struct {
	service, region string
	// s3 signs paths as they are on the wire and need not hash bodies over tls.
	s3, tls          bool
	id, key, session bctrl.Secret
}

func newSigV4(a bctrl.SigV4Auth, secrets map[string]bctrl.Secret, base *url.URL) (*sigV4, error) {
	s := &sigV4{
		service: a.Service,
		region:  a.Region,
		s3:      a.Service == "s3",
		tls:     base.Scheme == "https",
		id:      secrets["accessKeyId"],
		key:     secrets["secretAccessKey"],
		session: secrets["sessionToken"],
	}
	if s.region == "" {
		s.region = regionOf(base.Hostname())
	}
	if s.region == "" {
		return nil, fail(ErrTarget, "neither the auth nor the host names a region")
	}
	if !fitsHeader(s.id.Expose()) || strings.ContainsAny(s.id.Expose(), "/,") || !fitsHeader(s.session.Expose()) {
		return nil, fail(ErrTarget, "the access key id or the session token holds a character that it cannot have")
	}
	return s, nil
}

// regionOf takes the region from a host of AWS: "s3.eu-west-1.amazonaws.com",
// "bucket.s3-us-west-2.amazonaws.com"; a host without one is in us-east-1. It
// is empty for other hosts.
func regionOf(host string) string {
	labels := strings.Split(strings.ToLower(host), ".")
	i := slices.Index(labels, "amazonaws")
	if i < 1 {
		return ""
	}
	region := strings.TrimPrefix(labels[i-1], "s3-")
	last := region[len(region)-1:]
	if strings.Count(region, "-") >= 2 && last >= "0" && last <= "9" {
		return region
	}
	return "us-east-1"
}

// sign signs a request and returns what must not come back of it.
func (s *sigV4) sign(out *http.Request, now time.Time) ([]bctrl.Secret, error) {
	payload, err := s.payload(out)
	if err != nil {
		return nil, err
	}
	s.normalize(out.URL)
	out.Header.Set(dateHeader, now.UTC().Format(sigV4Time))
	if !s.session.IsZero() {
		out.Header.Set(sessionHeader, s.session.Expose())
	}
	if s.s3 {
		out.Header.Set(payloadHeader, payload)
	} else {
		out.Header.Del(payloadHeader)
	}
	c := canonical{
		method:  out.Method,
		path:    out.URL.EscapedPath(),
		query:   sortQuery(out.URL.RawQuery),
		payload: payload,
		headers: signedHeaders(out),
	}
	if !s.s3 {
		c.path = awsEscape(c.path, "/")
	}
	date := now.UTC().Format(sigV4Time)
	scope := strings.Join([]string{date[:8], s.region, s.service, "aws4_request"}, "/")
	key := signingKey(s.key.Expose(), date[:8], s.region, s.service)
	signature := hex.EncodeToString(mac256(key, stringToSign(date, scope, c.text())))
	out.Header.Set("Authorization", sigV4Algorithm+" Credential="+s.id.Expose()+"/"+scope+
		", SignedHeaders="+c.names()+", Signature="+signature)
	return []bctrl.Secret{bctrl.NewSecret(signature), bctrl.NewSecret(string(key))}, nil
}

// payload returns what is signed for the body: its hash, or that it is not
// signed. A caller's own hash is signed as it is, for the provider compares it
// with what arrives.
func (s *sigV4) payload(out *http.Request) (string, error) {
	claimed := out.Header.Get(payloadHeader)
	switch {
	case !s.s3:
	case isSHA256(claimed):
		return claimed, nil
	case strings.HasPrefix(claimed, "STREAMING-") && claimed != unsignedTrailer:
		return "", fail(ErrUnsignable, "its chunks are signed with another key; send an unsigned payload")
	case claimed == unsignedTrailer && s.tls:
		return claimed, nil
	case claimed == unsignedTrailer:
		return "", fail(ErrUnsignable, "without TLS its payload cannot be left unsigned")
	case s.tls && out.Body != nil && out.Body != http.NoBody:
		return unsignedPayload, nil
	}
	hash := sha256.New()
	if err := hashBody(out, hash); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func isSHA256(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && text == strings.ToLower(text)
}

// normalize writes path and query in the one way in which both ends escape
// them, so that what is signed is what is sent.
func (s *sigV4) normalize(u *url.URL) {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		if raw, err := url.PathUnescape(segment); err == nil { // checkRequest has seen that it can be
			segments[i] = awsEscape(raw, "")
		}
	}
	escaped := strings.Join(segments, "/")
	if escaped == "" {
		escaped = "/"
	}
	if path, err := url.PathUnescape(escaped); err == nil {
		u.Path, u.RawPath = path, escaped
	}
	u.RawQuery = escapeQuery(u.RawQuery)
}

// escapeQuery writes a query with every name and value escaped in AWS's way,
// and in its order.
func escapeQuery(raw string) string {
	var pairs []string
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, escapeAgain(name)+"="+escapeAgain(value))
	}
	return strings.Join(pairs, "&")
}

// escapeAgain escapes a part of a query, whose escapes checkRequest has seen to be
// complete.
func escapeAgain(part string) string {
	text, err := url.QueryUnescape(part)
	if err != nil {
		text = part
	}
	return awsEscape(text, "")
}

// sortQuery sorts an escaped query by name, then value.
func sortQuery(escaped string) string {
	pairs := strings.Split(escaped, "&")
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, valueA, _ := strings.Cut(a, "=")
		nameB, valueB, _ := strings.Cut(b, "=")
		return cmp.Or(strings.Compare(nameA, nameB), strings.Compare(valueA, valueB))
	})
	return strings.Join(pairs, "&")
}

// awsEscape is UriEncode of the guide: all but the unreserved characters of RFC
// 3986 and the kept ones.
func awsEscape(text, keep string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 ||
			strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// canonical is a request as it is signed.
type canonical struct {
	method, path, query, payload string
	headers                      []canonicalHeader
}

type canonicalHeader struct{ name, value string }

// signedHeaders returns the headers that mean something to AWS. Others are
// left to the transport and to whatever stands between.
func signedHeaders(out *http.Request) []canonicalHeader {
	host := strings.ToLower(out.Host)
	if port(out.URL) == "443" {
		host = strings.TrimSuffix(host, ":443")
	}
	headers := []canonicalHeader{{"host", host}}
	for name, values := range out.Header {
		lower := strings.ToLower(name)
		if lower == "content-type" || lower == "content-md5" || strings.HasPrefix(lower, "x-amz-") {
			headers = append(headers, newCanonicalHeader(lower, values))
		}
	}
	return headers
}

// newCanonicalHeader joins values by commas, each without needless space.
func newCanonicalHeader(name string, values []string) canonicalHeader {
	clean := make([]string, len(values))
	for i, v := range values {
		clean[i] = strings.Join(strings.Fields(v), " ")
	}
	return canonicalHeader{name, strings.Join(clean, ",")}
}

func (c canonical) names() string {
	names := make([]string, len(c.headers))
	for i, h := range c.headers {
		names[i] = h.name
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}

// text is the canonical request.
func (c canonical) text() string {
	sorted := slices.SortedFunc(slices.Values(c.headers),
		func(a, b canonicalHeader) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString(c.method + "\n" + c.path + "\n" + c.query + "\n")
	for _, h := range sorted {
		b.WriteString(h.name + ":" + h.value + "\n")
	}
	b.WriteString("\n" + c.names() + "\n" + c.payload)
	return b.String()
}

func stringToSign(date, scope, request string) string {
	hash := sha256.Sum256([]byte(request))
	return sigV4Algorithm + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(hash[:])
}

func signingKey(secret, day, region, service string) []byte {
	key := mac256([]byte("AWS4"+secret), day)
	for _, part := range []string{region, service, "aws4_request"} {
		key = mac256(key, part)
	}
	return key
}

func mac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

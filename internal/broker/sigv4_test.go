package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// headersOf collects names and values, in order of the names.
func headersOf(pairs []string) []canonicalHeader {
	values := map[string][]string{}
	var names []string
	for i := 0; i < len(pairs); i += 2 {
		name := strings.ToLower(pairs[i])
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], pairs[i+1])
	}
	var headers []canonicalHeader
	for _, name := range names {
		headers = append(headers, newCanonicalHeader(name, values[name]))
	}
	return headers
}

func TestSignaturesAreThoseOfTheTestSuite(t *testing.T) {
	const date = "20150830T123600Z"
	for _, v := range sigV4Vectors {
		c := canonical{
			method:  v.method,
			path:    awsEscape(v.path, "/"),
			query:   sortQuery(escapeQuery(v.query)),
			payload: hashOf(v.body),
			headers: headersOf(append([]string{"Host", "example.amazonaws.com", "X-Amz-Date", date}, v.headers...)),
		}
		key := signingKey(awsKey, date[:8], "us-east-1", "service")
		signature := hex.EncodeToString(mac256(key, stringToSign(date, date[:8]+"/us-east-1/service/aws4_request", c.text())))
		require.Equal(t, v.signature, signature, "%s:\n%s", v.name, c.text())
	}
}

func TestSignaturesAreThoseOfTheS3Examples(t *testing.T) {
	const date = "20130524T000000Z"
	for _, v := range s3Vectors {
		u := &url.URL{Path: v.path, RawQuery: v.query}
		(&sigV4{s3: true}).normalize(u)
		c := canonical{
			method:  v.method,
			path:    u.EscapedPath(),
			query:   sortQuery(escapeQuery(v.query)),
			payload: hashOf(v.body),
			headers: headersOf(append([]string{
				"Host", "examplebucket.s3.amazonaws.com", "X-Amz-Date", date, "X-Amz-Content-Sha256", hashOf(v.body),
			}, v.headers...)),
		}
		key := signingKey("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", date[:8], "us-east-1", "s3")
		signature := hex.EncodeToString(mac256(key, stringToSign(date, date[:8]+"/us-east-1/s3/aws4_request", c.text())))
		require.Equal(t, v.signature, signature, "%s:\n%s", v.why, c.text())
	}
}

var authorization = regexp.MustCompile(
	`^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\d{8})/([a-z0-9-]+)/([a-z0-9]+)/aws4_request, ` +
		`SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// verify checks a request as a server of AWS does, from what is on the wire.
func verify(r *http.Request, body string) error {
	m := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return fmt.Errorf("malformed: %s", r.Header.Get("Authorization"))
	}
	day, region, service, signed, signature := m[1], m[2], m[3], m[4], m[5]
	rawPath, rawQuery, _ := strings.Cut(r.RequestURI, "?")
	path := rawPath
	if service != "s3" {
		path = ""
		for _, c := range []byte(rawPath) {
			if strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/", rune(c)) {
				path += string(rune(c))
			} else {
				path += fmt.Sprintf("%%%02X", c)
			}
		}
	}
	var pairs []string
	if rawQuery != "" {
		pairs = strings.Split(rawQuery, "&")
	}
	sort.Slice(pairs, func(i, j int) bool { // by name before value
		return strings.Replace(pairs[i], "=", "\x00", 1) < strings.Replace(pairs[j], "=", "\x00", 1)
	})
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		payload = hashOf(body)
	}
	if len(payload) == 64 && payload != hashOf(body) {
		return fmt.Errorf("the payload is another")
	}
	text := r.Method + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n"
	names := strings.Split(signed, ";")
	must := map[string]bool{"host": false, "x-amz-date": false}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			must[strings.ToLower(name)] = false
		}
	}
	for _, name := range names {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		text += name + ":" + strings.Join(strings.Fields(value), " ") + "\n"
		delete(must, name)
	}
	if len(must) > 0 {
		return fmt.Errorf("not signed: %v", must)
	}
	text += "\n" + signed + "\n" + payload
	key := []byte("AWS4" + awsKey)
	for _, part := range []string{day, region, service, "aws4_request"} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	h := hmac.New(sha256.New, key)
	h.Write([]byte("AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + strings.Join(m[1:4], "/") +
		"/aws4_request\n" + hashOf(text)))
	if got := hex.EncodeToString(h.Sum(nil)); got != signature {
		return fmt.Errorf("another signature for\n%s", text)
	}
	return nil
}

func TestAServerAcceptsTheSignature(t *testing.T) {
	var problem error
	var got *http.Request
	b, base := provider(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got, problem = r, verify(r, string(body))
		fmt.Fprint(w, r.Header.Get("Authorization"))
	})
	for _, c := range []struct {
		why, service, method, target, body string
		header                             []string
		payload                            string // X-Amz-Content-Sha256 as it arrives
		wire                               string // the target as it arrives
	}{
		{"no body", "s3", "GET", "/bucket/key", "", nil, hashOf(""), "/bucket/key"},
		{"a body over TLS", "s3", "PUT", "/bucket/key", "hello", []string{"Content-Type", "text/plain"},
			"UNSIGNED-PAYLOAD", "/bucket/key"},
		{"a caller's own hash", "s3", "PUT", "/bucket/key", "hello", []string{"X-Amz-Content-Sha256", hashOf("hello")},
			hashOf("hello"), "/bucket/key"},
		{"a caller's own checksum trailer", "s3", "PUT", "/k", "5\r\nhello\r\n0\r\n",
			[]string{"X-Amz-Content-Sha256", unsignedTrailer, "X-Amz-Trailer", "x-amz-checksum-crc32"}, unsignedTrailer, "/k"},
		{"a key with odd characters", "s3", "GET", "/b/a%20b%2Bc$d%C3%A9/:=@,", "", nil, hashOf(""),
			"/b/a%20b%2Bc%24d%C3%A9/%3A%3D%40%2C"},
		{"a query", "s3", "GET", "/b?prefix=a+b%2Fc&list-type=2&acl", "", nil, hashOf(""),
			"/b?prefix=a%20b%2Fc&list-type=2&acl="},
		{"another service", "bedrock", "POST", "/model/anthropic.claude-3:0/invoke", "{}",
			[]string{"Content-Type", "application/json"}, "", "/model/anthropic.claude-3%3A0/invoke"},
		{"an ARN", "bedrock", "POST", "/model/arn%3Aaws%3Abedrock%3A%3A%3Aprofile%2Fx/converse", "{}", nil, "",
			"/model/arn%3Aaws%3Abedrock%3A%3A%3Aprofile%2Fx/converse"},
		{"a caller's date and hash", "bedrock", "POST", "/x", "{}", []string{"X-Amz-Date", "20000101T000000Z",
			"X-Amz-Content-Sha256", hashOf("other"), "X-Amz-Target", "a  b"}, "", "/x"},
		{"no path", "bedrock", "GET", "", "", nil, "", "/"},
	} {
		for _, session := range []string{"", "session-token-0123456789"} {
			b.now = func() time.Time { return noon }
			client, err := b.Client(Target{
				BaseURL: base,
				Auth:    sigV4Auth(c.service),
				Secrets: awsSecrets("sessionToken", session),
			})
			require.NoError(t, err)
			var body io.Reader
			if c.body != "" {
				body = io.MultiReader(strings.NewReader(c.body))
			}
			req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.target, body)
			require.NoError(t, err)
			for i := 0; i < len(c.header); i += 2 {
				req.Header.Set(c.header[i], c.header[i+1])
			}
			_, text := send(t, client, req)
			require.NoError(t, problem, c.why)
			require.Equal(t, c.wire, got.RequestURI, c.why)
			require.Equal(t, c.payload, got.Header.Get("X-Amz-Content-Sha256"), c.why)
			require.Equal(t, session, got.Header.Get("X-Amz-Security-Token"), c.why)
			require.Equal(t, "20261122T120000Z", got.Header.Get("X-Amz-Date"), c.why)
			require.NotRegexp(t, `Signature=[0-9a-f]{8}`, text, "%s: the signature does not come back", c.why)
			require.NotContains(t, text, "AKIDEXAMPLE")
		}
	}
}

func TestACallersSignedChunksAreRefused(t *testing.T) {
	b, base := provider(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	c, err := b.Client(Target{BaseURL: base, Auth: sigV4Auth("s3"), Secrets: awsSecrets()})
	require.NoError(t, err)
	for _, payload := range []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"} {
		req := request(t, t.Context(), base+"/k")
		req.Header.Set("X-Amz-Content-Sha256", payload)
		_, err = c.Do(req)
		require.ErrorIs(t, err, ErrUnsignable)
	}
	for _, name := range []string{"Authorization", "X-Amz-Security-Token"} {
		req := request(t, t.Context(), base+"/k")
		req.Header.Set(name, "mine")
		_, err = c.Do(req)
		require.ErrorIs(t, err, ErrRefused, name)
	}
	_, err = c.Do(request(t, t.Context(), base+"/k?X-Amz-Signature=x"))
	require.ErrorIs(t, err, ErrRefused, "a presigned URL")
}

func TestARegionIsTakenFromTheHost(t *testing.T) {
	for host, want := range map[string]string{
		"s3.eu-west-1.amazonaws.com":                  "eu-west-1",
		"bucket.s3.eu-west-1.amazonaws.com":           "eu-west-1",
		"bucket.s3-us-west-2.amazonaws.com":           "us-west-2",
		"s3.dualstack.ap-southeast-2.amazonaws.com":   "ap-southeast-2",
		"s3.amazonaws.com":                            "us-east-1",
		"bucket.s3.amazonaws.com":                     "us-east-1",
		"bedrock-runtime.us-gov-west-1.amazonaws.com": "us-gov-west-1",
		"s3.cn-north-1.amazonaws.com.cn":              "cn-north-1",
		"iam.amazonaws.com":                           "us-east-1",
		"minio.example.com":                           "",
		"amazonaws.com":                               "",
		"s3.us-east-1.example.com":                    "",
	} {
		require.Equal(t, want, regionOf(host), host)
	}
}

// FuzzSigning: what is signed is what is sent, and means what the caller wrote.
func FuzzSigning(f *testing.F) {
	f.Add("/a b/c", "x=1&y", "v", true)
	f.Add("/a%2Fb/%E1%88%B4", "b=2&a=1&a=%20", " a  b ", false)
	f.Fuzz(func(t *testing.T, path, query, header string, s3 bool) {
		u, err := url.Parse("https://example.amazonaws.com" + path)
		if err != nil || u.Host != "example.amazonaws.com" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			climbs(u.EscapedPath()) {
			return
		}
		want, err := url.ParseQuery(query)
		if err != nil || strings.ContainsFunc(header, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		u.RawQuery = query
		before := strings.Split(u.EscapedPath(), "/")
		req := &http.Request{
			Method: http.MethodGet,
			URL:    u,
			Host:   u.Host,
			Header: http.Header{"X-Amz-Meta-A": {header}},
		}
		signer := &sigV4{
			service: "bedrock",
			region:  "us-east-1",
			s3:      s3,
			tls:     true,
			id:      bctrl.NewSecret("AKIDEXAMPLE"),
			key:     bctrl.NewSecret(awsKey),
		}
		if s3 {
			signer.service = "s3"
		}
		if _, err := signer.sign(req, noon); err != nil {
			t.Fatal(err)
		}
		req.RequestURI = u.RequestURI()
		if err := verify(req, ""); err != nil {
			t.Fatal(err)
		}
		after := strings.Split(u.EscapedPath(), "/")
		if len(before) > 1 && len(before) != len(after) {
			t.Fatalf("%q became %q", before, after)
		}
		for i := range before {
			a, _ := url.PathUnescape(before[i])
			b, err := url.PathUnescape(after[i])
			if err != nil || a != b {
				t.Fatalf("%q became %q", before[i], after[i])
			}
		}
		if got := u.Query(); got.Encode() != want.Encode() {
			t.Fatalf("%q became %q", query, u.RawQuery)
		}
	})
}

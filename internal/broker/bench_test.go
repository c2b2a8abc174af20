package broker

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// BenchmarkClient is what a call pays before anything is sent.
func BenchmarkClient(b *testing.B) {
	br := New(Config{})
	for _, c := range []struct {
		name   string
		target Target
	}{
		{"header", Target{
			Auth:    header("Authorization", "Bearer {apiKey}"),
			Secrets: secrets("apiKey", "sk-proj-"+strings.Repeat("0123456789abcdef", 10)),
		}},
		{"basic", Target{
			Auth:    bctrl.CredentialAuth{Type: bctrl.AuthBasic, Username: "{a}", Password: "{b}"},
			Secrets: secrets("a", "AC0123456789abcdef0123456789abcdef", "b", "0123456789abcdef0123456789abcdef"),
		}},
		{"sigv4", Target{Auth: sigV4Auth("s3"), Secrets: awsSecrets()}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.target.BaseURL = "https://api.example.com/v1"
			b.ReportAllocs()
			for b.Loop() {
				if _, err := br.Client(c.target); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDo is what the client of a call does before and after the transport.
func BenchmarkDo(b *testing.B) {
	const answer = `{"object":"thing","text":"` + "lorem ipsum lorem ipsum lorem ipsum" + `"}`
	text := strings.Repeat(answer, 16)
	br := New(Config{})
	c, err := br.Client(Target{
		BaseURL: "https://api.example.com/v1",
		Auth:    header("Authorization", "Bearer {apiKey}"),
		Secrets: secrets("apiKey", "sk-proj-"+strings.Repeat("0123456789abcdef", 10)),
	})
	if err != nil {
		b.Fatal(err)
	}
	c.transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			Status:     "200 OK",
			StatusCode: http.StatusOK,
			Header: http.Header{"Content-Type": {"application/json"}, "Date": {"Mon, 30 Nov 2026 18:54:21 GMT"},
				"X-Request-Id": {"0123456789abcdef"}, "Vary": {"Accept-Encoding"}},
			ContentLength: int64(len(text)),
			Body:          io.NopCloser(strings.NewReader(text)),
			Request:       req,
		}, nil
	})
	req, err := http.NewRequest(http.MethodPost, "https://api.example.com/v1/things", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Do(req); err != nil {
			b.Fatal(err)
		}
	}
}

// roundTripper is a transport that goes nowhere.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func BenchmarkSignSigV4(b *testing.B) {
	s := &sigV4{
		service: "s3",
		region:  "us-east-1",
		s3:      true,
		tls:     true,
		id:      bctrl.NewSecret("AKIDEXAMPLE"),
		key:     bctrl.NewSecret(awsKey),
	}
	req, err := http.NewRequest(http.MethodGet, "https://bucket.s3.us-east-1.amazonaws.com/a/b?prefix=x", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.sign(req, noon); err != nil {
			b.Fatal(err)
		}
	}
}

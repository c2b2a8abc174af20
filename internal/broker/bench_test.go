package broker

import (
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
